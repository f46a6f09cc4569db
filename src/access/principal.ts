import { ApiError } from '../errors/api-error.ts'
import { utf8Length } from '../keys/encodings.ts'
import { isNfc, keyPrefixFault, type ObjectKey } from '../keys/object-key.ts'
import { SCOPES, type Scope } from './scopes.ts'

/** Who asks, and how far they may go. */
export interface Principal {
  /** For records and logs. */
  readonly id: string
  readonly scopes: readonly Scope[]
  /** Empty (everything), or ends with `/`. */
  readonly prefix: string
  /** When the credentials end, in milliseconds since 1970; infinite for an API key. */
  readonly expiresAt: number
}

/** Who asks, as an app says it of its own user. */
export interface AppPrincipal {
  /** The app's id of the user: 1 to 200 bytes without control characters. */
  readonly id: string
  readonly scopes: readonly Scope[]
  /** Start of the keys that they may use: empty (everything), or ends with `/`. */
  readonly prefix: string
  /** When the session ends; tokens that it mints end by then. */
  readonly expiresAt?: Date | undefined
}

const MAX_ID_BYTES = 200

/** Whether `id` may appear in records and logs: short text in one spelling. */
export const isPrincipalId = (id: unknown): id is string =>
  typeof id === 'string' &&
  id !== '' &&
  utf8Length(id) <= MAX_ID_BYTES &&
  !/\p{C}/u.test(id) &&
  isNfc(id)

/**
 * The principal that an app names, under an id that none of the other credentials give. Throws
 * TypeError for a principal that could reach what its app can't mean, such as a prefix without `/`.
 */
export function principalOfApp({ id, scopes, prefix, expiresAt }: AppPrincipal): Principal {
  const fault = typeof prefix === 'string' ? keyPrefixFault(prefix) : 'A prefix must be text.'
  if (!isPrincipalId(id))
    throw new TypeError(
      'authenticate returned an id that is not a string of 1 to 200 bytes. Use String(user.id).',
    )
  if (fault !== null) throw new TypeError(`authenticate returned a bad prefix. ${fault}`)
  const unknown: unknown = Array.isArray(scopes)
    ? scopes.find((scope) => !SCOPES.includes(scope))
    : scopes
  if (!Array.isArray(scopes) || unknown !== undefined)
    throw new TypeError(
      `authenticate returned the unknown scope ${JSON.stringify(unknown)}. Use a list of ${SCOPES.join(', ')}.`,
    )
  const end =
    expiresAt === undefined
      ? Infinity
      : expiresAt instanceof Date
        ? expiresAt.getTime()
        : Number.NaN
  if (Number.isNaN(end))
    throw new TypeError('authenticate returned an expiresAt that is not a valid Date.')
  return { id: `app:${id}`, scopes: [...scopes], prefix, expiresAt: end }
}

/** Throws `forbidden` unless the principal has `scope`. */
export function requireScope({ scopes }: Principal, scope: Scope): void {
  if (!scopes.includes(scope)) throw new ApiError('forbidden', `This needs the scope ${scope}.`)
}

/** Throws `forbidden` unless the principal has `scope` and `key` lies under its prefix. */
export function requireKey(principal: Principal, scope: Scope, key: ObjectKey): void {
  requireScope(principal, scope)
  requirePrefix(principal, key)
}

/**
 * Throws `forbidden` unless everything that starts with `prefix` lies under the principal's own
 * prefix.
 */
export function requirePrefix(principal: Principal, prefix: string): void {
  if (!prefix.startsWith(principal.prefix))
    throw new ApiError('forbidden', 'This is outside your prefix.')
}
