import { utf8Length } from './encodings.ts'

/**
 * The last segment of a path or key. `extension` is in lower case and includes its dot. It may be
 * empty.
 */
export interface FileName {
  readonly stem: string
  readonly extension: string
}

/** Returns the text behind the last slash. */
export const lastSegment = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** Splits a file name or object key. A leading dot starts no extension: `.env` is a stem. */
export function splitFileName(path: string): FileName {
  const base = lastSegment(path)
  const dot = base.lastIndexOf('.')
  if (dot <= 0) return { stem: base, extension: '' }
  return { stem: base.slice(0, dot), extension: base.slice(dot).toLowerCase() }
}

/** Returns the start of `text` that fits in `maxBytes` of UTF-8. Cuts between characters. */
export function cutToBytes(text: string, maxBytes: number): string {
  if (utf8Length(text) <= maxBytes) return text
  let bytes = 0
  let end = 0
  for (const character of text) {
    bytes += utf8Length(character)
    if (bytes > maxBytes) break
    end += character.length
  }
  return text.slice(0, end)
}
