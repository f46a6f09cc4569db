import type { Bucket } from '../bucket/bucket.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { keyRunsScript } from '../keys/script-types.ts'
import { resolveValidity, type UrlUse } from '../signing/expiry.ts'
import { type PresignKey, presignMany } from '../signing/presign-many.ts'
import { attachment } from './content-disposition.ts'

export interface DownloadRequest {
  readonly use: Exclude<UrlUse, 'upload'>
  /** Lifetime in seconds. Default: the default of the use. */
  readonly expiresIn?: number | undefined
  /** The lifetime without `expiresIn`, instead of the default of the use. */
  readonly defaultSeconds?: number
  /** Serve as an attachment under this name. */
  readonly download?: string | undefined
  /** Also show types in the browser that may run scripts there. */
  readonly inline?: boolean | undefined
  /** The version to serve, from a bucket with versioning. Default: the current one. */
  readonly versionId?: string | undefined
  /** Return the same URL to every caller within a time window. */
  readonly stable?: boolean | undefined
}

/** Maximum length of a name to save a file under, in UTF-16 code units. */
export const MAX_DOWNLOAD_NAME_LENGTH = 1024

/** The id of a version. S3's are "URL-ready", and at most 1024 bytes long. */
export const VERSION_ID = /^[\w.~-]+$/
export const MAX_VERSION_ID_LENGTH = 1024

/** A signed GET URL in the form for clients. */
export interface DownloadUrl {
  readonly url: string
  readonly key: ObjectKey
  /** Alias of the bucket. */
  readonly bucket: string
  /** Whole seconds from now. */
  readonly expiresIn: number
  /** ISO 8601 in UTC. */
  readonly expiresAt: string
}

/** Returns a signed GET URL of one object. Throws what `downloadSigner` throws. */
export function downloadUrl(
  bucket: Bucket,
  key: ObjectKey,
  request: DownloadRequest,
  now: Date,
): Promise<DownloadUrl> {
  const { urlOf, expiresIn, expiresAt } = downloadSigner(bucket, request, now)
  return urlOf(key).then((url) => ({ url, key, bucket: bucket.alias, expiresIn, expiresAt }))
}

/** Signs download URLs of one bucket for one request. */
export interface DownloadSigner {
  urlOf(key: ObjectKey): Promise<string>
  /** Whole seconds from now. */
  readonly expiresIn: number
  /** ISO 8601 in UTC. */
  readonly expiresAt: string
}

/** Signs GET URLs, even of missing objects. Throws `invalid_expiry` and `misconfigured`. */
export function downloadSigner(
  bucket: Bucket,
  request: DownloadRequest,
  now: Date,
): DownloadSigner {
  const { credentials } = bucket
  const { download, inline = false, versionId } = request
  const validity = resolveValidity({
    ...request,
    bucket,
    credentials,
    now,
  })
  const { signedAt, signedSeconds } = validity
  const query = versionId === undefined ? undefined : { versionId }
  const template = { bucket, credentials, method: 'GET', query, signedAt, signedSeconds } as const
  let shown: PresignKey | undefined
  let saved: PresignKey | undefined
  return {
    urlOf(key) {
      if (download === undefined && (inline || !keyRunsScript(key))) {
        shown ??= presignMany(template)
        return shown(key)
      }
      const disposition = attachment(download ?? null)
      saved ??= presignMany({
        ...template,
        query: { 'response-content-disposition': disposition, ...query },
      })
      return saved(key)
    },
    expiresIn: validity.expiresInSeconds,
    expiresAt: validity.expiresAt.toISOString(),
  }
}
