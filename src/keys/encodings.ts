/*
 * Conversions between text and bytes. Node 22 has no `toHex`, `toBase64` and `fromBase64`, so these
 * functions don't use them.
 */

/** A value that JSON can represent. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [name: string]: Json }

const encoder = new TextEncoder()
const HEX_DIGITS = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0))

/** Returns `text` in UTF-8. */
export const utf8 = (text: string): Uint8Array => encoder.encode(text)

/** Returns the text that `bytes` are in UTF-8. Throws TypeError for other bytes. */
export const fromUtf8 = (bytes: ArrayBuffer | Uint8Array): string =>
  new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)

/** Returns the number of bytes of `text` in UTF-8. */
export const utf8Length = (text: string): number => encoder.encode(text).length

/** Tells whether `text` is longer than `bytes` in UTF-8. A code unit has 1 to 3 bytes. */
export const isLongerThan = (text: string, bytes: number): boolean =>
  text.length > bytes || (3 * text.length > bytes && utf8Length(text) > bytes)

/** Compares two texts by their bytes in UTF-8, the order of lists. */
export function byUtf8(one: string, other: string): number {
  const end = Math.min(one.length, other.length)
  let i = 0
  while (i < end && one.charCodeAt(i) === other.charCodeAt(i)) i++
  return i === end ? one.length - other.length : rank(one.charCodeAt(i)) - rank(other.charCodeAt(i))
}

/** In UTF-8, what UTF-16 writes with surrogates comes last. */
const rank = (code: number): number => (code >= 0xd800 && code <= 0xdfff ? code + 0x10000 : code)

/** Returns `text` percent-encoded by RFC 3986: SigV4's `UriEncode` with encoded slashes. */
export const uriEncode = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )

/** The digits of the last digest. Reused, so that each call doesn't allocate memory. */
const codes: number[] = []

/** Returns a digest or signature in hexadecimal, in lower case. */
export function hex(digest: ArrayBuffer): string {
  const bytes = new Uint8Array(digest)
  codes.length = 2 * bytes.length
  writeHex(bytes, codes, 0)
  return String.fromCharCode(...codes)
}

/** Returns the SHA-256 of bytes, or of a text in UTF-8, in hexadecimal. */
export const sha256 = (data: string | Uint8Array): Promise<string> =>
  crypto.subtle.digest('SHA-256', typeof data === 'string' ? utf8(data) : data).then(hex)

/** Writes `bytes` in hexadecimal, as ASCII, into `target` from `at` on. */
export function writeHex(bytes: Uint8Array, target: number[] | Uint8Array, at: number): void {
  let end = at
  for (const byte of bytes) {
    target[end++] = HEX_DIGITS[byte >> 4] ?? 0
    target[end++] = HEX_DIGITS[byte & 15] ?? 0
  }
}

/** A number of arguments that every engine accepts in one call. */
const CHUNK = 8192

/** Returns `bytes` in base64 with its padding (RFC 4648, section 4). */
export function base64(bytes: Uint8Array): string {
  let binary = ''
  for (let start = 0; start < bytes.length; start += CHUNK)
    binary += String.fromCharCode(...bytes.subarray(start, start + CHUNK))
  return btoa(binary)
}

/** Returns `bytes` in base64url without padding (RFC 4648, section 5). */
export const base64url = (bytes: Uint8Array): string =>
  base64(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

/** Decodes what `base64url` returns. Throws SyntaxError for any other spelling of bytes. */
export function fromBase64url(text: string): Uint8Array {
  if (/^[A-Za-z0-9_-]*$/.test(text) && text.length % 4 !== 1) {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0))
    if (base64url(bytes) === text) return bytes
  }
  throw new SyntaxError('Invalid base64url.')
}

/** Compares strings of digits in constant time: reads all of them, and never branches on them. */
export function areEqual(a: string, b: string): boolean {
  let difference = a.length ^ b.length
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i)
  return difference === 0
}
