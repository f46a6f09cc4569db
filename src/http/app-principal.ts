import * as z from 'zod/mini'
import { askedLimits } from '../access/asked-limits.ts'
import type { AskedLimits } from '../access/limits.ts'
import { isContext, isPrincipalId, MAX_CONTEXT_BYTES, type Principal } from '../access/principal.ts'
import { SCOPES, type Scope } from '../access/scopes.ts'
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
  const checked = checkApp(principalSchema, given, 'authenticate returned an invalid principal')
  const { id, scopes, prefix, expiresAt, limits = {}, context = null } = checked
  const { buckets = null, maxBytes = null, allowedTypes = null, maxExpiresIn = null } = limits
  return {
    kind: 'app',
    id: `app:${id}`,
    scopes,
    prefix,
    expiresAt: expiresAt?.getTime() ?? Infinity,
    limits: { buckets, maxBytes, allowedTypes, maxExpiresIn },
    context: context && JSON.parse(JSON.stringify(context)),
  }
}

const isDate = (value: unknown): boolean => value instanceof Date && !Number.isNaN(value.getTime())

const principalSchema = z.strictObject({
  id: z.custom<string>(isPrincipalId, 'must be a string of 1 to 200 bytes. Use String(user.id)'),
  scopes: z.array(z.enum(SCOPES)),
  prefix: z.string().check(
    z.refine((prefix) => keyPrefixError(prefix) === null, {
      error: ({ input }) => `is invalid. ${keyPrefixError(String(input))}`,
    }),
  ),
  expiresAt: z.optional(z.custom<Date>(isDate, 'must be a valid Date')),
  limits: z.optional(z.strictObject(askedLimits)),
  context: z.optional(
    z.custom<unknown>(isContext, `must be JSON of at most ${MAX_CONTEXT_BYTES} bytes`),
  ),
})
