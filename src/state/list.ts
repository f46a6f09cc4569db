import * as z from 'zod/mini'
import type { PasswordHash } from '../access/password.ts'
import type { StoredPrincipal } from '../access/stored-principal.ts'
import { sixAtOnce } from '../bucket/at-once.ts'
import { asApiError } from '../errors/api-error.ts'
import { sha256 } from '../keys/encodings.ts'

/** What a grant and a drop box have in common, as their objects keep it. Times are in milliseconds since 1970. */
export interface Item {
  readonly version: 1
  /** The public id, which is also the name of the object. */
  readonly id: string
  /** The secret id, which is in the URL of the page. */
  readonly secret: string
  /** Its creator. */
  readonly owner: StoredPrincipal
  /** Alias of the bucket. */
  readonly bucket: string
  /** The key of its file, or the prefix of its files. */
  readonly key: string
  readonly deadline: number
  /** How long it is kept after its deadline. */
  readonly keptSeconds: number
  readonly password: PasswordHash | null
  readonly createdAt: number
}

/** What an object says about its item. */
export type Seen<T extends Item = Item> = T & {
  /** How many guesses of the password were wrong. */
  readonly wrongPasswords: number
}

/** One item in a list. */
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

/**
 * The name of the object that lists what is in a bucket below the first segment of a key or a prefix.
 * `bucket` is what all aliases of the bucket have in common.
 */
export const placeName = async (bucket: string, key: string): Promise<string> =>
  `place ${await sha256(JSON.stringify([bucket, key.normalize().split('/', 1)]))}`

/** A place in a list, in its cursors. */
export const listedSchema = z.object({ id: z.string(), at: z.number() })

/** Items of a list, and the ids of those that could not be read now. */
export interface ReadItems<T> {
  readonly items: T[]
  readonly unavailable: string[]
}

/** Reads the items of a page. One whose object fails must not hide the others. Throws what else `read` throws. */
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
      return []
    }
  })
  return { items: items.flat(), unavailable }
}
