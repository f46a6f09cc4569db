import { cutToBytes } from '../keys/file-name.ts'
import { uriEncode } from '../keys/uri-encode.ts'

const MAX_NAME_BYTES = 255
const CONTROL_OR_BIDI = /[\p{Cc}\p{Bidi_Control}]/gu

/**
 * `Content-Disposition: attachment` by RFC 6266: an ASCII `filename` for old clients and, where the
 * name holds more, the UTF-8 `filename*` of RFC 8187. Control characters, quotes, slashes and bidi
 * controls are dropped.
 */
export function attachment(name: string | null): string {
  const clean = cutToBytes(
    (name ?? '')
      .toWellFormed()
      .replace(CONTROL_OR_BIDI, '')
      .replace(/["\\/]/g, '')
      .trim(),
    MAX_NAME_BYTES,
  )
  if (clean === '') return 'attachment'
  const ascii = clean.replace(/[^\x20-\x7e]/gu, '_').replaceAll('%', '_')
  const plain = `attachment; filename="${ascii}"`
  return ascii === clean ? plain : `${plain}; filename*=UTF-8''${uriEncode(clean)}`
}
