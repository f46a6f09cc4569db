import type { Bucket } from '../config/load.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { keyRunsScript } from '../keys/script-types.ts'
import { resolveValidity, type Use } from '../signing/expiry.ts'
import { presign } from '../signing/presign.ts'
import { attachment } from './content-disposition.ts'

export interface DownloadRequest {
  readonly use: Exclude<Use, 'upload'>
  /** Seconds; undefined takes the default of the use. */
  readonly expiresIn?: number | undefined
  /** Serve as an attachment under this name. */
  readonly download?: string | undefined
  /** Show in the browser even what may run script there. */
  readonly inline?: boolean | undefined
  /** One URL for every caller within a window. */
  readonly stable?: boolean | undefined
}

export interface DownloadUrl {
  readonly url: string
  /** Whole seconds from now. */
  readonly expiresIn: number
  /** ISO 8601 in UTC. */
  readonly expiresAt: string
}

/** A presigned GET. Whether the object exists is not looked at. Throws `invalid_expiry` and `credentials_expired`. */
export async function createDownloadUrl(
  bucket: Bucket,
  key: ObjectKey,
  { use, expiresIn, download, inline = false, stable = false }: DownloadRequest,
  now: Date,
): Promise<DownloadUrl> {
  const { credentials } = bucket
  const validity = resolveValidity({ use, expiresIn, stable, bucket, credentials, now })
  const attached = download !== undefined || (!inline && keyRunsScript(key))
  const url = await presign({
    bucket,
    credentials,
    method: 'GET',
    key,
    query: attached ? { 'response-content-disposition': attachment(download ?? null) } : {},
    signedAt: validity.signedAt,
    signedSeconds: validity.signedSeconds,
  })
  return {
    url,
    expiresIn: validity.expiresInSeconds,
    expiresAt: validity.expiresAt.toISOString(),
  }
}
