import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AwsClient } from 'aws4fetch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import type { S3Server } from '../../dev/s3-server.ts'
import { startS3rver } from '../../dev/s3rver.ts'
import { type BuiltWorker, startBuiltWorker } from './built-worker.ts'
import { configWithQueues } from './queue-config.ts'
import { shared } from './shared.ts'

/* The built Worker with the real queue of workerd, as the block in wrangler.toml describes it. */

const uploadSchema = z.object({ key: z.string(), uploadUrl: z.string() })
const listSchema = z.object({
  files: z.array(z.object({ key: z.string(), name: z.string(), owner: z.nullable(z.string()) })),
})

let directory: string
let s3: S3Server
let worker: BuiltWorker
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'notifications-'))
  s3 = await startS3rver({
    port: 0,
    directory: join(directory, 's3'),
    corsOrigins: ['http://localhost'],
  })
  const { endpoint, region, bucket } = s3
  worker = await startBuiltWorker({
    configPath: await configWithProducer(),
    buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
    accessKeys: { S3: s3 },
    variables: { OPEN_ACCESS: 'localhost' },
  })
})
afterAll(async () => {
  await worker.close()
  await s3.close()
  await rm(directory, { recursive: true })
})

/** Adds what R2 is in production: a producer. */
async function configWithProducer(): Promise<string> {
  const path = await configWithQueues(directory, await shared('worker'))
  const text = await readFile(path, 'utf8')
  const quick = text.replace('max_batch_timeout = 5', 'max_batch_timeout = 1')
  expect(quick).not.toBe(text)
  await writeFile(path, quick)
  await appendFile(
    path,
    '\n[[queues.producers]]\nbinding = "NOTIFICATIONS"\nqueue = "edge-presigner-notifications"\n',
  )
  return path
}

async function call(method: string, path: string, body?: object): Promise<unknown> {
  const response = await fetch(worker.origin + path, {
    method,
    ...(body && {
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    }),
  })
  return response.status === 204 ? null : response.json()
}

/** Uploads a file without recording it. */
async function upload(fileName: string): Promise<string> {
  const file = { fileName, mimetype: 'text/plain' }
  const { key, uploadUrl } = uploadSchema.parse(await call('POST', '/files/upload-url', file))
  const headers = { 'Content-Type': 'text/plain' }
  expect((await fetch(uploadUrl, { method: 'PUT', headers, body: fileName })).status).toBe(200)
  return key
}

/** R2's message about a change, `age` seconds ago. */
const message = (key: string, age: number, action = 'PutObject', bucket = s3.bucket) => ({
  account: '3f4b7e3dcab231cbfdaa90a6a28bd548',
  action,
  bucket,
  object: { key },
  eventTime: new Date(Date.now() - age * 1000).toISOString(),
})

/** The binding of a producer. */
interface Producer {
  sendBatch(messages: readonly { readonly body: unknown }[]): Promise<unknown>
}

async function send(...bodies: unknown[]): Promise<void> {
  const { NOTIFICATIONS } = await worker.bindings()
  await (NOTIFICATIONS as Producer).sendBatch(bodies.map((body) => ({ body })))
}

/** Returns how many notifications found a record that was already right. */
const countKnown = (): number =>
  [...worker.logs().matchAll(/\bknown (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0)

/** Name and owner of each recorded file, by its key. */
async function listed(): Promise<Record<string, string | null>> {
  const { files } = listSchema.parse(await call('GET', '/files'))
  return Object.fromEntries(files.map(({ key, name, owner }) => [key, `${name} ${owner}`]))
}

describe('a queue with notifications of R2', () => {
  it('records what nobody confirmed, keeps what somebody confirmed, and removes what is gone', async () => {
    const [closed, confirmed, deleted, young] = [
      await upload('closed.txt'),
      await upload('confirmed.txt'),
      await upload('deleted.txt'),
      await upload('young.txt'),
    ] as const
    await call('POST', '/files', { key: confirmed, name: 'Confirmed' })
    await call('POST', '/files', { key: deleted, name: 'Deleted' })
    const bucket = new AwsClient({ ...s3, service: 's3', region: s3.region })
    await bucket.fetch(`${s3.endpoint}/${s3.bucket}/${deleted}`, { method: 'DELETE' })

    const others = Array.from({ length: 9 }, (_, i) => message(`backups/${i}`, 60))
    const sentAt = Date.now()
    await send(
      message(deleted, 60, 'DeleteObject'),
      message(young, 26),
      message(confirmed, 60),
      ...others,
      'malformed',
      message(closed, 60, 'PutObject', 'other'),
      message(closed, 60),
      message(deleted, 60),
      message(closed, 60, 'DeleteObject'),
    )
    await expect.poll(listed).toEqual({
      [closed]: 'closed.txt null',
      [confirmed]: 'Confirmed localhost',
      [young]: 'young.txt null',
    })
    // It waited in the queue until it was 30 seconds old.
    expect(Date.now() - sentAt).toBeGreaterThan(3500)

    await call('POST', '/files', { key: closed, name: 'Closed' })
    const before = countKnown()
    await send(message(closed, 60), message(closed, 60, 'DeleteObject'))
    await expect.poll(countKnown).toBe(before + 2)
    expect(await listed()).toMatchObject({ [closed]: 'Closed localhost' })

    const log = worker.logs()
    expect(log).toContain('"method":"QUEUE","route":"edge-presigner-notifications"')
    expect(log).toMatch(/notifications dropped: [^"]*key not managed \d/)
    for (const key of [closed, confirmed, deleted, young, 'backups']) expect(log).not.toContain(key)
  })
})
