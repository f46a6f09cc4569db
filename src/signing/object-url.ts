import type { Address } from '../bucket/bucket.ts'
import { uriEncode } from '../keys/encodings.ts'
import type { ObjectKey } from '../keys/object-key.ts'

const UNRESERVED = /^[\w.~/-]+$/

/** Returns `key` as it appears in a path: SigV4's `UriEncode`, without encoding slashes. */
export const encodeKey = (key: ObjectKey): string =>
  UNRESERVED.test(key) ? key : uriEncode(key).replaceAll('%2F', '/')

/** Returns the URL of the object under `key` at an address of its bucket, without a query. */
export const objectUrl = ({ origin, basePath }: Address, key: ObjectKey): URL =>
  new URL(origin + basePath + encodeKey(key))

/** Throws unless `url` names the object under `key` here: the last check before a signature. */
export function assertNamesObject(url: URL, { origin, basePath }: Address, key: ObjectKey): void {
  if (url.origin !== origin || !url.pathname.startsWith(basePath)) throw notTheObject()
  assertNamesKey(url.pathname.slice(basePath.length), key)
}

/** A path that a URL parser keeps: unreserved characters, encoded bytes and slashes. */
const PLAIN_PATH = /^[\w.~/%-]+$/
const DOT_SEGMENT = /(?:^|\/)(?:\.|%2E){1,2}(?:\/|$)/i

/** Throws unless `path`, the part of a path after the bucket's base path, names `key`. */
export function assertNamesKey(path: string, key: ObjectKey): void {
  const isPlain = PLAIN_PATH.test(path) && !DOT_SEGMENT.test(path)
  const decoded = isPlain && path.includes('%') ? decodeURIComponent(path) : path
  if (!isPlain || decoded !== key) throw notTheObject()
}

const notTheObject = (): Error => new Error('The signed URL does not name the requested object.')
