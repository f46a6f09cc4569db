import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { freePort } from '../../../cli/ports.ts'
import { startS3rver } from '../../../cli/s3rver.ts'
import { startOwnWorker } from '../built-worker.ts'
import { sdkClient } from '../contract/context.ts'
import { configWith } from '../worker-config.ts'
import { emptyLedger, type Ledger, runClient } from './client.ts'
import { type BucketFailures, failingBucket, Receiver, randomFrom } from './faults.ts'

export interface SoakOptions {
  /** Path of the configuration of the Worker's bundle. */
  readonly bundle: string
  readonly uploads: number
  readonly clients: number
  readonly seed: number
  /** The share of requests to the bucket that fail. */
  readonly bucketFailures: number
  /** The share of webhooks that the receiver refuses. */
  readonly webhookFailures: number
  /** Seconds between restarts of the receiver. Infinity for none. */
  readonly restartSeconds: number
  /** How long the last events may take to arrive. */
  readonly eventSeconds: number
  /** Receives a line of progress now and then. */
  readonly report?: (line: string) => void
}

export interface SoakResult extends Omit<Ledger, 'files' | 'deleted' | 'events'> {
  readonly files: number
  readonly deleted: number
  readonly events: { readonly expected: number; readonly received: number }
  readonly bucket: BucketFailures
  readonly receiver: { readonly restarts: number; readonly refused: number }
  readonly seconds: number
  /** What was lost, is there twice, or is wrong. Empty if all is well. */
  readonly problems: readonly string[]
}

const KEEP = 'uploads/keep'
const SCOPES = ['files:upload', 'files:read', 'files:list', 'files:delete']
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

/**
 * Uploads files with several clients at once to the built Worker, with its real index and queue, an
 * S3 server that fails now and then, and a receiver of webhooks that is killed now and then. Then
 * compares the index, the bucket and the events with what the clients did.
 */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'soak-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const random = randomFrom(options.seed)
  const bucket: BucketFailures = { busy: 0, dropped: 0, lost: 0 }
  let bucketFailures = 0
  const s3 = await startS3rver(
    { port: 0, directory: join(directory, 's3'), corsOrigins: ['http://localhost'] },
    (ctx, next) =>
      bucketFailures === 0 ? next() : failingBucket(bucketFailures, random, bucket)(ctx, next),
  )
  stack.defer(() => s3.close())
  const sdk = sdkClient(s3, s3)
  stack.defer(() => sdk.destroy())
  // s3rver removes an empty folder, and with it a file that another request is just writing there.
  await sdk.send(new PutObjectCommand({ Bucket: s3.bucket, Key: KEEP, Body: 'kept' }))

  const receiver = new Receiver(await freePort(), options.webhookFailures, random)
  await receiver.start()
  stack.defer(() => receiver.stop())
  const keys = Array.from({ length: options.clients }, (_, i) => {
    const id = `client${i}`
    const token = `ep_${id}_${randomBytes(32).toString('base64url')}`
    const sha256 = createHash('sha256').update(token).digest('hex')
    return { id, token, entry: { id, sha256, scopes: SCOPES, prefix: '' } }
  })
  const worker = await startOwnWorker({
    configPath: await configWith('queues', directory, options.bundle),
    buckets: {
      files: {
        endpoint: s3.endpoint,
        region: s3.region,
        bucket: s3.bucket,
        addressing: 'path',
        credentials: 'S3',
      },
    },
    accessKeys: { S3: s3 },
    variables: {
      API_KEYS: JSON.stringify(keys.map(({ entry }) => entry)),
      WEBHOOKS: JSON.stringify([
        { url: `http://127.0.0.1:${receiver.port}/`, secret: SECRET, private: true },
      ]),
    },
  })
  stack.defer(() => worker.close())

  const ledger = emptyLedger()
  const begin = performance.now()
  let restarting = Promise.resolve()
  const restarts =
    options.restartSeconds === Infinity
      ? undefined
      : setInterval(() => {
          restarting = restarting.then(() => receiver.restart())
        }, options.restartSeconds * 1000)
  const progress = setInterval(
    () => options.report?.(`${ledger.uploads} uploads, ${receiver.events.size} events`),
    10_000,
  )
  bucketFailures = options.bucketFailures
  try {
    const share = Math.ceil(options.uploads / keys.length)
    await Promise.all(
      keys.map((key, i) => {
        const count = Math.min(share, options.uploads - i * share)
        const own = randomFrom(options.seed + i + 1)
        return runClient(worker.origin, key, Math.max(count, 0), own, ledger)
      }),
    )
  } finally {
    bucketFailures = 0
    clearInterval(restarts)
    await restarting
  }
  const seconds = (performance.now() - begin) / 1000
  try {
    await allArrive(ledger, receiver, options.eventSeconds)
  } finally {
    clearInterval(progress)
  }
  const token = keys[0]?.token ?? ''
  const stored = await storedObjects(join(directory, 's3', s3.bucket))
  const { files, deleted, events, ...counts } = ledger
  return {
    ...counts,
    files: files.size,
    deleted: deleted.size,
    events: { expected: events.size, received: sum(receiver.events.values()) },
    bucket,
    receiver: { restarts: receiver.restarts, refused: receiver.refused },
    seconds,
    problems: [
      ...compareIndex(ledger, await listAll(worker.origin, token)),
      ...compareBucket(ledger, stored),
      ...[...events].filter((name) => !receiver.events.has(name)).map((name) => `no event ${name}`),
    ],
  }
}

const sum = (numbers: Iterable<number>): number => [...numbers].reduce((a, b) => a + b, 0)

/** Waits until every event has arrived, but not longer than `seconds`. */
async function allArrive({ events }: Ledger, receiver: Receiver, seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000
  while (performance.now() < end && ![...events].every((name) => receiver.events.has(name)))
    await new Promise((resolve) => setTimeout(resolve, 100))
}

/** Returns the keys and ETags of all objects in a folder of s3rver. */
async function storedObjects(folder: string): Promise<(readonly [string, string])[]> {
  const names = await readdir(folder, { recursive: true })
  const keys = names.flatMap((name) => /^(.*)\._S3rver_object$/.exec(name)?.[1] ?? [])
  return Promise.all(
    keys
      .filter((key) => key !== KEEP)
      .map(async (key) => {
        const md5 = await readFile(join(folder, `${key}._S3rver_object.md5`), 'utf8')
        return [key, `"${md5}"`] as const
      }),
  )
}

interface Listed {
  readonly key: string
  readonly name: string
  readonly size: number
  readonly etag: string
  readonly owner: string
}

async function listAll(origin: string, token: string): Promise<Listed[]> {
  const records: Listed[] = []
  let cursor: string | undefined
  do {
    const query = new URLSearchParams({ limit: '1000', ...(cursor && { cursor }) })
    const headers = { Authorization: `Bearer ${token}` }
    const response = await fetch(`${origin}/files?${query}`, { headers })
    if (response.status !== 200) throw new Error(`The list failed: ${await response.text()}`)
    const page = (await response.json()) as { files: Listed[]; cursor?: string }
    records.push(...page.files)
    cursor = page.cursor
  } while (cursor !== undefined)
  return records
}

function compareIndex({ files }: Ledger, records: readonly Listed[]): string[] {
  const listed = new Map(records.map((record) => [record.key, record]))
  const wrong = [...files].flatMap(([key, expected]) => {
    const record = listed.get(key)
    if (record === undefined) return [`lost record of ${key}`]
    const { name, size, etag, owner } = record
    const actual = JSON.stringify({ name, size, owner, etag })
    return actual === JSON.stringify(expected)
      ? []
      : [`wrong record of ${key}: ${actual} instead of ${JSON.stringify(expected)}`]
  })
  const unknown = [...listed.keys()].filter((key) => !files.has(key))
  return [
    ...wrong,
    ...unknown.map((key) => `record of a deleted or unknown file: ${key}`),
    ...(records.length === listed.size ? [] : ['records that are listed twice']),
  ]
}

function compareBucket(
  { files }: Ledger,
  stored: readonly (readonly [string, string])[],
): string[] {
  const objects = new Map(stored)
  return [
    ...[...files].flatMap(([key, { etag }]) =>
      objects.get(key) === etag
        ? []
        : [`${objects.has(key) ? 'wrong' : 'lost'} object ${key}: ${objects.get(key)}`],
    ),
    ...[...objects.keys()]
      .filter((key) => !files.has(key))
      .map((key) => `object of a deleted or unknown file: ${key}`),
  ]
}
