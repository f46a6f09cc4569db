import { expect } from 'vitest'
import { readXml, textOf } from '../../src/storage/xml.ts'
import type { TestWorker } from './worker.ts'

/**
 * Returns the status and the message of an error that Uppy reads: `error` and `message` are equal.
 */
export async function uppyRefusal(response: Response): Promise<string> {
  const body: Record<string, unknown> = await response.json()
  expect(Object.keys(body).filter((name) => name !== 'issues' && name !== 'reason')).toEqual([
    'error',
    'message',
    'code',
    'requestId',
  ])
  expect(body.error).toBe(body.message)
  expect(body.requestId).toBe(response.headers.get('X-Request-Id'))
  return `${response.status} ${body.error}`
}

/** The response of POST /s3/multipart. */
export interface CompanionUpload {
  readonly key: string
  readonly uploadId: string
  readonly bucket: string
}

/** Starts an upload as Uppy does with Companion. */
export async function startCompanion(
  worker: TestWorker,
  body: object = { filename: 'a.txt' },
): Promise<CompanionUpload> {
  const response = await worker.post('/s3/multipart', body)
  if (response.status !== 200) throw new Error(`No upload: ${await response.text()}`)
  return response.json()
}

/** Returns the path of an upload, or of one step of it, as Uppy writes it. */
export const companionPath = ({ key, uploadId }: CompanionUpload, step = ''): string =>
  `/s3/multipart/${encodeURIComponent(uploadId)}${step}?key=${encodeURIComponent(key)}`

/** The response of `POST /s3/sign`. */
export interface Signed {
  readonly url: string
  readonly key: string
  readonly headers?: Record<string, string>
}

/** Signs a request of Uppy's `signRequest`. */
export async function sign(worker: TestWorker, request: object): Promise<Signed> {
  const response = await worker.post('/s3/sign', request)
  if (response.status !== 200) throw new Error(await response.text())
  return response.json()
}

/**
 * Starts a multipart upload as Uppy does with `signRequest`: with an S3 request to the signed URL.
 */
export async function beginUpload(
  worker: TestWorker,
  file: object = {},
): Promise<{ readonly key: string; readonly uploadId: string }> {
  const { url, key } = await sign(worker, { method: 'POST', key: 'My Film.MP4', ...file })
  const response = await worker.fetch(url, { method: 'POST' })
  const answer = readXml(await response.text())
  const uploadId = answer?.name === 'InitiateMultipartUploadResult' && textOf(answer, 'UploadId')
  if (!uploadId) throw new Error(`No upload: ${response.status}`)
  return { key, uploadId }
}

/** The body of S3 CompleteMultipartUpload, as Uppy writes it. */
export const completeXml = (etags: readonly string[]): string =>
  `<CompleteMultipartUpload>${etags
    .map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`)
    .join('')}</CompleteMultipartUpload>`

/** Returns the POST of `form` as browsers write it: with its length, and a line break at its end. */
export async function formRequest(form: FormData): Promise<RequestInit> {
  const written = new Response(form)
  const type = written.headers.get('Content-Type') ?? ''
  const text = new Uint8Array(await written.arrayBuffer())
  const end = text.at(-1) === 10 ? '' : '\r\n'
  const body = await new Blob([text, end]).arrayBuffer()
  const headers = { 'Content-Type': type, 'Content-Length': String(body.byteLength) }
  return { method: 'POST', headers, body }
}
