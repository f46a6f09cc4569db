import { uriEncode, utf8Length } from '../keys/encodings.ts'
import { cutToBytes, splitFileName } from '../keys/file-name.ts'

const MAX_NAME_BYTES = 255
/** Text after the last dot of a name is not an extension if it is longer than this. */
const MAX_EXTENSION_BYTES = 32
const CONTROL_OR_BIDI = /[\p{Cc}\p{Bidi_Control}]/gu

/**
 * Returns an attachment (RFC 6266) with an ASCII `filename`, and for other names the UTF-8
 * `filename*` (RFC 8187). Removes control characters, quotes, slashes and bidi controls.
 */
export function attachment(name: string | null): string {
  const clean = cutName(
    (name ?? '')
      .toWellFormed()
      .replace(CONTROL_OR_BIDI, '')
      .replace(/["\\/]/g, '')
      .trim(),
  )
  if (clean === '') return 'attachment'
  // Some clients decode `%41` and `=?UTF-8?B?…?=` (RFC 2047) in the plain form.
  const ascii = clean.replace(/[^\x20-\x7e]|%|=\?/gu, '_')
  const plain = `attachment; filename="${ascii}"`
  return ascii === clean ? plain : `${plain}; filename*=UTF-8''${uriEncode(clean)}`
}

/** Returns the start of a name that fits in 255 bytes, with its extension. */
function cutName(name: string): string {
  const { stem } = splitFileName(name)
  const extension = name.slice(stem.length)
  const extensionBytes = utf8Length(extension)
  if (extensionBytes > MAX_EXTENSION_BYTES) return cutToBytes(name, MAX_NAME_BYTES)
  return cutToBytes(stem, MAX_NAME_BYTES - extensionBytes) + extension
}
