import { expect } from 'vitest'
import type { TestWorker } from './worker.ts'

/**
 * Returns the status and the message of an error that Uppy reads: `error` and `message` are equal.
 */
export async function uppyRefusal(response: Response): Promise<string> {
  const body: Record<string, unknown> = await response.json()
  expect(Object.keys(body).filter((name) => name !== 'issues')).toEqual([
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
