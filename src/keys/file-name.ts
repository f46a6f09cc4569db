import { ApiError } from '../errors/api-error.ts'
import { isLongerThan, utf8Length } from './encodings.ts'
import { isShown, SHOWN_CHARACTERS, UNSAFE } from './shown-name.ts'

/** The last segment of a path. `extension` is in lower case, with its dot, or empty. */
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

/** Throws `invalid_name` for a file name that people can't see, or that changes the text around it. */
export function requireFileName(name: string): void {
  if (isShown(name) && name.search(UNSAFE) === -1) return
  throw new ApiError(
    'invalid_name',
    `A file name needs a visible character in its first ${SHOWN_CHARACTERS}, and no control character, half of a surrogate pair, line break or text direction mark.`,
  )
}

/** Returns the start of `text` that fits in `maxBytes` of UTF-8. Cuts between characters. */
export function cutToBytes(text: string, maxBytes: number): string {
  if (!isLongerThan(text, maxBytes)) return text
  let bytes = 0
  let end = 0
  for (const character of text) {
    bytes += utf8Length(character)
    if (bytes > maxBytes) break
    end += character.length
  }
  return text.slice(0, end)
}
