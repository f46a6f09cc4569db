import { ApiError } from '../errors/api-error.ts'
import { utf8Length } from './encodings.ts'

declare const objectKey: unique symbol

/**
 * A parsed object key: one that names the same object before and after a URL parser has seen it.
 */
export type ObjectKey = string & { readonly [objectKey]: true }

/** S3's own limit for a key, in bytes of UTF-8. */
export const MAX_OBJECT_KEY_BYTES = 1024

const CONTROL_CHARACTERS = /\p{Cc}/u

/**
 * Whether `text` is in Unicode Normalization Form C. So is every part of it, as UAX #15 says.
 */
export const isNfc = (text: string): boolean => text === text.normalize()

/**
 * Whether `text` has more than `bytes` of UTF-8. Encodes it only where its length leaves that open:
 * a UTF-16 code unit comes to 1 to 3 bytes.
 */
const isLongerThan = (text: string, bytes: number): boolean =>
  text.length > bytes || (3 * text.length > bytes && utf8Length(text) > bytes)

/**
 * Why `value` can't be an object key, or null if it can.
 *
 * The rules: 1 to 1024 bytes of well-formed UTF-8, no control character, no `.` or `..` segment. A
 * URL parser folds such segments, so a URL signed for `a/../b` would open `b`.
 */
export function objectKeyFault(value: string): string | null {
  if (value === '') return 'An object key must not be empty.'
  if (!value.isWellFormed()) return 'An object key must be well-formed Unicode.'
  if (CONTROL_CHARACTERS.test(value)) return 'An object key must not contain control characters.'
  if (isLongerThan(value, MAX_OBJECT_KEY_BYTES))
    return `An object key must not be longer than ${MAX_OBJECT_KEY_BYTES} bytes.`
  if (value.split('/').some((segment) => segment === '.' || segment === '..'))
    return 'An object key must not contain a "." or ".." segment.'
  return null
}

const isObjectKey = (value: string): value is ObjectKey => objectKeyFault(value) === null

/** The key in `value`, which must be decoded already. Throws `invalid_key`. */
export function parseObjectKey(value: string): ObjectKey {
  if (isObjectKey(value)) return value
  throw new ApiError('invalid_key', objectKeyFault(value) ?? 'This is not an object key.')
}

/** `value` as the start of keys to list: empty, or itself fit to be a key. Throws `invalid_key`. */
export const parseKeyStart = (value: string): string => (value === '' ? '' : parseObjectKey(value))

/**
 * Why `value` can't bound what a principal may touch, or null if it can. A boundary is empty
 * (everything) or ends with `/`, so that `team-a/` never covers `team-ab/`. It is in Unicode NFC: in
 * a bucket that normalizes keys, its other spellings would bound the same objects.
 */
export function keyPrefixFault(value: string): string | null {
  if (value === '') return null
  if (!value.endsWith('/')) return 'A prefix must be empty or end with "/".'
  if (!isNfc(value)) return 'A prefix must be in Unicode NFC.'
  return objectKeyFault(value)?.replace('An object key', 'A prefix') ?? null
}
