import * as z from 'zod/mini'
import { seal, unseal } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { ApiError } from '../../errors/api-error.ts'

/** Returns a cursor for clients, bound to what it lists, such as the files of one box. */
export const sealStart = async (
  { signingSecrets }: SigningSettings,
  list: string,
  start: unknown,
): Promise<{ readonly cursor?: string }> =>
  start === null ? {} : { cursor: await seal(signingSecrets, 'cursor', { list, start }) }

/** Returns where a page starts, or null without a cursor. Throws `invalid_cursor` for another list's. */
export async function openStart<Schema extends z.ZodMiniType>(
  { signingSecrets }: SigningSettings,
  list: string,
  start: Schema,
  cursor: string | undefined,
): Promise<z.output<Schema> | null> {
  if (cursor === undefined) return null
  const unsealed = await unseal(signingSecrets, 'cursor', cursor, new Date())
  const claims = z
    .strictObject({ list: z.literal(list), start })
    .safeParse(unsealed.ok && unsealed.claims)
  if (claims.success) return claims.data.start as z.output<Schema>
  throw new ApiError('invalid_cursor', 'This cursor is not valid for this list.')
}
