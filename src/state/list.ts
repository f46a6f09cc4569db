import * as z from 'zod/mini'
import { type Cursors, cursorsOf } from '../access/cursor.ts'
import type { SigningSettings } from '../access/settings.ts'
import { sixAtOnce } from '../bucket/at-once.ts'
import { asApiError } from '../errors/api-error.ts'

/** One item in the list of a minter. */
export interface Listed {
  /** Its public id. */
  readonly id: string
  /** When it was created, in milliseconds since 1970. */
  readonly at: number
}

export interface ListPage {
  readonly items: readonly Listed[]
  /** Where the next page starts, or null after the last one. */
  readonly next: Listed | null
}

/** The name of the object that lists what a principal has made. Items have other names: hexadecimal. */
export const listName = (principalId: string): string => `list ${principalId}`

/** Returns the cursors of a principal's list. */
export const listCursors = (
  settings: SigningSettings,
  list: 'grants' | 'drop boxes',
  principalId: string,
): Cursors<Listed> => cursorsOf(settings, [list, principalId], listedSchema)

const listedSchema = z.object({ id: z.string(), at: z.number() })

/** Items of a list, and the ids of those that could not be read now, if there are any. */
export interface ReadItems<T> {
  readonly items: T[]
  readonly failed: { readonly unavailable?: string[] }
}

/**
 * Reads the items of a page. One whose object fails must not hide the others. Throws
 * `unavailable` if all fail, and what else `read` throws.
 */
export async function readItems<T>(
  listed: readonly Listed[],
  read: (id: string) => Promise<readonly T[]>,
): Promise<ReadItems<T>> {
  const unavailable: string[] = []
  const items = await sixAtOnce(listed, async ({ id }) => {
    try {
      return await read(id)
    } catch (error) {
      if (asApiError(error)?.reason !== 'state') throw error
      unavailable.push(id)
      if (unavailable.length === listed.length) throw error
      return []
    }
  })
  return { items: items.flat(), failed: unavailable.length === 0 ? {} : { unavailable } }
}
