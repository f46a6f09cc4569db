import * as z from 'zod/mini'
import { cursorsOf } from '../access/cursor.ts'
import { mayUse } from '../access/limits.ts'
import { idOfSubject, type Principal, requireScope, SUBJECT } from '../access/principal.ts'
import { bucketUrl } from '../bucket/bucket-url.ts'
import { ApiError } from '../errors/api-error.ts'
import type { AppContext, Erase } from '../http/app-env.ts'
import { digits, usually } from '../http/fields.ts'
import { linkBase } from '../http/link-host.ts'
import type { ItemKind, ItemObject } from './item.ts'
import type { Item, Seen } from './list.ts'
import { listedSchema, listName, placeName, readItems } from './list.ts'
import { callObject, hintFor, notLookedUp } from './object.ts'
import { isPublicId } from './secret-id.ts'

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

/** Returns a page of items as `show` shows them, and the other members of the response. */
export async function listItems<T extends Item, S extends Seen<T>, O extends ItemObject<T, S>, B>(
  c: AppContext,
  kind: ItemKind<T, S, O>,
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
export async function endItem<T extends Item, S extends Seen<T>, O extends ItemObject<T, S>>(
  c: AppContext,
  kind: ItemKind<T, S, O>,
): Promise<Response> {
  const principal = c.get('principal')
  requireScope(principal, kind.scopes[0])
  const { id, object, item } = await findItem(c, kind)
  if (item !== null) await callObject(c, () => object.end(Date.now()))
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
async function findItem<T extends Item, S extends Seen<T>, O extends ItemObject<T, S>>(
  c: AppContext,
  kind: ItemKind<T, S, O>,
): Promise<{ readonly id: string; readonly object: O; readonly item: S | null }> {
  const id = c.req.param('id') ?? ''
  if (!isPublicId(id)) throw notFound(kind)
  const object = kind.object(c, id)
  const item = await callObject(c, () => object.read())
  if (item !== null && !mayManage(c.get('principal'), item)) throw notFound(kind)
  if (item !== null) c.set('bucket', item.bucket)
  return { id, object, item }
}

/** Returns the caller's item in the path. Throws `not_found`. */
export async function ownItem<T extends Item, S extends Seen<T>, O extends ItemObject<T, S>>(
  c: AppContext,
  kind: ItemKind<T, S, O>,
): Promise<{ readonly id: string; readonly object: O; readonly item: S }> {
  const { id, object, item } = await findItem(c, kind)
  if (item === null) throw notFound(kind)
  return { id, object, item }
}

/** Returns what ends the items below a prefix, as many as one call of `delete-all` may. */
export const eraser =
  <T extends Item, S extends Seen<T>, O extends ItemObject<T, S>>(kind: ItemKind<T, S, O>): Erase =>
  async (c, { bucket, ...below }, start) => {
    const list = kind.object(c, await placeIn(c, bucket, below.prefixes[0] ?? ''))
    const { items, next } = await callObject(c, () => list.listed(MAX_ERASED, start))
    const erased = await readItems(items, async (id) => {
      const isBelow = await callObject(c, () => kind.object(c, id).erase(below, Date.now()))
      return isBelow ? [id] : []
    })
    const { length: ended } = erased.items
    if (ended > 0 && !below.dryRun) await callObject(c, () => list.unlist(erased.items))
    return { ended, hasFailed: erased.unavailable.length > 0, next }
  }

/** Returns the name of the list of a place, which is the same for all aliases of a bucket. */
function placeIn(c: AppContext, alias: string, key: string): Promise<string> {
  const bucket = c.get('settings').buckets.find((one) => one.alias === alias)
  return placeName(bucket === undefined ? alias : bucketUrl(bucket), key)
}

/** Creates the object of an item near the client, and then its rows in the lists. */
export async function createItem<T extends Item, S extends Seen<T>, O extends ItemObject<T, S>>(
  c: AppContext,
  kind: ItemKind<T, S, O>,
  item: T,
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
export async function listItem<T extends Item, S extends Seen<T>, O extends ItemObject<T, S>>(
  c: AppContext,
  kind: ItemKind<T, S, O>,
  item: T,
): Promise<void> {
  const row = { id: item.id, at: item.createdAt }
  const ends = item.deadline + item.keptSeconds * 1000
  for (const name of [listName(item.owner.id), await placeIn(c, item.bucket, item.key)])
    await callObject(c, () => kind.object(c, name, hintFor(c.req.raw)).list(row, ends))
}

export const notFound = ({ noun }: { readonly noun: string }): ApiError =>
  new ApiError('not_found', `There is no such ${noun}.`)
