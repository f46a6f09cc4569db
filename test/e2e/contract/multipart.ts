import { AbortMultipartUploadCommand, ListPartsCommand } from '@aws-sdk/client-s3'
import { expect, it } from 'vitest'
import type { Started } from '../api-client.ts'
import { type Capabilities, type Context, SMALL_BYTES } from './context.ts'

const MIB = 1024 ** 2

/** Returns `size` bytes that differ from part to part. */
const bytes = (size: number): Uint8Array<ArrayBuffer> => {
  const pattern = Uint8Array.from({ length: 251 }, (_, index) => (index * 7) % 251)
  return new Uint8Array(Buffer.alloc(size, pattern))
}

/** A multipart upload, from its upload id to its record, with possible errors. */
export function multipartRules(context: () => Context, capabilities: Capabilities): void {
  const start = (size: number, more: Readonly<Record<string, unknown>> = {}): Promise<Started> =>
    context().api.startMultipart({ fileName: 'Film.MP4', mimetype: 'video/mp4', size, ...more })

  /** PUTs the parts with these numbers, and returns their ETags. */
  const send = async (started: Started, body: Uint8Array<ArrayBuffer>, numbers: number[]) => {
    const { key, uploadId, partSize, bucket } = started
    const urls = await context().api.partUrls(uploadId, { key, bucket, partNumbers: numbers })
    const parts: { partNumber: number; etag: string }[] = []
    for (const { partNumber, url } of urls) {
      const part = body.slice((partNumber - 1) * partSize, partNumber * partSize)
      const put = await fetch(url, { method: 'PUT', body: part })
      if (put.status !== 200) throw new Error(`PUT answered ${put.status}: ${await put.text()}`)
      parts.push({ partNumber, etag: put.headers.get('ETag') ?? '' })
    }
    return parts
  }

  /** Returns S3's own id of an upload, which is visible in the URL of each part. */
  const s3UploadId = async ({ key, uploadId, bucket }: Started): Promise<string> => {
    const [first] = await context().api.partUrls(uploadId, { key, bucket, partNumbers: [1] })
    return new URL(first?.url ?? '').searchParams.get('uploadId') ?? ''
  }

  const whole = capabilities.readsParts ? ', and serves it whole' : ''
  it(`uploads in parts and records the file${whole}`, async () => {
    const { api } = context()
    const body = bytes(16 * MIB + 5)
    const started = await start(body.length)
    expect(started).toMatchObject({ partSize: 8 * MIB, partCount: 3, bucket: 'files' })
    expect(started.key).toMatch(/^uploads\/.{20}-film\.mp4$/)

    const parts = await send(started, body, [3, 1, 2])
    const inOrder = parts.toSorted((a, b) => a.partNumber - b.partNumber)
    const record = await api.complete(started.uploadId, { key: started.key, parts: inOrder })
    expect(record).toMatchObject({
      key: started.key,
      name: 'Film.MP4',
      size: body.length,
      mimetype: 'video/mp4',
      owner: 'key:test',
    })
    expect(await api.record(started.key)).toEqual(record)
    if (!capabilities.readsParts) return
    const got = await fetch((await api.url(started.key)).url)
    expect(Buffer.compare(await got.bytes(), body)).toBe(0)
  })

  it('returns the same record when it is completed twice', async () => {
    const { api } = context()
    const body = bytes(100)
    const started = await start(body.length, { fileName: 'small.mp4' })
    const parts = await send(started, body, [1])
    const unquoted = parts.map((part) => ({ ...part, etag: part.etag.replaceAll('"', '') }))
    const request = { key: started.key, name: 'Shown name', parts: unquoted }
    const record = await api.complete(started.uploadId, request)
    expect(record).toMatchObject({ name: 'Shown name', size: 100 })
    expect(await api.complete(started.uploadId, request)).toEqual(record)
  })

  it('accepts a part of exactly its own size', async () => {
    const started = await start(8 * MIB + 10)
    const { key, uploadId } = started
    const [first, last] = await context().api.partUrls(uploadId, { key, partNumbers: [1, 2] })
    for (const body of [bytes(9), bytes(11)])
      expect((await fetch(last?.url ?? '', { method: 'PUT', body })).status).toBe(403)
    expect((await fetch(last?.url ?? '', { method: 'PUT', body: bytes(10) })).status).toBe(200)
    expect((await fetch(first?.url ?? '', { method: 'PUT', body: bytes(10) })).status).toBe(403)
    const refusal = await context().api.refusal('POST', `/multipart/${uploadId}/urls`, {
      key,
      partNumbers: [3],
    })
    expect(refusal).toEqual({ status: 400, code: 'invalid_part' })
  })

  it('stores metadata and Cache-Control', async () => {
    const { api, head } = context()
    const started = await start(4, { metadata: { place: 'Łódź' }, cacheControl: 'max-age=60' })
    const parts = await send(started, bytes(4), [1])
    await api.complete(started.uploadId, { key: started.key, parts })
    expect(await head(started.key)).toMatchObject({
      CacheControl: 'max-age=60',
      ContentType: 'video/mp4',
      Metadata: { place: `=?UTF-8?B?${Buffer.from('Łódź').toString('base64')}?=` },
    })
  })

  it('uploads in parts for an S3 client, and records the file', async () => {
    const { api } = context()
    const body = bytes(8 * MIB + 3)
    const file = { fileName: 'Film.MP4', contentType: 'video/mp4', size: body.length }
    const begun = await api.sign({ method: 'POST', key: 'film', ...file })
    const created = await fetch(begun.url, { method: 'POST' })
    const [, uploadId = ''] = /<UploadId>(.+)<\/UploadId>/.exec(await created.text()) ?? []
    const { key } = begun
    const etags: string[] = []
    for (const partNumber of [1, 2]) {
      const { url } = await api.sign({ method: 'PUT', key, uploadId, partNumber })
      const part = body.slice((partNumber - 1) * 8 * MIB, partNumber * 8 * MIB)
      const put = await fetch(url, { method: 'PUT', body: part })
      etags.push(put.headers.get('ETag') ?? '')
    }
    const { url } = await api.sign({ method: 'POST', key, uploadId })
    const parts = etags.map(
      (etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`,
    )
    const xml = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`
    const completed = await fetch(url, { method: 'POST', body: xml })
    expect([completed.status, await completed.text()]).toEqual([
      200,
      expect.stringContaining('<CompleteMultipartUploadResult>'),
    ])
    expect(await api.record(key)).toMatchObject({ name: 'Film.MP4', size: body.length })
  })

  it('keeps nothing of a file that is larger than allowed', async () => {
    const { api, s3, server, head } = context()
    const bucket = 'small'
    const post = (path: string, body: object) => api.refusal('POST', path, body)
    const tooLarge = { status: 413, code: 'file_too_large' }
    const left = async (Key: string, url: string): Promise<number> => {
      const UploadId = new URL(url).searchParams.get('uploadId') ?? ''
      const command = new ListPartsCommand({ Bucket: server.bucket, Key, UploadId })
      const listed = await s3.send(command).catch(({ $metadata }) => {
        if ($metadata?.httpStatusCode === 404) return { Parts: [] }
        throw new Error(`ListParts answered ${$metadata?.httpStatusCode}`)
      })
      const parts = (listed.Parts ?? []).map(({ Size = 0 }) => Size)
      return parts.reduce((sum, size) => sum + size, (await head(Key))?.ContentLength ?? 0)
    }

    // The length of each part is signed.
    const file = { fileName: 'a.bin', mimetype: 'video/mp4', bucket }
    const planned = await api.startMultipart(file)
    expect(planned.partSize).toBe(SMALL_BYTES)
    const { key, uploadId } = planned
    const path = `/multipart/${uploadId}/urls`
    const over = [SMALL_BYTES + 1]
    expect(await post(path, { key, bucket, partNumbers: [1], sizes: over })).toEqual(tooLarge)
    expect(await post(path, { key, bucket, partNumbers: [2], sizes: [1] })).toEqual(tooLarge)
    const request = { key, bucket, partNumbers: [1], sizes: [SMALL_BYTES] }
    const [part] = await api.partUrls(uploadId, request)
    const refused = await fetch(part?.url ?? '', { method: 'PUT', body: bytes(SMALL_BYTES + 1) })
    expect(refused.status).toBe(403)
    expect(await left(key, part?.url ?? '')).toBe(0)

    // Nobody states the length of a part.
    const begun = await api.sign({ method: 'POST', key: 'a.bin', bucket })
    const created = await fetch(begun.url, { method: 'POST' })
    const [, id = ''] = /<UploadId>(.+)<\/UploadId>/.exec(await created.text()) ?? []
    const of = { key: begun.key, uploadId: id, bucket }
    expect(await post('/s3/sign', { method: 'PUT', partNumber: 2, ...of })).toEqual(tooLarge)
    const { url } = await api.sign({ method: 'PUT', partNumber: 1, ...of })
    const put = await fetch(url, { method: 'PUT', body: bytes(SMALL_BYTES + 1) })
    expect(await left(begun.key, url)).toBe(SMALL_BYTES + 1)
    const complete = await api.sign({ method: 'POST', ...of })
    const etag = put.headers.get('ETag') ?? ''
    const xml = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`
    expect((await fetch(complete.url, { method: 'POST', body: xml })).status).toBe(413)
    expect(await left(begun.key, url)).toBe(0)
  })

  it('uploads in parts with write-only credentials', async () => {
    const { api } = context()
    const started = await start(4, { bucket: 'inbox' })
    const parts = await send(started, bytes(4), [1])
    const request = { key: started.key, parts, bucket: 'inbox' }
    expect(await api.complete(started.uploadId, request)).toMatchObject({ size: 4 })
  })

  const path = ({ uploadId, key }: Started, suffix = '') =>
    `/multipart/${uploadId}${suffix}?key=${encodeURIComponent(key)}`

  it('lists what the bucket has', async () => {
    const { api } = context()
    const body = bytes(16 * MIB + 1)
    const started = await start(body.length)
    expect(await api.parts(started.uploadId, started.key)).toEqual([])
    const sent = await send(started, body, [1, 3])
    expect(await api.parts(started.uploadId, started.key)).toEqual([
      { ...sent[0], size: 8 * MIB },
      { ...sent[1], size: 1 },
    ])
  })

  it('refuses to complete without a part or with a wrong ETag, and keeps the parts', async () => {
    const { api } = context()
    const body = bytes(8 * MIB + 3)
    const started = await start(body.length)
    const { key, uploadId } = started
    const parts = await send(started, body, [1, 2])
    const invalid = { status: 400, code: 'invalid_part' }
    const wrong = '0'.repeat(32)
    for (const list of [
      parts.slice(0, 1),
      parts.toReversed(),
      [...parts.slice(0, 1), ...parts.slice(0, 1)],
      parts.map((part) => ({ ...part, etag: wrong })),
      [...parts.slice(0, 1), { partNumber: 9, etag: wrong }],
    ]) {
      const request = { key, parts: list }
      expect(await api.refusal('POST', `/multipart/${uploadId}/complete`, request)).toEqual(invalid)
    }
    expect(await api.parts(uploadId, key)).toHaveLength(2)
    expect(await api.complete(uploadId, { key, parts })).toMatchObject({ size: body.length })
  })

  it('aborts, repeatedly if requested, and cannot complete afterwards', async () => {
    const { api, s3, server, head } = context()
    const started = await start(4)
    const parts = await send(started, bytes(4), [1])
    const { key, uploadId } = started
    const UploadId = await s3UploadId(started)
    const list = () => s3.send(new ListPartsCommand({ Bucket: server.bucket, Key: key, UploadId }))
    expect((await list()).Parts).toHaveLength(1)
    await api.abort(uploadId, key)
    await api.abort(uploadId, key)
    const gone = { status: 404, code: 'upload_not_found' }
    expect(await api.refusal('GET', path(started))).toEqual(gone)
    const request = { key, parts }
    expect(await api.refusal('POST', `/multipart/${uploadId}/complete`, request)).toEqual(gone)
    expect(await head(key)).toBeNull()
    await expect(list()).rejects.toMatchObject({ $metadata: { httpStatusCode: 404 } })
  })

  it('keeps a finished file when its upload is aborted afterwards', async () => {
    const { api, head } = context()
    const started = await start(4)
    const parts = await send(started, bytes(4), [1])
    await api.complete(started.uploadId, { key: started.key, parts })
    await api.abort(started.uploadId, started.key)
    expect((await head(started.key))?.ContentLength).toBe(4)
  })

  it('reports an upload that the bucket has removed', async () => {
    const { api, s3, server } = context()
    const { key, uploadId, ...started } = await start(4)
    const UploadId = await s3UploadId({ key, uploadId, ...started })
    await s3.send(new AbortMultipartUploadCommand({ Bucket: server.bucket, Key: key, UploadId }))
    const refusal = await api.refusal('GET', path({ key, uploadId, ...started }))
    expect(refusal).toEqual({ status: 404, code: 'upload_not_found' })
  })
}
