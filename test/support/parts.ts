import { expect } from 'vitest'
import type { TestWorker } from './worker.ts'

/** The response of POST /multipart. */
export interface StartedUpload {
  readonly key: string
  readonly bucket: string
  readonly uploadId: string
  readonly partSize: number
  readonly partCount: number
  readonly expiresAt: string
}

/** Starts an upload of five bytes of text, with `changes` applied. */
export async function startUpload(
  worker: TestWorker,
  changes: object = {},
  init: RequestInit = {},
): Promise<StartedUpload> {
  const file = { fileName: 'a.txt', mimetype: 'text/plain', size: 5, ...changes }
  const response = await worker.post('/multipart', file, init)
  if (response.status !== 200) throw new Error(`No upload: ${await response.text()}`)
  return response.json()
}

/** PUTs one part as a browser does, and resolves with its ETag. */
export async function putPart(url: string, body: BodyInit): Promise<string> {
  const response = await fetch(url, { method: 'PUT', body })
  expect(response.status).toBe(200)
  return response.headers.get('ETag') ?? ''
}

/** Returns the URL of each part in `partNumbers`, in that order. `sizes` if they are stated. */
export async function partUrls(
  worker: TestWorker,
  { key, uploadId }: StartedUpload,
  partNumbers: readonly number[],
  init: RequestInit = {},
  sizes?: readonly number[],
): Promise<string[]> {
  const body = { key, partNumbers, sizes }
  const response = await worker.post(`/multipart/${uploadId}/urls`, body, init)
  if (response.status !== 200) throw new Error(`No URLs: ${await response.text()}`)
  const { urls }: { urls: { url: string }[] } = await response.json()
  return urls.map(({ url }) => url)
}
