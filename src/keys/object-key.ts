import { ApiError } from '../errors/api-error.ts'
import { isLongerThan } from './encodings.ts'

declare const objectKey: unique symbol

/** A parsed object key. It names the same object before and after URL parsing. */
export type ObjectKey = string & { readonly [objectKey]: true }

/** S3's own limit for a key, in bytes of UTF-8. */
export const MAX_OBJECT_KEY_BYTES = 1024

const CONTROL_CHARACTERS = /\p{Cc}/u
const DOT_SEGMENT = /(?:^|\/)\.{1,2}(?:\/|$)/

/** Tells whether `text` is in Unicode NFC. Then every part of it is too (UAX #15). */
export const isNfc = (text: string): boolean => text === text.normalize()

/**
 * Returns why `value` can't be an object key, or null if it can.
 *
 * A key has 1 to 1024 bytes of well-formed UTF-8, no control characters, and no `.` or `..`
 * segments. A URL parser resolves such segments, so a URL signed for `a/../b` would open `b`.
 */
export function objectKeyError(value: string): string | null {
  if (value === '') return 'An object key must not be empty.'
  if (!value.isWellFormed()) return 'An object key must be well-formed Unicode.'
  if (CONTROL_CHARACTERS.test(value)) return 'An object key must not contain control characters.'
  if (isLongerThan(value, MAX_OBJECT_KEY_BYTES))
    return `An object key must not be longer than ${MAX_OBJECT_KEY_BYTES} bytes.`
  if (DOT_SEGMENT.test(value)) return 'An object key must not contain a "." or ".." segment.'
  return null
}

const isObjectKey = (value: string): value is ObjectKey => objectKeyError(value) === null

/** Returns `value` as a key. It must already be decoded. Throws `invalid_key`. */
export function parseObjectKey(value: string): ObjectKey {
  if (isObjectKey(value)) return value
  throw new ApiError('invalid_key', String(objectKeyError(value)))
}

/** Returns `value` as the start of keys to list: empty, or a valid key. Throws `invalid_key`. */
export const parseKeyStart = (value: string): string => (value === '' ? '' : parseObjectKey(value))

/**
 * Returns why `value` can't be the prefix of a principal, or null if it can. A prefix is empty
 * (every key) or ends with `/`, so that `team-a/` never includes `team-ab/`. It must be in Unicode
 * NFC: in a bucket that normalizes keys, its other spellings name the same objects. It has
 * no empty segment: an empty user id leaves one, and some servers remove it.
 */
export function keyPrefixError(value: string): string | null {
  if (value === '') return null
  if (!value.endsWith('/')) return 'A prefix must be empty or end with "/".'
  if (`/${value}`.includes('//'))
    return 'A prefix must not start with "/" or contain "//". For every key, leave it empty.'
  if (!isNfc(value)) return 'A prefix must be in Unicode NFC.'
  return objectKeyError(value)?.replace('An object key', 'A prefix') ?? null
}
