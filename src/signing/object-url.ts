import type { Bucket } from '../config/load.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { uriEncode } from '../keys/uri-encode.ts'

/** Path of an object's URL: SigV4's `UriEncode` of the key, in which slashes stay. */
export const objectPath = ({ basePath }: Bucket, key: ObjectKey): string =>
  basePath + uriEncode(key).replaceAll('%2F', '/')

/** URL of the object under `key`, without a query. */
export const objectUrl = (bucket: Bucket, key: ObjectKey): URL =>
  new URL(bucket.origin + objectPath(bucket, key))

/**
 * Throws if `url` names anything but the object under `key` in `bucket`. The last guard before a signature leaves: the
 * key rules and the encoding should have made this impossible.
 */
export function assertNamesObject(url: URL, bucket: Bucket, key: ObjectKey): void {
  if (url.origin === bucket.origin && decodeURIComponent(url.pathname) === bucket.basePath + key)
    return
  throw new Error('The signed URL does not name the object that was asked for.')
}
