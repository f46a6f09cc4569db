import { createHash } from 'node:crypto'
import { appendFile, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { type OwnWorker, startOwnWorker } from './built-worker.ts'
import { runCommand } from './command-process.ts'
import { shared } from './shared.ts'
import { configWith } from './worker-config.ts'

/*
 * The built Worker with the real queues of workerd, as the blocks in wrangler.toml describe them, except
 * that a message dies after its first failure.
 */

const KEY = 'ep_admin_0123456789abcdef0123456789abcdef0123456789a'
const SCOPES = ['files:upload', 'files:list', 'files:read', 'upkeep:run']
const uploadSchema = z.object({ key: z.string(), uploadUrl: z.string() })
const letterSchema = z.object({
  id: z.string(),
  queue: z.string(),
  body: z.looseObject({}),
  reason: z.nullable(z.string()),
})

let directory: string
let s3: S3Server
let worker: OwnWorker
let endpoint: Server
let isUp = false
const delivered: string[] = []

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dead-letters-'))
  const corsOrigins = ['http://localhost'] as const
  s3 = await startS3rver({ port: 0, directory: join(directory, 's3'), corsOrigins })
  endpoint = createServer((request, response) => {
    if (isUp) delivered.push(String(request.headers['webhook-id']))
    request.resume().on('end', () => response.writeHead(isUp ? 204 : 500).end())
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => endpoint.once('listening', resolve))
  const { port } = endpoint.address() as AddressInfo
  const { endpoint: at, region, bucket } = s3
  worker = await startOwnWorker({
    configPath: await configWithShortLives(),
    buckets: { files: { endpoint: at, region, bucket, addressing: 'path', credentials: 'S3' } },
    accessKeys: { S3: s3 },
    variables: {
      API_KEYS: JSON.stringify([
        {
          ...{ id: 'admin', scopes: SCOPES, prefix: '' },
          sha256: createHash('sha256').update(KEY).digest('hex'),
        },
      ]),
      WEBHOOKS: JSON.stringify([
        {
          url: `http://127.0.0.1:${port}/hooks`,
          secret: `whsec_${Buffer.alloc(32, 7).toString('base64')}`,
          private: true,
        },
      ]),
    },
  })
})
afterAll(async () => {
  await worker?.close()
  endpoint?.close()
  await s3?.close()
  await rm(directory, { recursive: true })
})

/** Lets messages die after their first failure, and adds what R2 is in production: a producer. */
async function configWithShortLives(): Promise<string> {
  const path = await configWith('queues', directory, await shared('worker'))
  const text = await readFile(path, 'utf8')
  const quick = text
    .replaceAll('max_retries = 24', 'max_retries = 0')
    .replaceAll('max_batch_timeout = 5', 'max_batch_timeout = 1')
  expect(quick.match(/max_retries = 0/g)).toHaveLength(2)
  expect(quick.match(/queue = "[a-z-]+-dead"\nmax_batch/g)).toHaveLength(2)
  await writeFile(path, quick)
  await appendFile(
    path,
    '\n[[queues.producers]]\nbinding = "NOTIFICATIONS"\nqueue = "edge-presigner-notifications-dead"\n',
  )
  return path
}

async function call(method: string, path: string, body?: object): Promise<unknown> {
  const headers = { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' }
  const init = { method, headers, ...(body && { body: JSON.stringify(body) }) }
  const response = await fetch(worker.origin + path, init)
  if (!response.ok) throw new Error(`${path} answered ${await response.text()}`)
  return response.json()
}

/** Uploads a file without recording it. */
async function upload(fileName: string): Promise<string> {
  const asked = await call('POST', '/files/upload-url', { fileName, mimetype: 'text/plain' })
  const { key, uploadUrl } = uploadSchema.parse(asked)
  const headers = { 'Content-Type': 'text/plain' }
  expect((await fetch(uploadUrl, { method: 'PUT', headers, body: fileName })).ok).toBe(true)
  return key
}

const deadLetters = (...args: readonly string[]) =>
  runCommand({
    ...{ program: 'dead-letters-command.ts', args: [...args, '--url', worker.origin] },
    ...{ folder: directory, key: KEY },
  })

const list = async () =>
  (await deadLetters('list')).output
    .split('\n')
    .filter(Boolean)
    .map((line) => letterSchema.parse(JSON.parse(line)))

describe('npx edge-presigner dead-letters', () => {
  // @threat dead-letter-lost
  it('lists and replays an event that died, once its endpoint is up again', async () => {
    const key = await upload('event.txt')
    await call('POST', '/files', { key, name: 'Event' })
    await expect.poll(list).toHaveLength(1)
    const [letter] = await list()
    expect(letter).toMatchObject({ queue: 'edge-presigner-jobs', reason: null })
    expect(JSON.stringify(letter?.body)).toContain(key)
    const id = letter?.id ?? ''

    const vain = await deadLetters('replay', id)
    expect(vain).toMatchObject({ code: 1, output: '1 failed\n' })
    expect(vain.errors).toBe(`${id}: status 500\n`)
    expect(await list()).toMatchObject([{ id, reason: 'status 500' }])

    isUp = true
    expect(await deadLetters('replay', '--all')).toMatchObject({ code: 0, output: '1 replayed\n' })
    expect(delivered).toHaveLength(1)
    expect(await deadLetters('replay', '--all')).toMatchObject({
      ...{ code: 0, output: 'There are no dead letters.\n' },
    })
    expect(await deadLetters('replay', id)).toMatchObject({ code: 0, output: '1 missing\n' })
  })

  it('records the upload of a notification that died', async () => {
    const key = await upload('notified.txt')
    const old = new Date(Date.now() - 600_000)
    await utimes(join(directory, 's3', s3.bucket, `${key}._S3rver_object`), old, old)
    const { NOTIFICATIONS } = await worker.bindings()
    const object = { key, eTag: createHash('md5').update('notified.txt').digest('hex') }
    const { send } = NOTIFICATIONS as { send: (body: object) => Promise<void> }
    await send({
      ...{ account: '3f4b7e3dcab231cbfdaa90a6a28bd548', action: 'PutObject', bucket: s3.bucket },
      ...{ object, eventTime: old.toISOString() },
    })
    await expect.poll(list).toMatchObject([{ queue: 'edge-presigner-notifications' }])
    expect(await deadLetters('replay', '--all')).toMatchObject({ code: 0, output: '1 replayed\n' })
    expect(JSON.stringify(await call('GET', '/files'))).toContain(key)
    for (const secret of [key, 'notified.txt']) expect(await worker.logs()).not.toContain(secret)
    expect(await worker.logs()).toContain('dead letters kept: 1')
  })

  it.each([[[]], [['list', 'x']], [['replay']], [['replay', '--all', 'x']], [['--fast']]])(
    'shows the usage for %j',
    async (args) => {
      const { code, output, errors } = await deadLetters(...args)
      expect({ code, output }).toEqual({ code: 1, output: '' })
      expect(errors).toContain('npx edge-presigner dead-letters list')
    },
  )
})
