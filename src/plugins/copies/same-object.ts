import type { Bucket } from '../../bucket/bucket.ts'
import { serverUrl } from '../../bucket/bucket-url.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { ObjectHead } from '../../storage/object.ts'

/** Throws `not_supported` unless one server has both buckets: no server copies from another one. */
export function requireOneServer(source: Bucket, target: Bucket): void {
  if (serverUrl(source) === serverUrl(target)) return
  throw new ApiError(
    'not_supported',
    'Both buckets must be at the same endpoint. Download the file, and upload it again.',
  )
}

/** Throws `invalid_request` for a copy of an object onto itself, also by two aliases of a bucket. */
export function requireOther(source: Bucket, from: ObjectKey, target: Bucket, to: ObjectKey): void {
  if (source.name !== target.name || from !== to) return
  throw new ApiError('invalid_request', "A file can't be copied onto itself.", {
    issues: [{ path: 'to', message: 'must differ from "from"' }],
  })
}

/** Returns the same text for all spellings that some server treats as one key. */
export const folded = (key: ObjectKey): string =>
  key
    .normalize('NFKC')
    .toLowerCase()
    .split(/[/\\]+/)
    .filter((segment) => segment !== '')
    .join('/')

/** What tells one object from another, as far as a server shows it: the date is in seconds. */
export type ObjectIdentity = Pick<ObjectHead, 'etag' | 'lastModified'>

export const isSameObject = (one: ObjectIdentity, other: ObjectIdentity): boolean =>
  one.etag === other.etag && one.lastModified.getTime() === other.lastModified.getTime()
