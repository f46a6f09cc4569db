import { seal, unseal } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { ApiError } from '../../errors/api-error.ts'

/** Returns a cursor of the list of files that the box with this public id has received. */
export const sealFilesCursor = (
  { signingSecrets }: SigningSettings,
  dropBox: string,
  next: number,
): Promise<string> => seal(signingSecrets, 'cursor', { dropBox, next })

/** Returns where a page starts, or null without a cursor. Throws `invalid_cursor` for another list's. */
export async function openFilesCursor(
  { signingSecrets }: SigningSettings,
  dropBox: string,
  cursor: string | undefined,
): Promise<number | null> {
  if (cursor === undefined) return null
  const unsealed = await unseal(signingSecrets, 'cursor', cursor, new Date())
  const claims = unsealed.ok ? unsealed.claims : {}
  if (claims.dropBox === dropBox && typeof claims.next === 'number') return claims.next
  throw new ApiError('invalid_cursor', 'This cursor is not valid for this list.')
}
