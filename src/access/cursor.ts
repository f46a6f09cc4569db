import { ApiError } from '../errors/api-error.ts'
import { seal, unseal } from './seal.ts'
import type { SigningSettings } from './settings.ts'

/** The list that a cursor belongs to. */
export interface CursorScope {
  /** Alias of the bucket. */
  readonly bucket: string
  readonly prefix: string
}

/** A cursor of Workers KV as clients get it: bound to the list that it came from. */
export const sealCursor = (
  { signingSecrets }: SigningSettings,
  { bucket, prefix }: CursorScope,
  kvCursor: string,
): Promise<string> => seal(signingSecrets, 'cursor', { bucket, prefix, kvCursor })

/**
 * The cursor of Workers KV in `cursor`. Throws `invalid_cursor` where it came from another list or
 * from elsewhere.
 */
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
