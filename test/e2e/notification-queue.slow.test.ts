import { createHash } from 'node:crypto'
import { appendFile, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { type OwnWorker, startOwnWorker } from './built-worker.ts'
import { shared } from './shared.ts'
import { configWith } from './worker-config.ts'

/* The built Worker with the real queue of workerd, as the block in wrangler.toml describes it. */

const uploadSchema = z.object({ key: z.string(), uploadUrl: z.string() })
const listSchema = z.object({
  files: z.array(z.object({ key: z.string(), name: z.string(), owner: z.nullable(z.string()) })),
})

let directory: string
let s3: S3Server
let worker: OwnWorker
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'notifications-'))
  s3 = await startS3rver({
    port: 0,
    directory: join(directory, 's3'),
    corsOrigins: ['http://localhost'],
  })
  const { endpoint, region, bucket } = s3
  worker = await startOwnWorker({
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
  const path = await configWith('queues', directory, await shared('worker'))
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

/** Uploads a file without recording it. Its object is `age` seconds old. */
async function upload(fileName: string, age: number): Promise<string> {
  const file = { fileName, mimetype: 'text/plain' }
  const { key, uploadUrl } = uploadSchema.parse(await call('POST', '/files/upload-url', file))
  const headers = { 'Content-Type': 'text/plain' }
  expect((await fetch(uploadUrl, { method: 'PUT', headers, body: fileName })).status).toBe(200)
  await setAge(key, age)
  return key
}

/** Makes an object look `age` seconds old. */
async function setAge(key: string, age: number): Promise<void> {
  const date = new Date(Date.now() - age * 1000)
  await utimes(join(directory, 's3', s3.bucket, `${key}._S3rver_object`), date, date)
}

/** R2's message about an upload of a file called `fileName`, `age` seconds ago. */
const message = (key: string, fileName: string, age: number, bucket = s3.bucket) => ({
  account: '3f4b7e3dcab231cbfdaa90a6a28bd548',
  action: 'PutObject',
  bucket,
  object: { key, eTag: createHash('md5').update(fileName).digest('hex') },
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
const countKnown = async (): Promise<number> =>
  [...(await worker.logs()).matchAll(/\bknown (\d+)/g)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  )

/** Name and owner of each recorded file, by its key. */
async function listed(): Promise<Record<string, string | null>> {
  const { files } = listSchema.parse(await call('GET', '/files'))
  return Object.fromEntries(files.map(({ key, name, owner }) => [key, `${name} ${owner}`]))
}

describe('a queue with notifications of R2', () => {
  it('records what nobody confirmed when it is old enough, and keeps what somebody confirmed', async () => {
    const [closed, confirmed, young, unseen] = [
      await upload('closed.txt', 600),
      await upload('confirmed.txt', 600),
      await upload('young.txt', 600),
      await upload('unseen.txt', 600),
    ] as const
    await call('POST', '/files', { key: confirmed, name: 'Confirmed' })
    await call('POST', '/files', { key: young, name: 'Young' })

    const others = Array.from({ length: 9 }, (_, i) => message(`backups/${i}`, 'backup', 600))
    // Its first delivery comes within ten seconds, also on a loaded machine.
    const agedAt = Date.now()
    await setAge(closed, 80)
    await send(
      message(young, 'young.txt', 86),
      message(confirmed, 'confirmed.txt', 600),
      ...others,
      'malformed',
      message(closed, 'closed.txt', 600, 'other'),
      message(closed, 'closed.txt', 600),
      message(unseen, 'unseen.txt', 600),
    )
    await expect.poll(listed).toEqual({
      [closed]: 'closed.txt null',
      [confirmed]: 'Confirmed localhost',
      [young]: 'Young localhost',
    })
    // It waited in the queue until its object was 90 seconds old.
    expect(Date.now() - agedAt).toBeGreaterThan(9500)
    await expect.poll(countKnown).toBe(2)

    await call('POST', '/files', { key: closed, name: 'Closed' })
    await send(message(closed, 'closed.txt', 600), message(closed, 'closed.txt', 600))
    await expect.poll(countKnown).toBe(4)
    // A second look, 90 seconds after the first one, is needed for the last file.
    expect(await listed()).toEqual({
      [closed]: 'Closed localhost',
      [confirmed]: 'Confirmed localhost',
      [young]: 'Young localhost',
    })

    const log = await worker.logs()
    expect(log).toContain('"method":"QUEUE","route":"edge-presigner-notifications"')
    expect(log).toMatch(/notifications dropped: [^"]*key not managed \d/)
    for (const key of [closed, confirmed, young, unseen, 'backups']) expect(log).not.toContain(key)
  })
})
