import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { type BuiltWorker, startBuiltWorker } from './built-worker.ts'

let directory: string
let s3: S3Server
let worker: BuiltWorker

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'upkeep-'))
  s3 = await startS3rver({ port: 0, directory, corsOrigins: ['http://localhost'] })
  const { endpoint, region, bucket } = s3
  const table = { endpoint, region, addressing: 'path', credentials: 'S3' } as const
  worker = await startBuiltWorker({
    buckets: { files: { ...table, bucket }, missing: { ...table, bucket: 'no-such-bucket' } },
    accessKeys: { S3: s3 },
    variables: { OPEN_ACCESS: 'localhost', UPKEEP: '{"mode":"record","plan":"paid"}' },
  })
})
afterAll(async () => {
  await worker?.close()
  await s3?.close()
  await rm(directory, { recursive: true })
})

const json = async (path: string, body?: object) => {
  const response = await fetch(worker.origin + path, {
    ...(body && {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json' },
    }),
  })
  return JSON.parse(await response.text())
}

/** Runs the Worker as a Cron Trigger does. */
const run = async (): Promise<number> =>
  (await fetch(`${worker.origin}/cdn-cgi/local/scheduled?cron=7+*+*+*+*`)).status

it('records at the time of a Cron Trigger what nobody has recorded, whatever another bucket does', async () => {
  const { key, uploadUrl, headers } = await json('/files/upload-url', {
    ...{ fileName: 'My Photo.png', mimetype: 'image/png' },
  })
  await fetch(uploadUrl, { method: 'PUT', headers, body: 'pixels' })
  const hoursAgo = new Date(Date.now() - 2 * 3_600_000)
  const folder = join(directory, s3.bucket)
  for (const name of await readdir(folder, { recursive: true }))
    await utimes(join(folder, name), hoursAgo, hoursAgo)
  expect(await json('/files')).toMatchObject({ files: [] })

  expect(await run()).toBe(200)
  const walked = { bucket: 'files', stopped: null, last: { counts: { recorded: 1 } } }
  const failed = { bucket: 'missing', last: null, failure: { code: 'storage_error' } }
  const shown = { mode: 'record', plan: 'paid', buckets: [walked, failed] }
  await vi.waitFor(async () => expect(await json('/upkeep')).toMatchObject(shown), 60_000)
  expect(await json('/files')).toMatchObject({
    files: [{ key, name: 'my-photo.png', owner: null, mimetype: 'image/png' }],
  })
  expect(await run()).toBe(200)
  expect(await worker.logs()).toContain('upkeep failed: missing')
  expect(await worker.logs()).not.toContain(key)
})
