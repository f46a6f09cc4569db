import { expect } from 'vitest'
import type { Sender } from './drop-boxes.ts'

/** What the API says about an upload that has begun. */
export type Begun = Omit<Started, 'etag'>

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
  return sendPart(sender, JSON.parse(text), content)
}

/** Sends the only part of an upload. */
export async function sendPart(
  sender: Pick<Sender, 'post'>,
  { key, uploadId }: Begun,
  content: string,
): Promise<Started> {
  const url = await partUrl(sender, { key, uploadId })
  const put = await fetch(url, { method: 'PUT', body: content })
  expect(put.status, await put.text()).toBe(200)
  return { key, uploadId, etag: put.headers.get('ETag') ?? '' }
}

/** Returns the URL of a part. */
export async function partUrl(
  sender: Pick<Sender, 'post'>,
  { key, uploadId }: Begun,
  partNumber = 1,
): Promise<string> {
  const path = `/multipart/${encodeURIComponent(uploadId)}/urls`
  const signed = await sender.post(path, { key, partNumbers: [partNumber] })
  const text = await signed.text()
  expect(signed.status, text).toBe(200)
  return JSON.parse(text).urls[0].url
}

export const completeParts = (
  sender: Sender,
  { key, uploadId, etag }: Started,
  more: object = {},
): Promise<Response> =>
  sender.post(`/multipart/${encodeURIComponent(uploadId)}/complete`, {
    ...{ key, parts: [{ partNumber: 1, etag }] },
    ...more,
  })
