import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { AwsClient } from 'aws4fetch'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { waitUntil } from '../../cli/wait-until.ts'
import { KEY_SCOPES } from '../../src/access/scopes.ts'
import type { FileRecord } from '../../src/records/file-record.ts'
import { testApiKey } from '../support/credentials.ts'
import { shared } from './shared.ts'

const WRANGLER = join(import.meta.dirname, '../../node_modules/wrangler/bin/wrangler.js')
const OPERATIONS = 800
const AT_ONCE = 6
/** The operations at which workerd is killed. */
const KILLS = [100, 250, 400, 550, 700]
/** Objects that somebody deletes in the bucket's own console: fewer than the brake allows. */
const VANISHED = 5
/** Second looks come after ten minutes. */
const MINUTES = 20

let directory: string
let s3: S3Server
let bucket: AwsClient
/** A principal may send so many requests in a minute, so each of those at work is another one. */
let tokens: readonly string[]
let port: number
let child: ChildProcess

const at = (name: string): string => join(directory, name)

/** Starts the built Worker with everything that it has stored so far. */
async function startWorker(): Promise<void> {
  const config = await shared('worker')
  const args = ['dev', '--config', config, '--ip', '127.0.0.1', '--port', `${port}`]
  const stored = [
    '--persist-to',
    at('state'),
    '--env-file',
    at('env'),
    '--show-interactive-dev-session=false',
  ]
  child = spawn('node', [WRANGLER, ...args, ...stored, '--inspector-port', `${await freePort()}`], {
    ...{ cwd: directory, detached: true, stdio: ['ignore', 'ignore', 'inherit'] },
    env: { ...process.env, CI: '1', WRANGLER_SEND_METRICS: 'false' },
  })
  const isUp = () =>
    fetch(`http://127.0.0.1:${port}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    )
  await waitUntil('the Worker starts', isUp, 120)
}

/** Ends wrangler and workerd, as a power failure does. */
async function kill(): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  process.kill(-child.pid, 'SIGKILL')
  await exited
}

/** Sends a request as one of those at work, or as the one after them, who looks after upkeep. */
async function call<T>(method: string, path: string, body?: object, by = AT_ONCE): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { Authorization: `Bearer ${tokens[by]}`, 'Content-Type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  if (!response.ok)
    throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return (response.status === 204 ? undefined : await response.json()) as T
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  s3 = await startS3rver({ directory: at('s3'), port: 0, corsOrigins: ['http://localhost:9'] })
  const { accessKeyId, secretAccessKey, region, endpoint } = s3
  bucket = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3' })
  const keys = await Promise.all(
    Array.from({ length: AT_ONCE + 1 }, (_, i) => testApiKey(`user-${i}`, KEY_SCOPES)),
  )
  tokens = keys.map(({ token }) => token)
  port = await freePort()
  const files = { endpoint, region, bucket: s3.bucket, addressing: 'path', credentials: 'S3' }
  const variables = {
    BUCKETS: JSON.stringify({ files }),
    ...{ S3_ACCESS_KEY_ID: accessKeyId, S3_SECRET_ACCESS_KEY: secretAccessKey },
    SIGNING_SECRETS: `test:${'0123456789abcdef'.repeat(2)}`,
    API_KEYS: JSON.stringify(keys.map(({ entry }) => entry)),
    UPKEEP: JSON.stringify({ mode: 'record', plan: 'paid' }),
  }
  const lines = Object.entries(variables).map(([name, value]) => `${name}='${value}'\n`)
  await writeFile(at('env'), lines.join(''))
  await startWorker()
})

afterAll(async () => {
  await kill()
  await s3?.close()
  await rm(directory, { recursive: true })
})

const objectUrl = (key: string) => `${s3.endpoint}/${s3.bucket}/${key}`

/** Keys whose record was confirmed by their owner, and those that their owner has begun to delete. */
const confirmed = new Map<string, string>()
const deleted = new Set<string>()
/** Objects whose bytes are known. */
const stored: string[] = []

/** Makes an object two hours old: a walk leaves those alone that a client may still be recording. */
async function age(key: string): Promise<void> {
  const time = Date.now() / 1000 - 7200
  const folder = dirname(join(at('s3'), s3.bucket, key))
  for (const name of await readdir(folder))
    if (name.startsWith(basename(key))) await utimes(join(folder, name), time, time)
}

/** Uploads a file, and returns its key. */
async function upload(content: string, by: number): Promise<string> {
  const request = { fileName: 'a.txt', mimetype: 'text/plain' }
  const made = await call<{ key: string; uploadUrl: string; headers: Record<string, string> }>(
    ...(['POST', '/files/upload-url', request, by] as const),
  )
  const put = { method: 'PUT', headers: made.headers, body: content }
  if (!(await fetch(made.uploadUrl, put)).ok) throw new Error('PUT')
  stored.push(made.key)
  await age(made.key)
  return made.key
}

async function record(key: string, by: number): Promise<void> {
  const { owner } = await call<FileRecord>('POST', '/files', { key }, by)
  confirmed.set(key, owner ?? '')
}

/** Does one operation of a user or of another program. It may fail at any point. */
async function operate(number: number, by: number): Promise<void> {
  const kind = number % 10
  const key = stored[(number * 7) % Math.max(1, stored.length)] ?? ''
  if (kind === 9 && key !== '') {
    deleted.add(key)
    await call('DELETE', `/files/${encodeURIComponent(key)}`, undefined, by)
  } else if (kind === 8 && key !== '') {
    const body = { name: `name ${number}.txt` }
    await call('PATCH', `/files/${encodeURIComponent(key)}`, body, by)
  } else {
    const made = await upload(`content ${number}`, by)
    // Some browsers close before they record their upload.
    if (kind !== 7) await record(made, by)
  }
}

/** Returns the keys and ETags of the bucket's objects. */
async function objects(): Promise<Map<string, string>> {
  const list = await bucket.fetch(`${s3.endpoint}/${s3.bucket}?list-type=2&max-keys=1000`)
  const text = await list.text()
  expect(text).toContain('<IsTruncated>false')
  const found = text.matchAll(/<Key>(.*?)<\/Key>.*?<ETag>(?:&quot;|")?(\w+)/gs)
  return new Map([...found].map(([, key = '', etag = '']) => [key, etag]))
}

interface Status {
  readonly phase: string
  readonly stopped: unknown
  readonly startedAt: string
  readonly last: { readonly counts: object } | null
}

it(
  'makes index and bucket equal after five crashes of workerd, and no file loses its owner',
  async () => {
    let next = 0
    let crash: Promise<void> | null = null
    let failures = 0
    const worker = async (by: number) => {
      while (next < OPERATIONS) {
        const number = next++
        if (KILLS.includes(number)) crash = kill().then(startWorker)
        // Those in flight fail. The others wait until it is up again.
        else if (crash !== null) await crash
        try {
          await operate(number, by)
        } catch {
          failures += 1
          await crash
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, (_, by) => worker(by)))
    await crash
    expect(failures).toBeGreaterThan(0)
    expect(failures).toBeLessThan(OPERATIONS / 4)

    const vanished = [...confirmed.keys()].filter((key) => !deleted.has(key)).slice(0, VANISHED)
    for (const key of vanished) await bucket.fetch(objectUrl(key), { method: 'DELETE' })

    const order = { bucket: 'files' }
    const { startedAt: pass } = await call<Status>('POST', '/upkeep/walk', order)
    // A crash in the middle of the walk, too: its alarm is stored.
    await kill()
    await startWorker()
    let status: Status | null = null
    const end = Date.now() + MINUTES * 60_000
    while (Date.now() < end) {
      status = await call<Status>('POST', '/upkeep/walk', { ...order, pass })
      if (status.phase === 'idle' || status.stopped !== null) break
      await delay(5000)
    }
    expect(status).toMatchObject({ phase: 'idle', stopped: null, startedAt: pass })
    expect(status?.last?.counts).toMatchObject({ failed: 0 })

    const { records } = await call<{ records: FileRecord[] }>('GET', '/index?from=kv&limit=1000')
    const index = new Map<string, string>(
      records.map(({ key, etag }) => [key, etag?.replaceAll('"', '') ?? '']),
    )
    const inBucket = await objects()
    expect(index.size).toBeGreaterThan(OPERATIONS / 2)
    expect([...index].toSorted()).toEqual([...inBucket].toSorted())
    const owners = new Map<string, string | null>(records.map(({ key, owner }) => [key, owner]))
    for (const [key, owner] of confirmed)
      if (inBucket.has(key)) expect([key, owners.get(key)]).toEqual([key, owner])
    // Nothing is deleted that nobody asked to delete.
    for (const key of stored)
      if (!deleted.has(key) && !vanished.includes(key)) expect(inBucket.has(key)).toBe(true)
  },
  MINUTES * 60_000 + 600_000,
)
