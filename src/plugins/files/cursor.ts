import { seal, unseal } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { ApiError } from '../../errors/api-error.ts'

/** The list that a cursor belongs to. */
export interface CursorScope {
  /** Alias of the bucket. */
  readonly bucket: string
  readonly prefix: string
}

/** Returns a cursor of Workers KV in the form for clients, bound to its list. */
export const sealCursor = (
  { signingSecrets }: SigningSettings,
  { bucket, prefix }: CursorScope,
  kvCursor: string,
): Promise<string> => seal(signingSecrets, 'cursor', { bucket, prefix, kvCursor })

/** Returns KV's cursor in `cursor`. Throws `invalid_cursor` for that of another list. */
export async function openCursor(
  { signingSecrets }: SigningSettings,
  { bucket, prefix }: CursorScope,
  cursor: string,
): Promise<string> {
  const unsealed = await unseal(signingSecrets, 'cursor', cursor, new Date())
  const claims = unsealed.ok ? unsealed.claims : undefined
  const kvCursor = claims?.kvCursor
  if (claims?.bucket !== bucket || claims.prefix !== prefix || typeof kvCursor !== 'string')
    throw new ApiError('invalid_cursor', 'This cursor is not valid for this list.')
  return kvCursor
}
