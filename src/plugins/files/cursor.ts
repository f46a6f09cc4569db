import { decrypt, encrypt } from '../../access/encrypt.ts'
import { seal, unseal } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { ApiError } from '../../errors/api-error.ts'

/** The list that a cursor belongs to. */
export interface CursorScope {
  /** Alias of the bucket. */
  readonly bucket: string
  readonly prefix: string
  /** Everything else that was asked of an index that answers, as one text. */
  readonly question?: string
}

/**
 * Returns a cursor of an index in the form for clients, bound to its list. That of a question is
 * encrypted: it may name the last row that was read, which may be outside the prefix.
 */
export async function sealCursor(
  { signingSecrets }: SigningSettings,
  { bucket, prefix, question }: CursorScope,
  kvCursor: string,
): Promise<string> {
  if (question === undefined) return seal(signingSecrets, 'cursor', { bucket, prefix, kvCursor })
  const secret = await encrypt(signingSecrets[0], boundTo(bucket, prefix, question), kvCursor)
  return seal(signingSecrets, 'cursor', { secret })
}

/** Returns the index's cursor in `cursor`. Throws `invalid_cursor` for that of another list. */
export async function openCursor(
  { signingSecrets }: SigningSettings,
  { bucket, prefix, question }: CursorScope,
  cursor: string,
): Promise<string> {
  const unsealed = await unseal(signingSecrets, 'cursor', cursor, new Date())
  if (unsealed.ok) {
    const { claims, secret } = unsealed
    if (question === undefined) {
      const { kvCursor } = claims
      if (claims.bucket === bucket && claims.prefix === prefix && typeof kvCursor === 'string')
        return kvCursor
    } else if (typeof claims.secret === 'string') {
      const opened = await decrypt(secret, boundTo(bucket, prefix, question), claims.secret).catch(
        () => null,
      )
      if (opened !== null) return opened
    }
  }
  throw new ApiError('invalid_cursor', 'This cursor is not valid for this list.')
}

const boundTo = (...list: string[]): string => JSON.stringify(['list', ...list])
