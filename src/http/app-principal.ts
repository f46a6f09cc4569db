import * as z from 'zod/mini'
import { askedLimits } from '../access/asked-limits.ts'
import { type AskedLimits, type Limits, NO_LIMITS } from '../access/limits.ts'
import { isContext, isPrincipalId, MAX_CONTEXT_BYTES, type Principal } from '../access/principal.ts'
import { SCOPES, type Scope } from '../access/scopes.ts'
import { unknownMembers } from '../errors/api-error.ts'
import { keyPrefixError } from '../keys/object-key.ts'
import { checkApp } from './validate.ts'

/** The principal that an app returns for its own user. Other members are refused. */
export interface AppPrincipal {
  /** The app's id of the user: 1 to 200 bytes without control characters. */
  readonly id: string
  readonly scopes: readonly Scope[]
  /** Start of the keys that they may use: empty (every key), or ends with `/`. */
  readonly prefix: string
  /** When the session expires. Tokens that it mints expire no later. */
  readonly expiresAt?: Date | undefined
  /** Narrows what the user may do, as the limits of a token do. Tokens that it mints have them too. */
  readonly limits?: AskedLimits | undefined
  /** Any JSON of up to 1 KB, which `beforeUpload` and events get. Null is the same as nothing. */
  readonly context?: unknown
}

/**
 * Returns the principal for an app's own user. Its id differs from the ids of all other
 * credentials. Throws TypeError for an invalid principal, such as one with a prefix without `/`.
 */
export function principalOfApp(given: AppPrincipal): Principal {
  const { id, scopes, prefix, expiresAt, context = null } = given
  const unknown = unknownMembers(given, MEMBERS)
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
  if (!isContext(context))
    throw returned(`a context that is not JSON of at most ${MAX_CONTEXT_BYTES} bytes.`)
  return {
    ...{ kind: 'app', id: `app:${id}`, scopes: [...scopes], prefix, expiresAt: end },
    ...{ limits: limitsOf(given), context: context && JSON.parse(JSON.stringify(context)) },
  }
}

const MEMBERS = ['id', 'scopes', 'prefix', 'expiresAt', 'limits', 'context']

const limitsSchema = z.strictObject(askedLimits)

function limitsOf({ limits }: AppPrincipal): Limits {
  if (limits === undefined) return NO_LIMITS
  const asked = checkApp(limitsSchema, limits, 'authenticate returned invalid limits')
  const { buckets = null, maxBytes = null, allowedTypes = null, maxExpiresIn = null } = asked
  return { buckets, maxBytes, allowedTypes, maxExpiresIn }
}

const returned = (what: string): TypeError => new TypeError(`authenticate returned ${what}`)
