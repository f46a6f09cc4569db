import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CreateBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  ListPartsCommand,
  PutBucketVersioningCommand,
} from '@aws-sdk/client-s3'
import { expect, it } from 'vitest'
import * as z from 'zod/mini'
import { startChild } from '../../cli/child.ts'
import { freePort } from '../../cli/ports.ts'
import type { S3Server } from '../../cli/s3-server.ts'
import { answers, waitUntil } from '../../cli/wait-until.ts'
import { startBuiltWorker } from './built-worker.ts'
import { sdkClient } from './contract/context.ts'
import { sharedCeph } from './shared.ts'
import { describeWith, MOTO, RADOSGW, type SystemPackage } from './system-package.ts'

const API_KEY = 'ep_ann_0123456789abcdef0123456789abcdef0123456789a'

const boxSchema = z.object({ id: z.string(), url: z.url() })
const startedSchema = z.object({ key: z.string(), uploadId: z.string() })
const urlsSchema = z.object({ urls: z.array(z.object({ url: z.url() })) })

/** It keeps objects in memory, lists uploads, keeps versions, and honours `If-None-Match`. */
async function startMoto(): Promise<S3Server> {
  const port = await freePort()
  const args = ['-H', '127.0.0.1', '-p', String(port)]
  const moto = await startChild('/usr/bin/moto_server', args, { stdio: 'ignore' })
  const endpoint = `http://127.0.0.1:${port}`
  await waitUntil('moto', () => answers(endpoint), 60)
  const key = { accessKeyId: 'MOTO', secretAccessKey: 'MOTOSECRET' }
  const server: S3Server = {
    ...{ name: 'moto', endpoint, region: 'us-east-1', bucket: 'files', virtualEndpoint: endpoint },
    ...{ ...key, writer: key, close: () => moto.close() },
  }
  const s3 = sdkClient(server, server)
  await s3.send(new CreateBucketCommand({ Bucket: 'files' }))
  s3.destroy()
  return server
}

async function startCeph(): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  await rm(directory, { recursive: true })
  return sharedCeph({ port: 0, directory, corsOrigins: ['http://localhost:8787'] })
}

/** A box in a bucket with versions, as a stranger and the owner of the bucket see it. */
async function startBox(start: () => Promise<S3Server>, conditionalPut: boolean) {
  const stack = new AsyncDisposableStack()
  const server = await start()
  stack.defer(() => server.close())
  const s3 = sdkClient(server, server)
  stack.defer(() => s3.destroy())
  const { endpoint, region, bucket } = server
  await s3.send(
    new PutBucketVersioningCommand({
      Bucket: bucket,
      VersioningConfiguration: { Status: 'Enabled' },
    }),
  )
  const sha256 = createHash('sha256').update(API_KEY).digest('hex')
  const scopes = ['files:upload', 'drop-boxes:create']
  const addressing = 'path' as const
  const worker = await startBuiltWorker({
    buckets: {
      files: { endpoint, region, bucket, addressing, credentials: 'S3', conditionalPut },
    },
    accessKeys: { S3: server },
    variables: { API_KEYS: JSON.stringify([{ id: 'ann', sha256, scopes, prefix: '' }]) },
  })
  stack.defer(() => worker.close())
  const call = (path: string, token: string, body?: object, method = 'POST') =>
    fetch(new URL(path, worker.origin), {
      method,
      headers: {
        'Content-Type': 'application/json',
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      ...(body && { body: JSON.stringify(body) }),
    })
  const terms = { maxFiles: 2, maxBytes: 1e6, maxTotalBytes: 1e6, from: 'A', title: 'B' }
  const deadline = new Date(Date.now() + 3_600_000).toISOString()
  const made = await call('/drop-boxes', API_KEY, { prefix: 'inbox/', deadline, ...terms })
  const { url } = boxSchema.parse(await made.json())
  const entered = await call(`${url}/token`, '', {})
  const { token } = z.object({ token: z.string() }).parse(await entered.json())
  const send = (path: string, body?: object, method?: string) => call(path, token, body, method)
  /** Begins the upload of five bytes, and has its part signed. */
  const begin = async (startId?: string) => {
    const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5, startId }
    const { key, uploadId } = startedSchema.parse(await (await send('/multipart', file)).json())
    const path = `/multipart/${encodeURIComponent(uploadId)}`
    const signed = await send(`${path}/urls`, { key, partNumbers: [1] })
    return { key, path, url: urlsSchema.parse(await signed.json()).urls[0]?.url ?? '' }
  }
  return { s3, bucket, send, begin, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

const SERVERS: readonly [SystemPackage, () => Promise<S3Server>, boolean][] = [
  [RADOSGW, startCeph, false],
  [MOTO, startMoto, true],
]

for (const [system, start, conditionalPut] of SERVERS)
  describeWith([system], `a drop box in a bucket with versions, by ${system.name}`, () => {
    // @threat box-over-limit
    it('keeps the parts of one start, and none after an abort', async () => {
      await using box = await startBox(start, conditionalPut)
      const { s3, bucket, send, begin } = box
      const ids: string[] = []
      const startId = `${Date.now()}-${'a'.repeat(22)}`
      let [key, last] = ['', '']
      const kept = async () => {
        const found = ids.map((UploadId) =>
          s3.send(new ListPartsCommand({ Bucket: bucket, Key: key, UploadId })).then(
            ({ Parts = [] }) => Parts.length,
            () => 0,
          ),
        )
        return (await Promise.all(found)).reduce((sum, one) => sum + one, 0)
      }
      for (let i = 0; i < 10; i++) {
        const begun = await begin(startId)
        const { url } = begun
        ;[key, last] = [begun.key, begun.path]
        ids.push(new URL(url).searchParams.get('uploadId') ?? '')
        expect((await fetch(url, { method: 'PUT', body: 'hello' })).status).toBe(200)
        expect(await kept()).toBe(1)
      }
      expect(new Set(ids).size).toBe(10)
      const aborted = await send(`${last}?key=${encodeURIComponent(key)}`, undefined, 'DELETE')
      expect(aborted.status).toBe(204)
      expect(await kept()).toBe(0)
    })

    // @threat box-swapped box-over-limit
    it('stores one version of a file, whatever its sender repeats', async () => {
      await using box = await startBox(start, conditionalPut)
      const { s3, bucket, send, begin } = box
      const { key, path, url } = await begin()
      const put = async (i: number) => {
        const answer = await fetch(url, { method: 'PUT', body: `${i}`.padStart(5, '0') })
        return { status: answer.status, etag: answer.headers.get('ETag') ?? '' }
      }
      let etag = ''
      for (let i = 0; i < 10; i++) ({ etag } = await put(i))
      const outcomes: number[] = []
      for (let i = 10; i < 20; i++) {
        const parts = [{ partNumber: 1, etag }]
        outcomes.push((await send(`${path}/complete`, { key, parts })).status)
        expect((await put(i)).status).toBeGreaterThanOrEqual(400)
      }
      expect(new Set(outcomes)).toEqual(new Set([201]))
      const again = await send(`${path}/complete`, { key, parts: [{ partNumber: 1, etag }] })
      expect(again.status).toBe(409)
      const listed = await s3.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: key }))
      expect(listed.Versions).toHaveLength(1)
      expect(listed.DeleteMarkers ?? []).toEqual([])
    })

    // @threat box-over-limit
    it('refuses a part that ends after its upload was aborted', async () => {
      await using box = await startBox(start, conditionalPut)
      const { s3, bucket, send, begin } = box
      const { key, path, url } = await begin()
      const slow = request(url, { method: 'PUT', headers: { 'Content-Length': 5 } })
      const answered = Promise.withResolvers<number | undefined>()
      slow.on('response', (response) => {
        response.resume()
        answered.resolve(response.statusCode)
      })
      slow.on('error', () => answered.resolve(undefined))
      slow.write('he')
      await new Promise((resolve) => setTimeout(resolve, 500))
      const aborted = await send(`${path}?key=${encodeURIComponent(key)}`, undefined, 'DELETE')
      expect(aborted.status).toBe(204)
      slow.end('llo')
      expect(await answered.promise).toBeGreaterThanOrEqual(400)
      const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
      expect(Uploads).toEqual([])
    })
  })
