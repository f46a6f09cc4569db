import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { markedBlock } from '../docs/support/markdown.ts'
import { startBuiltWorker } from './built-worker.ts'
import { shared } from './shared.ts'

/* The built Worker with each way to declare its Durable Objects, and without one. */

const EXPORTS =
  markedBlock('docs/share.md', 'exports') + markedBlock('docs/import-and-repair.md', 'exports')

let directory: string
let s3: S3Server
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'grants-'))
  s3 = await startS3rver({
    port: 0,
    directory: join(directory, 's3'),
    corsOrigins: ['http://localhost'],
  })
})
afterAll(async () => {
  await s3.close()
  await rm(directory, { recursive: true })
})

/** Starts the Worker with `declared` instead of the blocks of its classes. */
async function startWith(name: string, declared: string) {
  const built = await shared('worker')
  const text = await readFile(built, 'utf8')
  const without = text.replace(/^\[exports\.(?:Grants|DropBoxes|Upkeep)\]\n(?:\w.*\n)+/gm, '')
  expect(without.match(/durable-object/)).toBeNull()
  const main = JSON.stringify(join(dirname(built), 'worker.js'))
  const configPath = join(directory, name, 'wrangler.toml')
  await mkdir(dirname(configPath))
  await writeFile(
    configPath,
    `${without.replace('main = "worker.js"', `main = ${main}`)}\n${declared}`,
  )
  const { endpoint, region, bucket } = s3
  const worker = await startBuiltWorker({
    configPath,
    buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
    accessKeys: { S3: s3 },
    variables: { OPEN_ACCESS: 'localhost' },
  })
  const json = async (method: string, path: string, body?: object) => {
    const response = await fetch(worker.origin + path, {
      method,
      ...(body && {
        body: JSON.stringify(body),
        headers: { 'Content-Type': 'application/json' },
      }),
    })
    return { status: response.status, body: JSON.parse(await response.text()) }
  }
  return { worker, json, [Symbol.asyncDispose]: () => worker.close() }
}

const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString()

it.each([
  ['exports', EXPORTS],
  ['migrations', markedBlock('docs/share.md', 'migrations')],
])('counts and lists with the classes in [%s]', async (name, declared) => {
  await using started = await startWith(name, declared)
  const { worker, json } = started
  expect((await json('GET', '/healthz')).body).not.toHaveProperty('warnings')
  const file = { fileName: 'offer.txt', mimetype: 'text/plain' }
  const { body: upload } = await json('POST', '/files/upload-url', file)
  await fetch(upload.uploadUrl, { method: 'PUT', headers: upload.headers, body: 'the offer' })

  const asked = { key: upload.key, uses: 1, deadline: inAnHour(), password: 'open sesame' }
  const { status, body: grant } = await json('POST', '/grants', asked)
  expect(status, JSON.stringify(grant)).toBe(201)
  const use = (password: string) =>
    fetch(grant.url, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ password }),
    })
  expect((await use('wrong')).status).toBe(403)
  const uses = await Promise.all(Array.from({ length: 8 }, () => use('open sesame')))
  expect(uses.map((one) => one.status).toSorted()).toEqual([303, ...Array(7).fill(410)])
  const link = uses.find((one) => one.status === 303)?.headers.get('Location') ?? ''
  expect(await (await fetch(link)).text()).toBe('the offer')
  expect((await json('GET', '/grants')).body).toMatchObject({
    grants: [{ id: grant.id, usesLeft: 0 }],
  })

  const limits = { maxFiles: 1, maxBytes: 100, maxTotalBytes: 100 }
  const wanted = { prefix: 'inbox/', deadline: inAnHour(), from: 'ACME', title: 'Files', ...limits }
  const { body: box } = await json('POST', '/drop-boxes', wanted)
  const { token } = (await json('POST', `${new URL(box.url).pathname}/token`, {})).body
  const send = async () => {
    const response = await fetch(`${worker.origin}/multipart`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify({ ...file, size: 9 }),
    })
    return response.status
  }
  expect([await send(), await send()]).toEqual([200, 429])
  expect((await json('GET', '/drop-boxes')).body).toMatchObject({ dropBoxes: [{ id: box.id }] })
  expect((await json('GET', '/upkeep')).body).toMatchObject({ buckets: [{ bucket: 'files' }] })
  expect(await worker.logs()).not.toContain(new URL(grant.url).pathname.slice('/g/'.length))
})

it('says what to declare if a class is exported, and not declared', async () => {
  await using started = await startWith('none', '')
  const { json } = started
  expect((await json('GET', '/healthz')).body).toMatchObject({
    warnings: expect.arrayContaining([
      'grants need Durable Objects',
      'drop boxes need Durable Objects',
      'upkeep needs Durable Objects',
    ]),
  })
  expect(await json('GET', '/grants')).toMatchObject({
    status: 503,
    body: {
      code: 'misconfigured',
      message: expect.stringMatching(/^Grants is not .* docs\/share\.md#set-it-up\.$/),
    },
  })
})

it('wrangler refuses both forms in one configuration', async () => {
  const both = EXPORTS + markedBlock('docs/share.md', 'migrations')
  await expect(startWith('both', both)).rejects.toThrow(/mutually exclusive/)
})
