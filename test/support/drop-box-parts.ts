import { expect } from 'vitest'
import type { Sender } from './drop-boxes.ts'

/** An upload in one part that is in the bucket, but not complete. */
export interface Started {
  readonly key: string
  readonly uploadId: string
  readonly etag: string
}

/** Starts an upload in parts, and sends its only part. */
export async function startInParts(
  sender: Sender,
  content: string,
  more: object = {},
): Promise<Started> {
  const start = { fileName: 'a.txt', mimetype: 'text/plain', size: content.length, ...more }
  const response = await sender.post('/multipart', start)
  const text = await response.text()
  expect(response.status, text).toBe(200)
  const { key, uploadId } = JSON.parse(text)
  const path = `/multipart/${encodeURIComponent(uploadId)}/urls`
  const signed = await sender.post(path, { key, partNumbers: [1] })
  const { urls } = await signed.json<{ urls: { url: string }[] }>()
  const put = await fetch(urls[0]?.url ?? '', { method: 'PUT', body: content })
  expect(put.status).toBe(200)
  return { key, uploadId, etag: put.headers.get('ETag') ?? '' }
}

export const completeParts = (
  sender: Sender,
  { key, uploadId, etag }: Started,
): Promise<Response> =>
  sender.post(`/multipart/${encodeURIComponent(uploadId)}/complete`, {
    key,
    parts: [{ partNumber: 1, etag }],
  })
