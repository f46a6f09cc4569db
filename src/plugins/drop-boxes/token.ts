import * as z from 'zod/mini'
import { purpose } from '../../access/purpose-key.ts'
import { seal, unseal } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import type { Refusal } from '../../access/verdict.ts'
import type { Session } from '../../state/reservation.ts'

const DROP_BOX = purpose('drop-box')

export const BOX_TOKEN_PREFIX = 'epd_'

/** Strict, so that this version refuses a token with a member that a later one adds. */
const claimsSchema = z.strictObject({
  id: z.string(),
  network: z.string(),
  around: z.string(),
  sender: z.nullable(z.strictObject({ name: z.string(), note: z.string() })),
  exp: z.int(),
})

/** What the token of a page says: the public id of its box, and who sends. */
export interface BoxClaims extends Session {
  readonly id: string
}

/** Returns the token of a page. It expires at `exp`, in seconds since 1970. */
export const sealBoxToken = async (
  { signingSecrets }: SigningSettings,
  { id, network, around, sender }: BoxClaims,
  exp: number,
): Promise<string> =>
  BOX_TOKEN_PREFIX + (await seal(signingSecrets, DROP_BOX, { id, network, around, sender, exp }))

/** Returns what a token says and its expiry in seconds, or why it is refused. */
export async function openBoxToken(
  { signingSecrets }: SigningSettings,
  token: string,
  now: Date,
  graceSeconds: number,
): Promise<(BoxClaims & { readonly exp: number }) | Refusal> {
  const text = token.slice(BOX_TOKEN_PREFIX.length)
  const sealed = await unseal(signingSecrets, DROP_BOX, text, now, graceSeconds)
  if (!sealed.ok) return `token ${sealed.failure}`
  const claims = claimsSchema.safeParse(sealed.claims)
  return claims.success ? claims.data : 'token claims unusable'
}
