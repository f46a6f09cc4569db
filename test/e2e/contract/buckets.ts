import { request as httpRequest } from 'node:http'
import { text } from 'node:stream/consumers'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { expect, it } from 'vitest'
import type { S3Server } from '../../../cli/s3-server.ts'
import type { Bucket } from '../../../src/bucket/bucket.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { ask, s3CodeIn, unexpectedResponse } from '../../../src/storage/s3.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { type Capabilities, type Context, sdkClient } from './context.ts'
import { uploadText } from './upload-text.ts'

/** Several buckets, two ways to address them, and a second access key for uploads. */
export function bucketRules(
  context: () => Context,
  { limitsWriter, virtualHosts, checksClock }: Capabilities,
): void {
  it('separates the buckets', async () => {
    const { api, head } = context()
    const { key, bucket } = await uploadText(context(), { bucket: 'archive', text: 'cold' })
    expect(bucket).toBe('archive')
    const record = await api.confirm({ key, name: 'cold.txt', bucket: 'archive' })
    expect(record.bucket).toBe('archive')
    expect(await head(key, 'cold-store')).not.toBeNull()
    expect(await head(key)).toBeNull()
    expect(await api.list({ prefix: key })).toEqual([])
    expect(await api.list({ prefix: key, bucket: 'archive' })).toEqual([record])
    expect(await (await fetch((await api.url(key, { bucket: 'archive' })).url)).text()).toBe('cold')
  })

  it('uploads with the access key for uploads, and reads with the other', async () => {
    const { api, server } = context()
    const { key, uploadUrl } = await uploadText(context(), { bucket: 'inbox', text: 'in' })
    expect(accessKeyIn(uploadUrl)).toBe(server.writer.accessKeyId)
    expect((await api.confirm({ key, name: 'in.txt', bucket: 'inbox' })).size).toBe(2)
    const { url } = await api.url(key, { bucket: 'inbox' })
    expect(accessKeyIn(url)).toBe(server.accessKeyId)
    expect(await (await fetch(url)).text()).toBe('in')
  })

  it(
    limitsWriter
      ? 'reads nothing with the access key for uploads, not even through x-amz-copy-source'
      : 'cannot restrict the access key for uploads, because this server has only one',
    async () => {
      const { api, server, head } = context()
      const { key } = await uploadText(context(), { text: 'secret' })
      const writer = sdkClient(server, server.writer)
      const get = writer.send(new GetObjectCommand({ Bucket: server.bucket, Key: key }))
      if (!limitsWriter) {
        await (await get).Body?.transformToString()
        return
      }
      await expect(get).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } })
      const bait = await api.uploadUrl({
        fileName: 'a.txt',
        mimetype: 'text/plain',
        bucket: 'inbox',
      })
      const headers = { ...bait.headers, 'x-amz-copy-source': `/${server.bucket}/${key}` }
      expect((await fetch(bait.uploadUrl, { method: 'PUT', headers })).status).toBe(403)
      expect(await head(bait.key)).toBeNull()
    },
  )

  it.each(['wrongsecret', 'wrongkey'])(
    'names credentials that the server does not accept, also where it answers a HEAD: %s',
    async (bucket) => {
      const { api } = context()
      const refused = { status: 503, code: 'misconfigured', reason: 'credentials' }
      const body = { key: 'a.txt', name: 'a.txt', bucket }
      expect(await api.refusal('POST', '/files', body)).toEqual(refused)
      expect(await api.refusal('DELETE', `/files/a.txt?bucket=${bucket}`)).toEqual(refused)
      const start = { fileName: 'a.txt', mimetype: 'text/plain', bucket }
      expect(await api.refusal('POST', '/multipart', start)).toEqual(refused)
    },
  )

  it.each([20, -20])(
    checksClock
      ? 'names a clock that differs by %i minutes'
      : 'gets no error when a clock differs by %i minutes, which this server does not check',
    async (minutes) => {
      const { key } = await uploadText(context(), { text: 'now' })
      const bucket = bucketOf(context().server)
      const request = { bucket, method: 'GET', key: parseObjectKey(key) } as const
      const now = new Date(Date.now() + minutes * 60_000)
      const answer = await ask(request, now, AbortSignal.timeout(240_000))
      if (!checksClock) {
        expect(answer).toMatchObject({ status: 200, text: 'now' })
        return
      }
      expect(unexpectedResponse('GetObject', answer, s3CodeIn(answer.text))).toMatchObject({
        code: 'misconfigured',
        reason: 'clock',
        message: 'The bucket answered GetObject with RequestTimeTooSkewed.',
      })
    },
  )

  it("signs for the bucket's own host", async () => {
    const { api, server } = context()
    const request = { fileName: 'v w.txt', mimetype: 'text/plain', bucket: 'virtual' }
    const { uploadUrl, key } = await api.uploadUrl(request)
    const { hostname, pathname } = new URL(uploadUrl)
    expect([hostname, pathname]).toEqual([`${server.bucket}.s3.localhost`, `/${key}`])
  })

  it(
    virtualHosts
      ? "uploads to and reads from the bucket's own host"
      : "gets no response on the bucket's own host, which this server doesn't support",
    async () => {
      const { api, head } = context()
      const bucket = 'virtual'
      const upload = await api.uploadUrl({ fileName: 'v w.txt', mimetype: 'text/plain', bucket })
      const put = await sendToLoopback('PUT', upload.uploadUrl, upload.headers, 'v')
      expect(put[0]).toBe(virtualHosts ? 200 : 404)
      if (!virtualHosts) return
      expect((await head(upload.key))?.ContentLength).toBe(1)
      const { url } = await api.url(upload.key, { bucket, download: 'v w.txt' })
      expect(await sendToLoopback('GET', url)).toEqual([200, 'v'])
      expect((await sendToLoopback('GET', url.replace('v-w', 'v-x')))[0]).toBe(403)
    },
  )
}

/** Returns the bucket of `server` as the Worker knows it, to send requests at any time. */
function bucketOf({ endpoint, region, bucket, accessKeyId, secretAccessKey }: S3Server): Bucket {
  const table = { endpoint, region, bucket, addressing: 'path', credentials: 'S3' }
  const loaded = loadEnvironment({
    BUCKETS: { files: table },
    S3_ACCESS_KEY_ID: accessKeyId,
    S3_SECRET_ACCESS_KEY: secretAccessKey,
    SIGNING_SECRETS: `k1:${'0'.repeat(32)}`,
    FILE_INDEX: {},
    RATE_LIMITER: {},
  })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues))
  return loaded.settings.buckets[0]
}

const accessKeyIn = (url: string): string | undefined =>
  new URL(url).searchParams.get('X-Amz-Credential')?.split('/')[0]

/**
 * Sends a request for any host to this machine, as if DNS pointed here. Resolves with the status
 * and the body.
 */
const sendToLoopback = (
  method: string,
  url: string,
  headers: Readonly<Record<string, string>> = {},
  body = '',
): Promise<readonly [number | undefined, string]> =>
  new Promise((resolve, reject) => {
    const { host, port, pathname, search } = new URL(url)
    const request = httpRequest(
      {
        host: '127.0.0.1',
        port,
        method,
        path: pathname + search,
        headers: { ...headers, Host: host, 'Content-Length': String(Buffer.byteLength(body)) },
        timeout: 240_000,
      },
      (response) => {
        text(response).then((content) => resolve([response.statusCode, content]), reject)
      },
    )
    request.once('error', reject)
    request.once('timeout', () => request.destroy(new Error('No answer in four minutes.')))
    request.end(body)
  })
