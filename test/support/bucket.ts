import { AwsV4Signer } from 'aws4fetch'
import { inject, vi } from 'vitest'

const ACCESS_KEY = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }
const SECONDS = 604_800

/**
 * Returns a presigned URL of an object in the bucket of s3rver, by its path. It uses the real time
 * even when a test has set the clock.
 */
export async function bucketUrl(
  path: string,
  method = 'GET',
  bucket = 'files',
  endpoint = inject('s3Endpoint'),
): Promise<string> {
  const url = new URL(`${endpoint}/${bucket}/${path}`)
  url.searchParams.set('X-Amz-Expires', String(SECONDS))
  const now = vi.isFakeTimers() ? vi.getRealSystemTime() : Date.now()
  const signer = new AwsV4Signer({
    ...ACCESS_KEY,
    url: url.href,
    method,
    service: 's3',
    region: 'us-east-1',
    signQuery: true,
    datetime: new Date(now).toISOString().replace(/[:-]|\.\d{3}/g, ''),
  })
  return (await signer.sign()).url.href
}

/** Reads, writes or deletes an object in the bucket, without the Worker. */
export const bucketFetch = async (
  path: string,
  init: RequestInit = {},
  bucket?: string,
  endpoint?: string,
): Promise<Response> => fetch(await bucketUrl(path, init.method, bucket, endpoint), init)
