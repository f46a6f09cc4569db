import type { Bucket } from '../bucket/bucket.ts'
import { uriEncode } from '../keys/encodings.ts'
import type { ObjectKey } from '../keys/object-key.ts'

/** Path of an object's URL: SigV4's `UriEncode` of the key, in which slashes stay. */
export const objectPath = ({ basePath }: Bucket, key: ObjectKey): string =>
  basePath + uriEncode(key).replaceAll('%2F', '/')

/** URL of the object under `key`, without a query. */
export const objectUrl = (bucket: Bucket, key: ObjectKey): URL =>
  new URL(bucket.origin + objectPath(bucket, key))

/**
 * Throws if `url` names anything but the object under `key` in `bucket`. The last guard before a
 * signature leaves: the key rules and the encoding should have made this impossible.
 */
export function assertNamesObject(url: URL, bucket: Bucket, key: ObjectKey): void {
  if (url.origin !== bucket.origin) throw notTheObject()
  assertNamesKey(url.pathname, bucket, key)
}

/**
 * A path that a URL parser leaves as it is: unreserved characters, percent-encoded bytes and
 * slashes.
 */
const PLAIN_PATH = /^[\w.~/%-]+$/
const DOT_SEGMENT = /\/(?:\.|%2E){1,2}(?:\/|$)/i

/** The same for a path that goes behind the bucket's origin, without the price of parsing a URL. */
export function assertNamesKey(path: string, bucket: Bucket, key: ObjectKey): void {
  const isPlain = PLAIN_PATH.test(path) && !DOT_SEGMENT.test(path)
  if (!isPlain || decodeURIComponent(path) !== bucket.basePath + key) throw notTheObject()
}

const notTheObject = (): Error =>
  new Error('The signed URL does not name the object that was asked for.')
