import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import * as z from 'zod/mini'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { markedBlock } from '../docs/support/markdown.ts'
import { type OwnWorker, startOwnWorker } from './built-worker.ts'
import { shared } from './shared.ts'
import { configWith } from './worker-config.ts'

/*
 * The built Worker with the real queues of workerd, as the blocks in wrangler.toml describe them, except
 * that a message dies after its first failure, and the Worker of docs/events.md that sends messages back.
 */

const PAGE = 'docs/events.md'
const uploadSchema = z.object({ key: z.string(), uploadUrl: z.string() })

let directory: string
let s3: S3Server
let worker: OwnWorker
let endpoint: Server
let isUp = false
const delivered: string[] = []
const refused: string[] = []

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'send-back-'))
  const corsOrigins = ['http://localhost'] as const
  s3 = await startS3rver({ port: 0, directory: join(directory, 's3'), corsOrigins })
  endpoint = createServer((request, response) => {
    ;(isUp ? delivered : refused).push(String(request.headers['webhook-id']))
    request.resume().on('end', () => response.writeHead(isUp ? 204 : 500).end())
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => endpoint.once('listening', resolve))
  const { port } = endpoint.address() as AddressInfo
  const { endpoint: at, region, bucket } = s3
  worker = await startOwnWorker({
    configPath: await configWithShortLives(),
    others: [await sendBack('jobs'), await sendBack('notifications')],
    buckets: { files: { endpoint: at, region, bucket, addressing: 'path', credentials: 'S3' } },
    accessKeys: { S3: s3 },
    variables: {
      OPEN_ACCESS: 'localhost',
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
  await writeFile(path, quick)
  await appendFile(
    path,
    '\n[[queues.producers]]\nbinding = "NOTIFICATIONS"\nqueue = "edge-presigner-notifications-dead"\n',
  )
  return path
}

/** Writes the Worker of the page that sends back what `queue` gave up. Returns its configuration. */
async function sendBack(queue: 'jobs' | 'notifications'): Promise<string> {
  const folder = join(directory, `send-back-${queue}`)
  await mkdir(folder)
  await writeFile(join(folder, 'worker.js'), markedBlock(PAGE, 'send-back-worker'))
  const config = markedBlock(PAGE, 'send-back-config')
  expect(config.match(/edge-presigner-jobs/g)).toHaveLength(2)
  const path = join(folder, 'wrangler.toml')
  const named = config.replace('name = "send-back"', `name = "send-back-${queue}"`)
  await writeFile(path, named.replaceAll('edge-presigner-jobs', `edge-presigner-${queue}`))
  return path
}

async function call(method: string, path: string, body?: object): Promise<unknown> {
  const headers = { 'Content-Type': 'application/json' }
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

// @threat dead-letter-lost
it('the Worker of the page sends an event back until its endpoint is up again', async () => {
  const key = await upload('event.txt')
  await call('POST', '/files', { key, name: 'Event' })
  // Each message dies at its first failure, so the second one came back.
  await expect.poll(() => refused.length).toBeGreaterThan(1)
  isUp = true
  await expect.poll(() => delivered).toHaveLength(1)
  expect(new Set([...refused, ...delivered]).size).toBe(1)
})

it('the Worker of the page sends back a notification', async () => {
  const { NOTIFICATIONS } = await worker.bindings()
  const { send } = NOTIFICATIONS as { send: (body: object) => Promise<void> }
  await send({ account: '', action: 'CopyObject', bucket: 'unknown', object: { key: 'a' } })
  await expect.poll(() => worker.logs()).toContain('"route":"edge-presigner-notifications"')
})
