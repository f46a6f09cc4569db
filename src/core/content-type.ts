import { coversType } from '../access/limits.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import { splitFileName } from '../keys/file-name.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { keyRunsScript, typeRunsScript } from '../keys/script-types.ts'

/** RFC 9110, §8.3.1, with at most one space, and no comma: browsers read a type after that. */
const MEDIA_TYPE =
  /^([\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127})(?: ?; ?[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"(?:[\w!#$&^.+-]| (?! ))*"))*$/

const MAX_MEDIA_TYPE_LENGTH = 255

const essenceOf = (mimetype: string): string | undefined =>
  mimetype.length > MAX_MEDIA_TYPE_LENGTH
    ? undefined
    : MEDIA_TYPE.exec(mimetype)?.[1]?.toLowerCase()

/** Tells whether `mimetype` is exactly one valid media type. */
export const isMediaType = (mimetype: string): boolean => essenceOf(mimetype) !== undefined

/**
 * Throws unless `mimetype` may be stored under `key`: `invalid_mimetype`, `mimetype_not_allowed`,
 * or `type_mismatch` for a type that can run scripts under an extension that can't. So the
 * extension alone decides what must be an attachment.
 */
export function requireContentType(mimetype: string, key: ObjectKey, bucket: Bucket): void {
  const essence = essenceOf(mimetype)
  if (essence === undefined)
    throw new ApiError('invalid_mimetype', 'mimetype must be type/subtype, such as image/jpeg.')
  requireAllowedType(mimetype, bucket)
  if (typeRunsScript(essence) && !keyRunsScript(key))
    throw new ApiError(
      'type_mismatch',
      `${essence} can run scripts, but the extension "${splitFileName(key).extension}" does not show that. Use an extension of this type, or send another type.`,
    )
}

/** Throws `mimetype_not_allowed` unless `allowedTypes` has `mimetype`, which may be malformed. */
export function requireAllowedType(
  mimetype: string,
  { allowedTypes }: Pick<Bucket, 'allowedTypes'>,
): void {
  if (allowedTypes === null) return
  const essence = essenceOf(mimetype) ?? ''
  if (!allowedTypes.some((allowed) => coversType(allowed, essence)))
    throw new ApiError(
      'mimetype_not_allowed',
      `Only these types are allowed here: ${allowedTypes.join(', ') || 'none'}.`,
    )
}
