import * as z from 'zod/mini'
import { seal, unsealAs } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import type { Json } from '../../keys/encodings.ts'

const claimsSchema = z.object({
  bucket: z.string(),
  owner: z.string(),
  name: z.string(),
  maxBytes: z.int(),
  overwrite: z.optional(z.boolean()),
  fields: z.catchall(z.object({ key: z.string() }), z.string()),
  context: z.optional(z.custom<Json>()),
})

/** What the holder of a form may upload. */
export interface FormPolicy {
  /** Alias of the bucket. */
  readonly bucket: string
  /** Id of the principal. */
  readonly owner: string
  /** File name. */
  readonly name: string
  readonly maxBytes: number
  /** Whether it may replace an object. Only for a chosen key. */
  readonly overwrite?: boolean | undefined
  /** Exactly the fields that the form must have, by their names in lower case. */
  readonly fields: Readonly<Record<string, string>> & { readonly key: string }
  /** The principal's context, if it has one. */
  readonly context?: Json | undefined
}

/** Returns `policy` in the form for clients. Its holder can read it, and use it for `seconds`. */
export const sealFormPolicy = (
  { signingSecrets }: SigningSettings,
  policy: FormPolicy,
  seconds: number,
  now: Date,
): Promise<string> =>
  seal(signingSecrets, 'form', { ...policy, exp: Math.floor(now.getTime() / 1000) + seconds })

/**
 * Returns the policy that `sealFormPolicy` sealed. Throws `forbidden` if it is invalid or has
 * expired.
 */
export const openFormPolicy = (
  { signingSecrets }: SigningSettings,
  sealed: string,
  now: Date,
): Promise<FormPolicy> => unsealAs(signingSecrets, 'form', claimsSchema, sealed, now)
