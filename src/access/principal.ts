import { ApiError, unknownMembers } from '../errors/api-error.ts'
import { type Json, utf8Length } from '../keys/encodings.ts'
import { isNfc, keyPrefixError, type ObjectKey } from '../keys/object-key.ts'
import { type Limits, NO_LIMITS } from './limits.ts'
import { SCOPES, type Scope } from './scopes.ts'

/** Who sends a request, and what they may do. */
export interface Principal {
  /** The credential. `token` also stands for a form or an upload step that the Worker sealed. */
  readonly kind: 'key' | 'jwt' | 'app' | 'localhost' | 'token'
  /** For records and logs. */
  readonly id: string
  readonly scopes: readonly Scope[]
  /** Empty (everything), or ends with `/`. */
  readonly prefix: string
  /** When the credentials expire, in milliseconds since 1970. Infinite for an API key. */
  readonly expiresAt: number
  readonly limits: Limits
  /** What the creator of a token wants to see in its events. */
  readonly context: Json | null
}

/** Limits are for tokens. An app's own user has none, so an object with one does not compile. */
type WithoutLimits = { readonly [Name in keyof Limits]?: never }

/** The principal that an app returns for its own user. Other members are refused. */
export interface AppPrincipal extends WithoutLimits {
  /** The app's id of the user: 1 to 200 bytes without control characters. */
  readonly id: string
  readonly scopes: readonly Scope[]
  /** Start of the keys that they may use: empty (every key), or ends with `/`. */
  readonly prefix: string
  /** When the session expires. Tokens that it mints expire no later. */
  readonly expiresAt?: Date | undefined
}

const MAX_ID_BYTES = 200

/**
 * Tells whether `id` may appear in records and logs: a short string in Unicode NFC, on one line. The
 * line separators U+2028 and U+2029 are not control characters.
 */
export const isPrincipalId = (id: unknown): id is string =>
  typeof id === 'string' &&
  id !== '' &&
  utf8Length(id) <= MAX_ID_BYTES &&
  !/[\p{C}\p{Zl}\p{Zp}]/u.test(id) &&
  isNfc(id)

/**
 * Returns the principal for an app's own user. Its id differs from the ids of all other
 * credentials. Throws TypeError for an invalid principal, such as one with a prefix without `/`.
 */
export function principalOfApp(given: AppPrincipal): Principal {
  const { id, scopes, prefix, expiresAt } = given
  const unknown = unknownMembers(given, ['id', 'scopes', 'prefix', 'expiresAt'])
  if (unknown !== null) throw returned(`a principal that ${unknown}.`)
  const prefixError =
    typeof prefix === 'string' ? keyPrefixError(prefix) : 'A prefix must be a string.'
  if (!isPrincipalId(id))
    throw returned('an id that is not a string of 1 to 200 bytes. Use String(user.id).')
  if (prefixError !== null) throw returned(`an invalid prefix. ${prefixError}`)
  const wrong: unknown = Array.isArray(scopes)
    ? scopes.find((scope) => !SCOPES.includes(scope))
    : scopes
  if (!Array.isArray(scopes) || wrong !== undefined)
    throw returned(
      `the unknown scope ${JSON.stringify(wrong)}. Use a list of ${SCOPES.join(', ')}.`,
    )
  const isDate = expiresAt === undefined || expiresAt instanceof Date
  const end = isDate ? (expiresAt?.getTime() ?? Infinity) : Number.NaN
  if (Number.isNaN(end)) throw returned('an expiresAt that is not a valid Date.')
  return {
    ...{ kind: 'app', id: `app:${id}`, scopes: [...scopes], prefix, expiresAt: end },
    ...{ limits: NO_LIMITS, context: null },
  }
}

const returned = (what: string): TypeError => new TypeError(`authenticate returned ${what}`)

/** An app's own id of a user. It has no slash, so that a principal's id can end with it. */
export const SUBJECT = /^[A-Za-z0-9._@:-]{1,128}$/

/** Ids of the credentials that may name a subject. They have no slash, so that the rest is the subject. */
const WITH_SUBJECT = /^(key:[a-z0-9-]+|localhost)(?:\/(.+))?$/

/**
 * Returns the user that a token is for, or null. `key:app/alice` is the user `alice` of the API key
 * `app`. Nothing else can have such an id: those of JWTs and apps have a prefix.
 */
export const subjectOf = ({ id }: Pick<Principal, 'id'>): string | null =>
  WITH_SUBJECT.exec(id)?.[2] ?? null

/**
 * Returns the id of a token for `subject`. Throws `forbidden` unless the caller already is that
 * user, or is an API key. A token without a subject could otherwise pose as any user.
 */
export function idOfSubject(caller: Pick<Principal, 'kind' | 'id'>, subject: string): string {
  if (subject === subjectOf(caller)) return caller.id
  if (caller.kind === 'key' || caller.kind === 'localhost') return `${caller.id}/${subject}`
  throw new ApiError('forbidden', 'Only an API key can set the subject of a token.')
}

/** Tells whether the caller may set the context of a token, which the app's server trusts. */
export const maySetContext = ({ kind }: Pick<Principal, 'kind'>): boolean =>
  kind === 'key' || kind === 'localhost' || kind === 'app'

/** Returns the principal's context for what is sealed, which has no such member without one. */
export const contextOf = ({ context }: Pick<Principal, 'context'>): { readonly context?: Json } =>
  context === null ? {} : { context }

/** Throws `forbidden` unless the principal has `scope`. */
export function requireScope({ scopes }: Principal, scope: Scope): void {
  if (!scopes.includes(scope)) throw new ApiError('forbidden', `This needs the scope ${scope}.`)
}

/** Throws `forbidden` unless the principal has `scope` and `key` is under its prefix. */
export function requireKey(principal: Principal, scope: Scope, key: ObjectKey): void {
  requireScope(principal, scope)
  requirePrefix(principal, key)
}

/** Throws `forbidden` unless `principal` may upload to `key`. A chosen key has `overwrite`. */
export function requireUpload(
  principal: Principal,
  key: ObjectKey,
  overwrite: boolean | undefined,
): void {
  requireKey(principal, 'files:upload', key)
  if (overwrite !== undefined) requireScope(principal, 'keys:choose')
  if (overwrite) requireScope(principal, 'files:delete')
}

/** Throws `forbidden` unless `prefix` is under the principal's own prefix. */
export function requirePrefix(principal: Principal, prefix: string): void {
  if (!prefix.startsWith(principal.prefix))
    throw new ApiError(
      'forbidden',
      `This is outside your prefix ${JSON.stringify(principal.prefix)}.`,
    )
}
