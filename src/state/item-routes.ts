import * as z from 'zod/mini'
import { cursorsOf } from '../access/cursor.ts'
import { mayUse } from '../access/limits.ts'
import { idOfSubject, type Principal, requireScope, SUBJECT } from '../access/principal.ts'
import { sixAtOnce } from '../bucket/at-once.ts'
import { bucketUrl } from '../bucket/bucket-url.ts'
import { ApiError, asApiError } from '../errors/api-error.ts'
import type { AppContext, Erase } from '../http/app-env.ts'
import { digits, usually } from '../http/fields.ts'
import { linkBase } from '../http/link-host.ts'
import { sha256 } from '../keys/encodings.ts'
import type { Listed } from './cloudflare.ts'
import { type Item, type ItemKind, isPublicId, type Seen } from './item.ts'
import { callObject, hintFor, notLookedUp } from './object.ts'

/** Items of one call of `delete-all`. */
const MAX_ERASED = 20

/** Query of a page of a list. */
export const pageQuery = z.strictObject({
  limit: z.pipe(usually(digits, 50), z.int().check(z.minimum(1), z.maximum(100))),
  cursor: z.optional(z.string()),
})

/** Query of a page of items: those of the caller, or those of a subject of its API key. */
export const itemsQuery = z.extend(pageQuery, {
  subject: z.optional(z.string().check(z.regex(SUBJECT, 'is not a subject'))),
})

/** A place in a list, in its cursors. */
const listedSchema = z.object({ id: z.string(), at: z.number() })

/** The name of the object that lists what a principal has made. Items have other names: hexadecimal. */
export const listName = (principalId: string): string => `list ${principalId}`

/** The name of the object that lists what is in a bucket, by any alias, below the first segment of a key. */
async function placeName(c: AppContext, alias: string, key: string): Promise<string> {
  const bucket = c.get('settings').buckets.find((one) => one.alias === alias)
  const place = [bucket === undefined ? alias : bucketUrl(bucket), key.normalize().split('/', 1)]
  return `place ${await sha256(JSON.stringify(place))}`
}

/**
 * Reads the items of a page. One whose object fails must not hide the others: its id is in `unavailable`.
 * Throws what else `read` throws.
 */
export async function readItems<T>(
  listed: readonly Listed[],
  read: (id: string) => Promise<readonly T[]>,
): Promise<{ readonly items: T[]; readonly unavailable: string[] }> {
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

/** Returns a page of items as `show` shows them, and the other members of the response. */
export async function listItems<S extends Seen, B>(
  c: AppContext,
  kind: ItemKind<S>,
  { limit, cursor, subject }: z.output<typeof itemsQuery>,
  show: (item: S, base: string) => B,
) {
  const principal = requireRights(c, kind)
  const owner = subject === undefined ? principal.id : idOfSubject(principal, subject)
  const cursors = cursorsOf(c.get('settings'), [`${kind.noun}s`, owner], listedSchema)
  const start = (await cursors.open(cursor)) ?? null
  const list = kind.object(c, listName(owner), hintFor(c.req.raw))
  const { items, next } = await callObject(c, () => list.listed(limit, start))
  const base = linkBase(c)
  const { items: read, unavailable } = await readItems(items, async (id) => {
    const item = await callObject(c, () => kind.object(c, id).read())
    return item !== null && mayManage(principal, item) ? [show(item, base)] : []
  })
  const failed: { readonly unavailable?: string[] } =
    unavailable.length === 0 ? {} : { unavailable }
  if (unavailable.length > 0 && unavailable.length === items.length)
    throw notLookedUp('all of a page')
  return { items: read, more: { ...failed, ...(await cursors.seal(next)) } }
}

/** Ends the item in the path. The response is the same for a repeat. */
export async function endItem<S extends Seen>(c: AppContext, kind: ItemKind<S>): Promise<Response> {
  const principal = c.get('principal')
  requireScope(principal, kind.scopes[0])
  const item = await findItem(c, kind)
  const id = c.req.param('id') ?? ''
  if (item !== null) await callObject(c, () => kind.object(c, id).end(Date.now()))
  // Also for a repeat, so that the list no longer has it in any case.
  const list = kind.object(c, listName(item?.owner.id ?? principal.id))
  await callObject(c, () => list.unlist([id]))
  return c.body(null, 204)
}

/** Returns the caller. Throws `forbidden` without the rights that an item needs. */
export function requireRights(
  c: AppContext,
  { scopes }: { readonly scopes: readonly Parameters<typeof requireScope>[1][] },
): Principal {
  const principal = c.get('principal')
  for (const scope of scopes) requireScope(principal, scope)
  return principal
}

/**
 * Tells whether `principal` may see and end an item: it, or a user of its API key, has created it, and it may
 * still use its bucket and its key. A token of the same principal may be narrower.
 */
function mayManage({ kind, id, prefix, limits }: Principal, item: Item): boolean {
  const ofSubject = (kind === 'key' || kind === 'localhost') && item.owner.id.startsWith(`${id}/`)
  const isOwn = item.owner.id === id || ofSubject
  return isOwn && item.key.startsWith(prefix) && mayUse(limits, item.bucket)
}

/** Returns the item in the path, or null for an unknown one. Throws `not_found` for that of somebody else. */
async function findItem<S extends Seen>(c: AppContext, kind: ItemKind<S>): Promise<S | null> {
  const id = c.req.param('id') ?? ''
  if (!isPublicId(id)) throw notFound(kind)
  const item = await callObject(c, () => kind.object(c, id).read())
  if (item !== null && !mayManage(c.get('principal'), item)) throw notFound(kind)
  if (item !== null) c.set('bucket', item.bucket)
  return item
}

/** Returns the caller's item in the path. Throws `not_found`. */
export async function ownItem<S extends Seen>(c: AppContext, kind: ItemKind<S>): Promise<S> {
  const item = await findItem(c, kind)
  if (item === null) throw notFound(kind)
  return item
}

/** Returns what ends the items below a prefix, as many as one call of `delete-all` may. */
export const eraser =
  <S extends Seen>(kind: ItemKind<S>): Erase =>
  async (c, { bucket, ...below }, start) => {
    const list = kind.object(c, await placeName(c, bucket, below.prefixes[0] ?? ''))
    const { items, next } = await callObject(c, () => list.listed(MAX_ERASED, start))
    const erased = await readItems(items, async (id) => {
      const isBelow = await callObject(c, () => kind.object(c, id).erase(below, Date.now()))
      return isBelow ? [id] : []
    })
    const { length: ended } = erased.items
    if (ended > 0 && !below.dryRun) await callObject(c, () => list.unlist(erased.items))
    return { ended, hasFailed: erased.unavailable.length > 0, next }
  }

/** Creates the object of an item near the client, and then its rows in the lists. */
export async function createItem<S extends Seen>(
  c: AppContext,
  kind: ItemKind<S>,
  item: Item,
): Promise<void> {
  const object = kind.object(c, item.id, hintFor(c.req.raw))
  try {
    await callObject(c, () => object.create(item))
    await listItem(c, kind, item)
  } catch (error) {
    // Nobody has its URL. If it can't be ended now, it ends at its deadline.
    const ending = callObject(c, () => object.end(Date.now()))
    c.executionCtx.waitUntil(ending.catch(() => undefined))
    throw error
  }
}

/** Enters an item in the list of its owner, and in that of its place, which `delete-all` reads. */
export async function listItem<S extends Seen>(
  c: AppContext,
  kind: ItemKind<S>,
  item: Item,
): Promise<void> {
  const row = { id: item.id, at: item.createdAt }
  const ends = item.deadline + item.keptSeconds * 1000
  for (const name of [listName(item.owner.id), await placeName(c, item.bucket, item.key)])
    await callObject(c, () => kind.object(c, name, hintFor(c.req.raw)).list(row, ends))
}

export const notFound = ({ noun }: { readonly noun: string }): ApiError =>
  new ApiError('not_found', `There is no such ${noun}.`)
