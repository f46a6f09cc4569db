import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { AwsClient } from 'aws4fetch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { KEY_SCOPES } from '../../src/access/scopes.ts'
import type { FileRecord } from '../../src/records/file-record.ts'
import { testApiKey } from '../support/credentials.ts'
import { type OwnWorker, startOwnWorker } from './built-worker.ts'
import { runCommand, startCommand } from './command-process.ts'
import { startNodeServer } from './package/node-server.ts'

const SRC = join(import.meta.dirname, '../../src')
const PHOTOS = 100
const UPLOADS = 6
const DROPPED = 'edge-presigner-dropped.ndjson'

/** The members of a KV namespace that are used here. */
interface Namespace {
  delete(name: string): Promise<void>
  list(): Promise<{ keys: { name: string; metadata: object }[] }>
}

let directory: string
let s3: S3Server
let worker: OwnWorker
let key: string
let entry: Awaited<ReturnType<typeof testApiKey>>['entry']
let kv: Namespace

const at = (name: string): string => join(directory, name)

async function call<T>(path: string, method = 'GET', body?: object): Promise<T> {
  const response = await fetch(`${worker.origin}${path}`, {
    method,
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
  return (await response.json()) as T
}

const inIndex = async (): Promise<FileRecord[]> =>
  (await call<{ records: FileRecord[] }>('/index?from=kv&limit=1000')).records

const entriesOfKv = async () => JSON.stringify((await kv.list()).keys)

const upkeepOf = (url: string, ...args: readonly string[]) =>
  runCommand({
    ...{ program: 'upkeep-command.ts', args: [...args, '--url', url], folder: directory, key },
  })

const IMPORT = ['import', '--prefix', 'photos/', '--owner', 'photos/{owner}/']

const importOf = (url: string) => ({
  program: 'index-command.ts',
  args: [...IMPORT, '--owner-as', 'key:app/{owner}', '--url', url],
  ...{ folder: directory, key },
})

/** Puts objects into the bucket, past the presigner. */
async function putObjects(keys: readonly string[]): Promise<void> {
  const { accessKeyId, secretAccessKey, region, endpoint, bucket } = s3
  const client = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3' })
  for (const name of keys) {
    const headers = { 'Content-Type': 'image/jpeg' }
    const put = { method: 'PUT', headers, body: 'pixels' }
    expect((await client.fetch(`${endpoint}/${bucket}/${name}`, put)).status).toBe(200)
  }
}

async function removeObjects(keys: readonly string[]): Promise<void> {
  const { accessKeyId, secretAccessKey, region, endpoint, bucket } = s3
  const client = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3' })
  for (const name of keys) await client.fetch(`${endpoint}/${bucket}/${name}`, { method: 'DELETE' })
}

/** Makes every object as old as `days`. */
async function age(days: number): Promise<void> {
  const time = Date.now() / 1000 - days * 86_400
  for (const one of await readdir(at('s3'), { recursive: true, withFileTypes: true }))
    if (one.isFile()) await utimes(join(one.parentPath, one.name), time, time)
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  s3 = await startS3rver({
    ...{ directory: at('s3'), port: await freePort(), corsOrigins: ['http://localhost:9'] },
  })
  const made = await testApiKey('admin', KEY_SCOPES)
  key = made.token
  entry = made.entry
  const { endpoint, region, bucket } = s3
  worker = await startOwnWorker({
    buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
    accessKeys: { S3: s3 },
    variables: {
      API_KEYS: JSON.stringify([entry]),
      UPKEEP: JSON.stringify({ mode: 'record', plan: 'free' }),
    },
  })
  kv = (await worker.bindings()).FILE_INDEX as Namespace
})

afterAll(async () => {
  await worker?.close()
  await s3?.close()
  await rm(directory, { recursive: true })
})

describe('npx edge-presigner index import', () => {
  it('takes over a bucket of photos, also after it was killed in the middle', async () => {
    const photos = Array.from(
      { length: PHOTOS },
      (_, i) => `photos/${i % 3}/${String(i).padStart(4, '0')}.jpg`,
    ).toSorted()
    await putObjects(photos)
    await age(400)

    // A server in front of the Worker that lets one step through, and holds the answer of the next.
    const held = Promise.withResolvers<void>()
    let steps = 0
    let isHolding = true
    const proxy = createServer(async (request, response) => {
      const { url = '', headers } = request
      const body = await buffer(request)
      const answer = await fetch(`${worker.origin}${url}`, {
        method: 'POST',
        headers: {
          Authorization: headers.authorization ?? '',
          'Content-Type': 'application/json',
        },
        body,
      })
      steps += 1
      const text = await answer.text()
      if (isHolding && steps === 2) return held.resolve()
      return response.writeHead(answer.status).end(text)
    }).listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    const { port } = proxy.address() as AddressInfo
    const command = importOf(`http://127.0.0.1:${port}`)
    const child = startCommand(command)
    await held.promise
    child.kill('SIGKILL')
    await once(child, 'close')
    isHolding = false
    const before = (await inIndex()).length
    expect(before).toBeGreaterThan(0)
    expect(before).toBeLessThan(PHOTOS)

    const { code, output, errors } = await runCommand(command)
    proxy.closeAllConnections()
    proxy.close()
    expect([code, errors]).toEqual([0, ''])
    expect(output).toContain('Continues the pass of')
    const records = await inIndex()
    expect(records.map((one) => one.key)).toEqual(photos)
    for (const record of records)
      expect(record).toMatchObject({
        owner: `key:app/${record.key.split('/')[1]}`,
        name: record.key.split('/')[2],
        mimetype: 'image/jpeg',
        size: 6,
        status: 'found',
      })
    expect(Date.parse(records[0]?.createdAt ?? '')).toBeLessThan(Date.now() - 399 * 86_400_000)
  })
})

describe('npx edge-presigner upkeep', () => {
  let uploaded: string[]

  it('only reports with --dry-run, and then rebuilds an index that was lost', async () => {
    const request = Array.from({ length: UPLOADS }, () => ({
      ...{ fileName: 'cat.png', mimetype: 'image/png' },
    }))
    const { uploads } = await call<{ uploads: { key: string; uploadUrl: string }[] }>(
      ...['/files/upload-urls', 'POST', { files: request }],
    )
    for (const { uploadUrl } of uploads) {
      const headers = { 'Content-Type': 'image/png' }
      expect((await fetch(uploadUrl, { method: 'PUT', headers, body: 'hello' })).status).toBe(200)
    }
    uploaded = uploads.map((one) => one.key).toSorted()
    await call('/files/batch', 'POST', { files: uploaded.map((name) => ({ key: name })) })
    await age(40)
    for (const { name } of (await kv.list()).keys) await kv.delete(name)

    const before = await entriesOfKv()
    const report = await upkeepOf(worker.origin, '--dry-run')
    expect([report.code, report.errors]).toEqual([0, ''])
    expect(report.output).toContain(`files has ${PHOTOS + UPLOADS} objects and 0 records`)
    expect(report.output).toContain(`${UPLOADS} objects without a record\n`)
    expect(report.output).toContain(`${PHOTOS} objects without a record that are not`)
    expect(report.output).toContain('nothing was changed')
    expect(await entriesOfKv()).toBe(before)

    const { code, output, errors } = await upkeepOf(worker.origin)
    expect([code, errors]).toEqual([0, ''])
    expect(output).toContain(`${UPLOADS} records written`)
    const records = await inIndex()
    expect(records.map((one) => one.key).toSorted()).toEqual(uploaded)
    expect(new Set(records.map((one) => one.status))).toEqual(new Set(['found']))
  })

  it('stops at an empty bucket with code 2, and goes on only when told', async () => {
    await removeObjects([...(await listPhotos()), ...uploaded])
    const before = await entriesOfKv()
    const runs = [await upkeepOf(worker.origin), await upkeepOf(worker.origin)]
    // A person accepts one reason after the other.
    while (runs.at(-1)?.code === 2 && runs.length < 6)
      runs.push(await upkeepOf(worker.origin, '--go-on'))
    const reasons = runs.map(({ errors }) => /^Stopped: (.*)\. /.exec(errors)?.[1] ?? '')
    expect(reasons).toEqual(['empty list', 'empty list', 'shorter list', ''])
    expect(await entriesOfKv()).toBe(before)
    const { code, output } = runs.at(-1) ?? {}
    expect(code).toBe(0)
    expect(output).toContain(`${UPLOADS} records without an object wait for a second look`)
    expect((await inIndex()).length).toBe(UPLOADS)
    const shown = await upkeepOf(worker.origin, 'status')
    expect([shown.code, shown.errors]).toEqual([0, ''])
    expect(shown.output).toContain('files: ')
  })
})

const listPhotos = async (): Promise<string[]> =>
  (await readdir(at('s3'), { recursive: true }))
    .flatMap((path) => /files\/(photos\/.*)\._S3rver_object$/.exec(path)?.[1] ?? [])
    .toSorted()

/** A presigner on Node, without Durable Objects, whose clock `POST /later` sets eleven minutes ahead. */
const onNode = (settings: object, entries: readonly object[]) => `
import { createServer } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { createPresigner, defineSettings } from '${SRC}/index.ts'
import { apiKeys } from '${SRC}/plugins/api-keys/index.ts'
import { fileAdmin } from '${SRC}/plugins/files/admin/index.ts'
import { files } from '${SRC}/plugins/files/index.ts'
import { upkeep } from '${SRC}/plugins/upkeep/index.ts'
import { memoryFileIndex } from '${SRC}/testing.ts'

const { now } = Date
let ahead = 0
globalThis.Date = class extends Date {
  constructor(...args) { args.length === 0 ? super(now() + ahead) : super(...args) }
  static now() { return now() + ahead }
}
const index = memoryFileIndex()
const records = files({ index: () => index })
const presigner = createPresigner(defineSettings(() => (${JSON.stringify(settings)})), {
  plugins: [
    apiKeys({ keys: () => ${JSON.stringify(entries)} }),
    records,
    fileAdmin({ drivers: { memory: () => index } }),
    upkeep({ files: records, settings: { mode: 'record', plan: 'paid' } }),
  ],
  log: (line) => console.error(JSON.stringify(line)),
})
const server = createServer(async (request, response) => {
  const { method, url, headers } = request
  const body = await buffer(request)
  if (url === '/later') ahead = 11 * 60_000
  const answer = await presigner.fetch(
    new Request('http://localhost' + url, {
      method,
      headers: {
        Authorization: headers.authorization ?? '',
        'Content-Type': 'application/json',
      },
      ...(body.length > 0 && { body }),
    }),
    {},
  )
  response.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer()))
}).listen(0, 'localhost', () => console.log('http://localhost:' + server.address().port))
`

describe('npx edge-presigner upkeep with a presigner on Node', () => {
  it('keeps its state and dropped records in files, from which they can be restored', async () => {
    const { endpoint, region, bucket, accessKeyId, secretAccessKey } = s3
    const credentials = { accessKeyId, secretAccessKey }
    const settings = {
      buckets: { files: { endpoint, region, bucket, credentials } },
      signingSecrets: 'k1:0123456789abcdef0123456789abcdef',
    }
    await writeFile(at('host.ts'), onNode(settings, [entry]))
    await using host = await startNodeServer(directory, {}, ['host.ts'])
    const inMemory = async (): Promise<string[]> => {
      const headers = { Authorization: `Bearer ${key}` }
      const response = await fetch(`${host.origin}/index?from=memory&limit=10`, { headers })
      const { records } = (await response.json()) as { records: FileRecord[] }
      return records.map((one) => `${one.key} of ${one.owner}`)
    }

    const [kept, gone] = ['photos/1/kept.jpg', 'photos/1/gone.jpg']
    const both = [gone, kept].map((name) => `${name} of key:app/1`)
    await putObjects([kept, gone])
    await age(40)
    const imported = await runCommand(importOf(host.origin))
    expect([imported.code, imported.errors]).toEqual([0, ''])
    expect(await inMemory()).toEqual(both)
    await removeObjects([gone])

    const first = await upkeepOf(host.origin)
    expect([first.code, first.errors]).toEqual([0, ''])
    expect(first.output).toContain('1 record without an object waits for a second look')
    await fetch(`${host.origin}/later`, { method: 'POST' })
    const second = await upkeepOf(host.origin)
    expect([second.code, second.errors]).toEqual([0, ''])
    expect(second.output).toContain('1 record dropped')
    expect(await inMemory()).toEqual([`${kept} of key:app/1`])
    expect(await readFile(at('.edge-presigner-upkeep.json'), 'utf8')).not.toContain('photos/')

    const dropped = await upkeepOf(host.origin, 'dropped', '--bucket', 'files')
    expect(dropped.code).toBe(1)
    expect(dropped.errors).toContain(`index restore ${DROPPED}`)
    await putObjects([gone])
    const args = ['restore', DROPPED, '--to', 'memory', '--url', host.origin]
    const restored = await runCommand({
      ...{ program: 'index-command.ts', args, folder: directory, key },
    })
    expect([restored.code, restored.errors]).toEqual([0, ''])
    expect(await inMemory()).toEqual(both)
  })
})
