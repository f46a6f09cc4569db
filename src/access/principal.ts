import { ApiError } from '../errors/api-error.ts'
import { utf8Length } from '../keys/encodings.ts'
import { isNfc, keyPrefixError, type ObjectKey } from '../keys/object-key.ts'
import { SCOPES, type Scope } from './scopes.ts'

/** Who sends a request, and what they may do. */
export interface Principal {
  /** For records and logs. */
  readonly id: string
  readonly scopes: readonly Scope[]
  /** Empty (everything), or ends with `/`. */
  readonly prefix: string
  /** When the credentials expire, in milliseconds since 1970. Infinite for an API key. */
  readonly expiresAt: number
}

/** The principal that an app returns for its own user. */
export interface AppPrincipal {
  /** The app's id of the user: 1 to 200 bytes without control characters. */
  readonly id: string
  readonly scopes: readonly Scope[]
  /** Start of the keys that they may use: empty (every key), or ends with `/`. */
  readonly prefix: string
  /** When the session expires. Tokens that it mints expire no later. */
  readonly expiresAt?: Date | undefined
}

const MAX_ID_BYTES = 200

/** Tells whether `id` may appear in records and logs: a short string in Unicode NFC. */
export const isPrincipalId = (id: unknown): id is string =>
  typeof id === 'string' &&
  id !== '' &&
  utf8Length(id) <= MAX_ID_BYTES &&
  !/\p{C}/u.test(id) &&
  isNfc(id)

/**
 * Returns the principal for an app's own user. Its id differs from the ids of all other
 * credentials. Throws TypeError for an invalid principal, such as one with a prefix without `/`.
 */
export function principalOfApp({ id, scopes, prefix, expiresAt }: AppPrincipal): Principal {
  const prefixError =
    typeof prefix === 'string' ? keyPrefixError(prefix) : 'A prefix must be a string.'
  if (!isPrincipalId(id))
    throw new TypeError(
      'authenticate returned an id that is not a string of 1 to 200 bytes. Use String(user.id).',
    )
  if (prefixError !== null)
    throw new TypeError(`authenticate returned an invalid prefix. ${prefixError}`)
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

/** Throws `forbidden` unless the principal has `scope` and `key` is under its prefix. */
export function requireKey(principal: Principal, scope: Scope, key: ObjectKey): void {
  requireScope(principal, scope)
  requirePrefix(principal, key)
}

/** Throws `forbidden` unless `prefix` is under the principal's own prefix. */
export function requirePrefix(principal: Principal, prefix: string): void {
  if (!prefix.startsWith(principal.prefix))
    throw new ApiError('forbidden', 'This is outside your prefix.')
}
