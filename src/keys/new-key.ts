import { ApiError } from '../errors/api-error.ts'
import { cutToBytes, lastSegment, splitFileName } from './file-name.ts'
import { type ObjectKey, parseObjectKey } from './object-key.ts'
import { toFileName } from './shown-name.ts'

const MAX_SLUG_BYTES = 80
const MAX_EXTENSION_BYTES = 16
const MAX_TIME = 2 ** 45 - 1
const TIME_DIGITS = 9
const RANDOM_DIGITS = 11
/** Crockford's base 32, in ASCII order. It has no letters that look like digits. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'

export interface NewKeyInput {
  /** The name on the user's disk. A path before it is removed. */
  readonly fileName: string
  /** The principal's prefix: empty or ending with `/`. */
  readonly prefix: string
  /** Folder under `uploads/`, without slashes at its ends. */
  readonly directory?: string | undefined
  readonly now: Date
  /** At least 11 bytes for the random part of the key. Default: new ones. */
  readonly random?: Uint8Array | undefined
}

/**
 * Returns a unique key: `<prefix>uploads/[directory/]<id>-<slug><.ext>`. The key order is newest
 * first within one directory. The key is in Unicode NFC, like the prefix. Throws `invalid_key` if
 * the directory breaks the rules for keys.
 */
export function newObjectKey({ fileName, prefix, directory, now, random }: NewKeyInput): ObjectKey {
  const folder = directory === undefined ? '' : `${directory.normalize()}/`
  const { stem, extension } = splitFileName(fileName.replaceAll('\\', '/').trim())
  return parseObjectKey(
    `${prefix}uploads/${folder}${newId(now, random)}-${slug(stem)}${safeExtension(extension)}`,
  )
}

// Pure, so that a signer leaves it out.
const NEW_KEY = /* @__PURE__ */ new RegExp(
  `(?:^|/)uploads/(?:.+/)?([${DIGITS}]{${TIME_DIGITS}})[${DIGITS}]{${RANDOM_DIGITS}}-[^/]+$`,
)

/** Returns when `newObjectKey` created `key`, in milliseconds since 1970, or NaN. */
export function keyCreatedAt(key: ObjectKey): number {
  const [, time] = NEW_KEY.exec(key) ?? []
  if (time === undefined) return Number.NaN
  return MAX_TIME - [...time].reduce((value, digit) => value * 32 + DIGITS.indexOf(digit), 0)
}

/** Tells whether `key` has the form of `newObjectKey`. */
export const isNewObjectKey = (key: string): boolean => NEW_KEY.test(key)

/**
 * Throws `invalid_key` unless a caller may choose `key`. It must end with a name. It must not have
 * the form of `newObjectKey`, whose objects browsers may keep indefinitely, even in a spelling that
 * some servers treat as the same key: not in Unicode NFC, in another case, or with a doubled slash.
 */
export function requireChoice(key: ObjectKey): void {
  if (key.endsWith('/')) throw new ApiError('invalid_key', 'A chosen key must not end with "/".')
  const folded = key
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\/{2,}/g, '/')
  if (isNewObjectKey(key) || isNewObjectKey(folded))
    throw new ApiError(
      'invalid_key',
      'A chosen key must not look like a generated one: uploads/, 20 characters, and "-".',
    )
}

/**
 * Returns a name to show for `key`: its last segment, without the id if `newObjectKey` created it. If
 * that is invisible, returns the key. Other programs may put any name into a key.
 */
export function nameInKey(key: ObjectKey): string {
  const name = lastSegment(key)
  return toFileName(isNewObjectKey(key) ? name.slice(TIME_DIGITS + RANDOM_DIGITS + 1) : name, key)
}

/** The characters of the last id. Reused, so that each call doesn't allocate memory. */
const codes: number[] = []

/** Returns 20 characters: 45 bits of inverted milliseconds, then 55 random bits. */
function newId(
  now: Date,
  random: Uint8Array = crypto.getRandomValues(new Uint8Array(RANDOM_DIGITS)),
): string {
  let time = MAX_TIME - now.getTime()
  for (let i = TIME_DIGITS; i--; time = Math.floor(time / 32))
    codes[i] = DIGITS.charCodeAt(time % 32)
  for (let i = 0; i < RANDOM_DIGITS; i++)
    codes[TIME_DIGITS + i] = DIGITS.charCodeAt((random[i] ?? 0) % 32)
  return String.fromCharCode(...codes)
}

/** Returns `text` in lower case and Unicode NFC, with `-` for spaces, and without `removed`. */
const without = (removed: RegExp, text: string): string =>
  text
    .normalize('NFKC')
    .toLowerCase() // also what NFKC makes of letters without a lower case, such as U+1D407
    .replace(/\s+/g, '-')
    .replace(removed, '')
    .normalize() // A letter may now be next to a mark that it composes with.

function slug(stem: string): string {
  const name = cutToBytes(without(/[^\p{L}\p{M}\p{N}._-]/gu, stem), MAX_SLUG_BYTES)
  return /[\p{L}\p{N}]/u.test(name) ? name : 'file'
}

function safeExtension(extension: string): string {
  const kept = without(/[^\p{L}\p{M}\p{N}]/gu, extension)
  return kept === '' ? '' : `.${cutToBytes(kept, MAX_EXTENSION_BYTES)}`
}
