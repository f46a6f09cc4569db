import { seal, unseal } from '../access/seal.ts'
import type { SigningSettings } from '../access/settings.ts'
import { sixAtOnce } from '../bucket/at-once.ts'
import { ApiError, asApiError } from '../errors/api-error.ts'

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

/** The list that a cursor belongs to. Another principal can't use it. */
export interface ListScope {
  readonly list: 'grants' | 'drop boxes'
  /** Id of the principal. */
  readonly principal: string
}

/** Returns a cursor for the page that starts with `next`. */
export const sealListCursor = (
  { signingSecrets }: SigningSettings,
  { list, principal }: ListScope,
  { id, at }: Listed,
): Promise<string> => seal(signingSecrets, 'cursor', { list, principal, id, at })

/** Returns where the page of `cursor` starts, or null without one. Throws `invalid_cursor`. */
export async function openListCursor(
  { signingSecrets }: SigningSettings,
  { list, principal }: ListScope,
  cursor: string | undefined,
): Promise<Listed | null> {
  if (cursor === undefined) return null
  const unsealed = await unseal(signingSecrets, 'cursor', cursor, new Date())
  const { id, at, ...of } = unsealed.ok ? unsealed.claims : {}
  if (of.list === list && of.principal === principal)
    if (typeof id === 'string' && typeof at === 'number') return { id, at }
  throw new ApiError('invalid_cursor', 'This cursor is not valid for this list.')
}

/** Items of a list, and the ids of those that could not be read now, if there are any. */
export interface ReadItems<T> {
  readonly items: T[]
  readonly failed: { readonly unavailable?: string[] }
}

/**
 * Reads the items of a page. One whose object fails must not hide the others. Throws
 * `state_unavailable` if all fail, and what else `read` throws.
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
      if (asApiError(error)?.code !== 'state_unavailable') throw error
      unavailable.push(id)
      if (unavailable.length === listed.length) throw error
      return []
    }
  })
  return { items: items.flat(), failed: unavailable.length === 0 ? {} : { unavailable } }
}
