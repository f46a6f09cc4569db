import type { ErrorCode } from '../../client/src/error-code.ts'
import { PresignerError } from '../../client/src/presigner-error.ts'
import { sizeInWords } from '../../src/http/format.ts'
import { type BoxData, type Capacity, typesInWords } from '../../src/plugins/drop-boxes/box-data.ts'

/** Returns why the box refuses a file, as far as the page knows. `room` is what it still accepts. */
export function refusalOf({ size, type }: File, box: BoxData, room: Capacity): Error | undefined {
  const { maxBytes, allowedTypes } = box
  const code: ErrorCode | undefined =
    size > maxBytes
      ? 'file_too_large'
      : type && allowedTypes && !allowedTypes.some((allowed) => matches(type, allowed))
        ? 'mimetype_not_allowed'
        : room.files < 1 || room.bytes < size
          ? 'drop_box_full'
          : size === 0
            ? 'size_required'
            : undefined
  return code && new PresignerError(code, code)
}

/** Tells whether a type matches `type/subtype` or `type/*`. Only the server knows unknown types. */
const matches = (type: string, allowed: string): boolean =>
  type === allowed || (allowed.endsWith('/*') && type.startsWith(allowed.slice(0, -1)))

/** Returns a plain reason for an error. */
export function reasonOf(error: unknown, { maxBytes, allowedTypes }: BoxData): string {
  if (!(error instanceof PresignerError)) return String(error)
  const { code, retryable, requestId } = error
  switch (code) {
    case 'file_too_large':
      return `Larger than ${sizeInWords(maxBytes)}.`
    case 'mimetype_not_allowed':
      return `This type is not accepted. Accepted: ${typesInWords(allowedTypes)}.`
    case 'type_mismatch':
      return 'Its name does not show its type. Put it into a ZIP file.'
    case 'size_required':
      return 'It is empty.'
    case 'drop_box_full':
      return 'There is no room left for it.'
    case 'drop_box_closed':
      return 'This page no longer accepts files.'
    case 'password_wrong':
      return 'The password is wrong.'
    case 'rate_limited':
      return 'Waiting for its turn.'
    case 'file_changed':
      return 'It has changed since you chose it. Choose it again.'
    case 'network':
    case 'unreachable':
      return 'No connection.'
    default:
      return `${retryable ? 'The server is busy.' : 'It could not be sent.'} ${requestId ?? ''}`.trim()
  }
}
