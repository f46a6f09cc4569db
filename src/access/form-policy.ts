import * as z from 'zod/mini'
import { ApiError } from '../errors/api-error.ts'
import { seal, unseal } from './seal.ts'
import type { SigningSettings } from './settings.ts'

const claimsSchema = z.object({
  bucket: z.string(),
  owner: z.string(),
  name: z.string(),
  maxBytes: z.int(),
  fields: z.catchall(z.object({ key: z.string() }), z.string()),
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
  /** The fields that the form must have, and no others: by their names in lower case. */
  readonly fields: Readonly<Record<string, string>> & { readonly key: string }
}

/** `policy` as a form carries it: its holder can read it, and use it for `seconds`. */
export const sealFormPolicy = (
  { signingSecrets }: SigningSettings,
  policy: FormPolicy,
  seconds: number,
  now: Date,
): Promise<string> =>
  seal(signingSecrets, 'form', { ...policy, exp: Math.floor(now.getTime() / 1000) + seconds })

/** Throws `forbidden` for what `sealFormPolicy` didn't make, and for what has expired. */
export async function openFormPolicy(
  { signingSecrets }: SigningSettings,
  sealed: string,
  now: Date,
): Promise<FormPolicy> {
  const unsealed = await unseal(signingSecrets, 'form', sealed, now)
  const policy = claimsSchema.safeParse(unsealed.ok && unsealed.claims)
  if (policy.success) return policy.data
  throw new ApiError('forbidden', 'The policy of this form is not valid, or has expired.')
}
