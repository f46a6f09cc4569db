import type { Context } from 'hono'
import { requireKey } from '../access/principal.ts'
import { openUploadId, type UploadClaims } from '../access/upload-id.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { parseObjectKey } from '../keys/object-key.ts'
import type { AppEnv } from './app-env.ts'
import { chooseBucket } from './choose-bucket.ts'

/**
 * The upload whose id stands in the path, if the caller may write `key` and the id belongs to them,
 * the key and the bucket. Throws `invalid_key`, `forbidden`, `unknown_bucket` and
 * `invalid_upload_id`.
 */
export async function openUpload(
  c: Context<AppEnv>,
  alias: string | undefined,
  key: string,
  now: Date,
): Promise<{ readonly bucket: Bucket; readonly upload: UploadClaims }> {
  const principal = c.get('principal')
  const scope = { key: parseObjectKey(key), owner: principal.id }
  requireKey(principal, 'files:upload', scope.key)
  const bucket = chooseBucket(c, alias, scope.key)
  const uploadId = c.req.param('uploadId') ?? ''
  const config = c.get('config')
  return {
    bucket,
    upload: await openUploadId(config, { ...scope, bucket: bucket.alias }, uploadId, now),
  }
}
