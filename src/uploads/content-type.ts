import type { Bucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import { splitFileName } from '../keys/file-name.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { keyRunsScript, typeRunsScript } from '../keys/script-types.ts'

/**
 * RFC 9110, §8.3.1, except commas: a browser takes what follows one for another type. At most one
 * space a gap.
 */
const MEDIA_TYPE =
  /^([\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127})(?: ?; ?[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"(?:[\w!#$&^.+-]| (?! ))*"))*$/

const MAX_MEDIA_TYPE_LENGTH = 255

const essenceOf = (mimetype: string): string | undefined =>
  mimetype.length > MAX_MEDIA_TYPE_LENGTH
    ? undefined
    : MEDIA_TYPE.exec(mimetype)?.[1]?.toLowerCase()

/** Whether `mimetype` is one media type, which an object may have. */
export const isMediaType = (mimetype: string): boolean => essenceOf(mimetype) !== undefined

/**
 * Throws unless `mimetype` may be stored under `key`: `invalid_mimetype`, `mimetype_not_allowed`,
 * or `type_mismatch` for a type that can run script under an extension that can't. So the extension
 * alone tells what must be an attachment.
 */
export function requireContentType(
  mimetype: string,
  key: ObjectKey,
  { allowedTypes }: Bucket,
): void {
  const essence = essenceOf(mimetype)
  if (essence === undefined)
    throw new ApiError('invalid_mimetype', 'mimetype must be type/subtype, such as image/jpeg.')
  if (allowedTypes !== null && !allowedTypes.some((allowed) => covers(allowed, essence)))
    throw new ApiError(
      'mimetype_not_allowed',
      `This bucket accepts only ${allowedTypes.join(', ')}.`,
    )
  if (typeRunsScript(essence) && !keyRunsScript(key))
    throw new ApiError(
      'type_mismatch',
      `${essence} can run script, which the extension "${splitFileName(key).extension}" hides. Name the file by its type, or send another type.`,
    )
}

/** Whether `essence` is the type `allowed`, or falls under its `type/*`. */
const covers = (allowed: string, essence: string): boolean =>
  allowed.endsWith('/*') ? essence.startsWith(allowed.slice(0, -1)) : essence === allowed
