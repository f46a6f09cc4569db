import { describe, expect, it } from 'vitest'
import { bucketUrl } from '../support/bucket.ts'
import { startUpload } from '../support/parts.ts'
import { beginUpload, companionPath, completeXml, sign, startCompanion } from '../support/uppy.ts'
import { s3rverBucket, testWorker } from '../support/worker.ts'

const MIB = 1024 ** 2
const MAX_BYTES = 1
/** What the client sends in place of one byte. */
const TOO_MUCH = new Uint8Array(6 * MIB)
const BEYOND = [2, 3, 9999, 10_000]

const worker = testWorker({ BUCKETS: { files: { ...s3rverBucket(), maxBytes: MAX_BYTES } } })

interface Started {
  readonly key: string
  readonly uploadId: string
}

/** A way to upload a file in parts to a bucket that accepts one byte. */
interface Way {
  start(): Promise<Started>
  /** Requests the URL of a part. */
  part(upload: Started, partNumber: number): Promise<Response>
  complete(upload: Started, etag: string): Promise<Response>
}

const inParts = {
  part: ({ key, uploadId }: Started, partNumber: number, sizes?: number[]) =>
    worker.post(`/multipart/${uploadId}/urls`, { key, partNumbers: [partNumber], sizes }),
  complete: ({ key, uploadId }: Started, etag: string) =>
    worker.post(`/multipart/${uploadId}/complete`, { key, parts: [{ partNumber: 1, etag }] }),
}
const bySignature = {
  start: () => beginUpload(worker),
  part: ({ key, uploadId }: Started, partNumber: number, size?: number) =>
    worker.post('/s3/sign', { method: 'PUT', key, uploadId, partNumber, size }),
  async complete({ key, uploadId }: Started, etag: string) {
    const { url } = await sign(worker, { method: 'POST', key, uploadId })
    return worker.fetch(url, { method: 'POST', body: completeXml([etag]) })
  },
}

/** The length of a part is signed. */
const SIGNED: Readonly<Record<string, Way>> = {
  'POST /multipart': { ...inParts, start: () => startUpload(worker, { size: 1 }) },
  'POST /multipart without a size': {
    ...inParts,
    start: () => startUpload(worker, { size: undefined, partSize: 20 * MIB }),
    part: (upload, partNumber) => inParts.part(upload, partNumber, [1]),
  },
  'POST /s3/sign with the size of the part': {
    ...bySignature,
    part: (upload, partNumber) => bySignature.part(upload, partNumber, 1),
  },
}

/** Nobody states the length of a part. */
const UNSIGNED: Readonly<Record<string, Way>> = {
  'POST /s3/multipart': {
    start: () => startCompanion(worker),
    part: (upload, partNumber) =>
      worker.fetch(companionPath({ ...upload, bucket: 'files' }, `/${partNumber}`)),
    complete: (upload, etag) =>
      worker.post(companionPath({ ...upload, bucket: 'files' }, '/complete'), {
        parts: [{ PartNumber: 1, ETag: etag }],
      }),
  },
  'POST /s3/sign': bySignature,
  'POST /s3/sign with the size of the file': {
    ...bySignature,
    start: () => beginUpload(worker, { size: 1 }),
  },
}

async function urlIn(response: Response): Promise<string> {
  expect(response.status).toBe(200)
  const { url, urls }: { url?: string; urls?: { url: string }[] } = await response.json()
  return url ?? urls?.[0]?.url ?? ''
}

/** Returns the bytes that the bucket has: of the object, and of the parts of the upload. */
async function bytesLeft(key: string, partUrl: string): Promise<number> {
  const object = await fetch(await bucketUrl(key))
  const bytes = object.status === 200 ? (await object.arrayBuffer()).byteLength : 0
  const s3UploadId = new URL(partUrl).searchParams.get('uploadId') ?? ''
  expect(s3UploadId).not.toBe('')
  const query = new URLSearchParams({ uploadId: s3UploadId })
  const listed = await fetch(await bucketUrl(`${key}?${query}`))
  const list = await listed.text()
  expect([200, 404]).toContain(listed.status)
  return [...list.matchAll(/<Size>(\d+)</g)].reduce((sum, [, size]) => sum + Number(size), bytes)
}

describe('a file that is larger than allowed leaves nothing in the bucket:', () => {
  // @threat upload-too-large
  it.each(Object.entries(SIGNED))('%s, whose part the bucket refuses', async (_, way) => {
    const upload = await way.start()
    const url = await urlIn(await way.part(upload, 1))
    expect((await fetch(url, { method: 'PUT', body: TOO_MUCH })).status).toBe(403)
    for (const partNumber of BEYOND)
      expect((await way.part(upload, partNumber)).status).toBeGreaterThanOrEqual(400)
    expect((await way.complete(upload, 'e')).status).toBe(400)
    expect(await bytesLeft(upload.key, url)).toBe(0)

    const put = await fetch(url, { method: 'PUT', body: 'x' })
    expect((await way.complete(upload, put.headers.get('etag') ?? '')).ok).toBe(true)
    expect(await bytesLeft(upload.key, url)).toBe(MAX_BYTES)
  })

  // @threat upload-too-large
  it.each(Object.entries(UNSIGNED))('%s, whose complete deletes the parts', async (_, way) => {
    const upload = await way.start()
    const url = await urlIn(await way.part(upload, 1))
    for (const partNumber of BEYOND) {
      const refused = await way.part(upload, partNumber)
      expect(await refused.json()).toMatchObject({ code: 'file_too_large' })
    }
    const put = await fetch(url, { method: 'PUT', body: TOO_MUCH })
    expect(put.status).toBe(200)
    expect(await bytesLeft(upload.key, url)).toBe(TOO_MUCH.length)
    expect((await way.complete(upload, 'wrong')).status).toBe(400)
    expect(await bytesLeft(upload.key, url)).toBe(TOO_MUCH.length)
    expect((await way.complete(upload, put.headers.get('etag') ?? '')).status).toBe(413)
    expect(await bytesLeft(upload.key, url)).toBe(0)
  })

  // @threat upload-too-large
  it('POST /multipart without a size refuses to sign a larger part, or one without its size', async () => {
    const upload = await startUpload(worker, { size: undefined, partSize: 20 * MIB })
    expect(upload).toMatchObject({ partSize: MAX_BYTES })
    const ask = async (sizes?: number[]) => (await inParts.part(upload, 1, sizes)).json()
    expect(await ask([20 * MIB])).toMatchObject({ code: 'file_too_large' })
    expect(await ask([MAX_BYTES + 1])).toMatchObject({ code: 'file_too_large' })
    expect(await ask()).toMatchObject({ code: 'size_required' })
    expect(await ask([])).toMatchObject({ code: 'invalid_request', issues: [{ path: 'sizes' }] })
  })
})

// @threat upload-too-large
it('a file of another size than stated leaves nothing in the bucket', async () => {
  const unlimited = testWorker()
  const { key, uploadId } = await beginUpload(unlimited, { size: 5 })
  const { url } = await sign(unlimited, { method: 'PUT', key, uploadId, partNumber: 1 })
  const put = await fetch(url, { method: 'PUT', body: 'four' })
  const complete = await sign(unlimited, { method: 'POST', key, uploadId })
  const body = completeXml([put.headers.get('etag') ?? ''])
  const response = await unlimited.fetch(complete.url, { method: 'POST', body })
  expect(await response.text()).toContain('<Code>size_mismatch</Code>')
  expect(await bytesLeft(key, url)).toBe(0)
})
