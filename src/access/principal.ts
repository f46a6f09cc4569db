import type { UploadFields } from '../bucket/upload-fields.ts'
import { ApiError } from '../errors/api-error.ts'
import { type Json, utf8Length } from '../keys/encodings.ts'
import { isNfc, type ObjectKey } from '../keys/object-key.ts'
import type { Limits } from './limits.ts'
import type { Scope } from './scopes.ts'

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
  /** What the app, or the creator of a token, wants to see in events. */
  readonly context: Json | null
}

const MAX_ID_BYTES = 200
export const MAX_CONTEXT_BYTES = 1024

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

/** Tells whether `value` may be a context: JSON of at most 1 KB. */
export function isContext(value: unknown): value is Json {
  try {
    const text: unknown = JSON.stringify(value) // undefined for a function
    return typeof text === 'string' && utf8Length(text) <= MAX_CONTEXT_BYTES
  } catch {
    return false // nested too deep
  }
}

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

/**
 * Tells whether the caller may set the context of a token, which the app's server trusts. Nobody
 * replaces the one that an app returned for its user.
 */
export const maySetContext = ({ kind, context }: Pick<Principal, 'kind' | 'context'>): boolean =>
  context === null && (kind === 'key' || kind === 'localhost' || kind === 'app')

/** Returns the principal's context as a member to seal, or no member without a context. */
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

/**
 * Throws `forbidden` unless `principal` may upload to `key`. A chosen key has `overwrite`, and needs
 * no more scopes if the app chose it.
 */
export function requireUpload(
  principal: Principal,
  key: ObjectKey,
  { overwrite, byApp }: Pick<UploadFields, 'overwrite' | 'byApp'>,
): void {
  requireKey(principal, 'files:upload', key)
  if (byApp) return
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
