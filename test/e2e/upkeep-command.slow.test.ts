import { once } from 'node:events'
import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AwsClient } from 'aws4fetch'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { KEY_SCOPES } from '../../src/access/scopes.ts'
import type { FileRecord } from '../../src/records/file-record.ts'
import { testApiKey } from '../support/credentials.ts'
import { type OwnWorker, startOwnWorker } from './built-worker.ts'
import { runCommand, startCommand } from './command-process.ts'

const PHOTOS = 100
const UPLOADS = 6

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

    const command = importOf(worker.origin)
    const child = startCommand(command)
    await vi.waitFor(async () => expect(await inIndex()).not.toEqual([]), { timeout: 60_000 })
    child.kill('SIGKILL')
    await once(child, 'close')

    // The Worker goes on by itself. The command joins it, or finds it done.
    await vi.waitFor(async () => expect(await inIndex()).toHaveLength(PHOTOS), { timeout: 120_000 })
    const { code, output, errors } = await runCommand(command)
    expect([code, errors]).toEqual([0, ''])
    expect(output).toContain(`files: ${PHOTOS} objects`)
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
    // KV may be late, so the walk looks again after 90 seconds.
    const stopped = await upkeepOf(worker.origin)
    expect([stopped.code, stopped.errors]).toEqual([
      2,
      expect.stringMatching(/^Stopped: empty list/),
    ])
    const shown = await upkeepOf(worker.origin, 'status')
    expect([shown.code, shown.errors]).toEqual([2, expect.stringContaining('empty list')])
    const told = await upkeepOf(worker.origin, 'go-on', '--bucket', 'files')
    expect([told.code, told.errors]).toEqual([0, ''])
    const { code, output } = await upkeepOf(worker.origin)
    expect(code).toBe(0)
    expect(output).toContain(`${UPLOADS} records wait for a second look`)
    expect(await entriesOfKv()).toBe(before)
    expect((await inIndex()).length).toBe(UPLOADS)
  })
})

const listPhotos = async (): Promise<string[]> =>
  (await readdir(at('s3'), { recursive: true }))
    .flatMap((path) => /files\/(photos\/.*)\._S3rver_object$/.exec(path)?.[1] ?? [])
    .toSorted()
