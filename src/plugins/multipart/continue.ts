import type { Principal } from '../../access/principal.ts'
import { requireKey, requireUpload } from '../../access/principal.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { purgeReplaced } from '../../core/purge.ts'
import type { Recorded } from '../../core/record.ts'
import { announcerOf } from '../../core/uploads.ts'
import type { AppContext } from '../../http/app-env.ts'
import { chooseOpenBucket } from '../../http/choose-bucket.ts'
import { fileIndexOf, removeDeadline, timeOf } from '../../http/deadline.ts'
import { addWarning } from '../../http/request-log.ts'
import { requireFileName } from '../../keys/file-name.ts'
import { parseObjectKey } from '../../keys/object-key.ts'
import { dropRepeats } from './begin.ts'
import { finishMultipart } from './finish.ts'
import { openUploadId, type UploadClaims } from './upload-id.ts'

/**
 * Completes an upload and logs its warning, without a deadline. `name` is undefined for the name from
 * the start of the upload. Throws `invalid_name` and what `finishMultipart` throws.
 */
export async function finishUpload(
  c: AppContext,
  bucket: Bucket,
  upload: UploadClaims,
  parts: Parameters<typeof finishMultipart>[3],
  name: string | undefined,
): Promise<Recorded> {
  if (name !== undefined) requireFileName(name)
  removeDeadline(c)
  const [index, now, announce] = [fileIndexOf(c), timeOf(c), announcerOf(c)]
  const finished = await finishMultipart(bucket, index, upload, parts, name, now, announce)
  if (finished.warning !== undefined) addWarning(c, finished.warning)
  // An earlier object may have no record.
  const mayReplace = finished.replaces || upload.overwrite === true
  if (mayReplace) await purgeReplaced(c, bucket, [upload.key])
  c.executionCtx.waitUntil(dropRepeats(bucket, upload, now).catch(() => undefined))
  return finished
}

/**
 * Returns the upload with the id in the path, or with `uploadId`. The caller must be allowed to
 * write `key`, and the id must belong to the caller, the key and the bucket. A caller who has lost
 * the scopes for a chosen key can't continue its upload. Throws `invalid_key`, `forbidden`,
 * `unknown_bucket` and `invalid_upload_id`.
 */
export async function openUpload(
  c: AppContext,
  alias: string | undefined,
  key: string,
  now: Date,
  uploadId = c.req.param('uploadId') ?? '',
): Promise<{ readonly bucket: Bucket; readonly upload: UploadClaims }> {
  const principal: Principal = c.get('principal')
  const scope = { key: parseObjectKey(key), owner: principal.id }
  requireKey(principal, 'files:upload', scope.key)
  const bucket = await chooseOpenBucket(c, alias, scope.key)
  const settings = c.get('settings')
  const upload = await openUploadId(settings, { ...scope, bucket: bucket.alias }, uploadId, now)
  requireUpload(principal, scope.key, upload.overwrite)
  return { bucket, upload }
}
