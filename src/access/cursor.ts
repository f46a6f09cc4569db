import type * as z from 'zod/mini'
import { ApiError } from '../errors/api-error.ts'
import { purpose } from './purpose-key.ts'
import { decrypt, encrypt, seal, unseal } from './seal.ts'
import type { SigningSettings } from './settings.ts'

const CURSOR = purpose('cursor')

/** Makes and reads the cursors of one list. */
export interface Cursors<Position> {
  /** Returns what a page says of the next one at `position`: its cursor, or nothing without one. */
  seal(position: Position | null | undefined): Promise<{ readonly cursor?: string }>
  /**
   * Returns the position of a cursor, or undefined without one. Throws `invalid_cursor` for a cursor of
   * another list, and for an expired one.
   */
  open(cursor: string | undefined): Promise<Position | undefined>
}

/**
 * Returns cursors for clients that work only for this list: what it lists, of what, and for whom. They
 * are encrypted, since a position can name what its holder may not see, such as a key outside the prefix.
 */
export function cursorsOf<Position>(
  { signingSecrets }: SigningSettings,
  list: readonly string[],
  schema: z.ZodMiniType<Position>,
  { now = new Date(), seconds }: { readonly now?: Date; readonly seconds?: number } = {},
): Cursors<Position> {
  const bound = JSON.stringify(['list', ...list])
  return {
    async seal(position) {
      if (position === null || position === undefined) return {}
      const secret = await encrypt(signingSecrets[0], bound, JSON.stringify(position))
      const exp = seconds && Math.floor(now.getTime() / 1000) + seconds
      return { cursor: await seal(signingSecrets, CURSOR, { secret, exp }) }
    },
    async open(cursor) {
      if (cursor === undefined) return undefined
      const unsealed = await unseal(signingSecrets, CURSOR, cursor, now)
      if (unsealed.ok && typeof unsealed.claims.secret === 'string') {
        const text = await decrypt(unsealed.secret, bound, unsealed.claims.secret).catch(
          () => 'null',
        )
        const position = schema.safeParse(JSON.parse(text))
        if (position.success) return position.data
      }
      throw new ApiError(
        'invalid_cursor',
        'This cursor belongs to another list, or has expired. Start without one.',
      )
    },
  }
}
