import { isKept, renewed } from '../../core/reconcile.ts'
import { getMany, type KeptRecord } from '../../records/file-index.ts'
import { type FileRecord, isConfirmed } from '../../records/file-record.ts'
import type { ListedObject } from '../../storage/list-objects.ts'
import { type Item, readStretch } from './merge.ts'
import { MAX_COLLECTED } from './state.ts'
import { collect, rememberOwnerless } from './store.ts'
import { type Added, SECOND_LOOK_SECONDS, sum, type WalkStep } from './walk-step.ts'

const PAGE_OPERATIONS = 5
/** Keys that one operation of Workers KV asks for. */
const KEYS_OF_OPERATION = 100

interface Found {
  readonly item: Item
  readonly kept: KeptRecord | undefined
  readonly added: Added
  /** What is to be done at once, or only collected. Null for nothing. */
  readonly action: 'record' | 'update' | 'collect' | null
  readonly isOwnerless: boolean
}

/**
 * Compares the next page of the bucket with the index. Records what has no record, at once, and collects
 * what else differs.
 */
export async function walkObjects(step: WalkStep): Promise<void> {
  const { walk, state } = step
  const { store, name, place, pageSize, isFirst } = walk
  step.use(1, PAGE_OPERATIONS)
  const isImport = state.order.import !== null
  const prefix = state.order.import?.prefix ?? ''
  const stretch = await readStretch(place, { ...state, prefix, limit: pageSize }, step.now)
  const lone = stretch.items.filter(({ object, record }) => object !== null && record === null)
  const elsewhere = await recordedElsewhere(step, lone)
  const kept = isImport ? new Map() : await keptOf(step, place.bucket.alias, lone)
  const found = stretch.items.map((item) => find(step, item, elsewhere, kept.get(item.key)))
  const { gone, different } = found.reduce((all, { added }) => sum(all, added), state.counts)
  if (gone + different > MAX_COLLECTED && !state.accepted.includes('over 10,000 changes'))
    return step.stop('over 10,000 changes')
  const failed = step.writes ? await store.failed(name, state.after, stretch.until) : new Set()
  const writes = found.flatMap(({ item: { key }, action: kind }) =>
    step.writes && (kind === 'record' || kind === 'update') && !failed.has(key)
      ? [{ key, kind, tries: 0 }]
      : [],
  )
  const next = writes[await step.look(writes)]
  const isAll = next === undefined
  const end = found.findIndex(({ item }) => item.key === next?.key)
  const done = isAll ? found : found.slice(0, end)
  for (const { added, item, action } of done) {
    step.add(added)
    if (item.record !== null && isConfirmed(item.record)) step.confirm(action === 'collect')
  }
  const until = isAll ? stretch.until : (done.at(-1)?.item.key ?? state.after ?? '')
  const now = step.now.getTime()
  const collected = done.flatMap(({ item, action }) => (action === 'collect' ? [item.key] : []))
  if (step.writes && collected.length > 0)
    step.changes.push(collect(name, collected, now + 1000 * SECOND_LOOK_SECONDS))
  await renew(step, done)
  if (!isImport && isFirst) {
    const objects = done.flatMap(({ item, isOwnerless }) =>
      isOwnerless && item.object !== null
        ? [{ ...item.object, time: Date.parse(item.object.lastModified) }]
        : [],
    )
    step.changes.push(...rememberOwnerless(name, state.after, until, objects, now))
  }
  const { cursor, unreadable } = stretch.indexAfter(until)
  const ofIndex = place.index.strayEntries === undefined || isImport ? unreadable : 0
  step.add({ unreadable: ofIndex + (isAll ? stretch.unreadable : 0) })
  step.set({ after: until === '' ? null : until, indexCursor: cursor, failures: 0 })
  if (until !== null) return
  step.set({ after: null, indexCursor: null })
  if (isImport) step.end()
  else step.set({ phase: 'entries' })
}

/** Returns the keys of objects without a record here that another alias of the bucket has recorded, or keeps. */
async function recordedElsewhere(
  step: WalkStep,
  lone: readonly Item[],
): Promise<ReadonlySet<string>> {
  const { siblings, place } = step.walk
  const found = new Set<string>()
  const keys = lone.map(({ key }) => key)
  step.use(0, siblings.length * Math.ceil(keys.length / KEYS_OF_OPERATION))
  for (const alias of siblings) {
    for (const { key } of await getMany(place.index, alias, keys)) found.add(key)
    const kept = await keptOf(step, alias, lone)
    for (const { key, object } of lone)
      if (object !== null && kept.get(key)?.record.size === object.size) found.add(key)
  }
  return found
}

/** Returns what an alias keeps of these keys. */
async function keptOf(
  step: WalkStep,
  alias: string,
  lone: readonly Item[],
): Promise<ReadonlyMap<string, KeptRecord>> {
  const keys = lone.map(({ key }) => key)
  step.use(0, Math.ceil(keys.length / KEYS_OF_OPERATION))
  const all = keys.length === 0 ? [] : await step.walk.place.index.kept?.getMany(alias, keys)
  const kept = all?.filter((one) => isKept(one, step.now)) ?? []
  return new Map(kept.map((one) => [one.record.key, one]))
}

/** Lets kept records expire or not, by what the bucket has, of keys that nothing else is done about. */
async function renew(step: WalkStep, done: readonly Found[]): Promise<void> {
  const { kept: records } = step.walk.place.index
  for (const { kept, item, action } of done) {
    const next = kept && renewed(kept, item.object, step.now)
    if (next === undefined || (step.writes && action !== null) || !step.take(0, 1)) continue
    await step.attempt(async () => records?.put(next))
  }
}

/** Returns what an item counts as, and what is to be done about it. Changes nothing. */
function find(
  step: WalkStep,
  item: Item,
  elsewhere: ReadonlySet<string>,
  kept: KeptRecord | undefined,
): Found {
  const isImport = step.state.order.import !== null
  const { key, object, record } = item
  const isOurs = step.isOurs(key) && !elsewhere.has(key)
  const isOwnerless =
    object !== null && isOurs && kept === undefined && (record === null || record.owner === null)
  const is = (added: Added, action: Found['action'] = null): Found => ({
    item,
    kept,
    action,
    isOwnerless,
    added: {
      objects: object === null ? 0 : 1,
      records: record === null ? 0 : 1,
      ownerless: isOwnerless && !isImport ? 1 : 0,
      ...added,
    },
  })
  const isOld = (date: string, seconds: number) => step.age(Date.parse(date)) >= seconds
  if (object === null) {
    if (record === null || isImport || !isOld(record.createdAt, SECOND_LOOK_SECONDS)) return is({})
    return is({ gone: 1 }, 'collect')
  }
  const grace = step.graceOf(object)
  if (record === null) {
    if (elsewhere.has(key)) return is({})
    if (!isOurs && !(kept && isSame(kept.record, object))) return is({ unmanaged: 1 })
    return isOld(object.lastModified, grace) ? is({ unrecorded: 1 }, 'record') : is({ young: 1 })
  }
  if (isImport) return is({})
  if (isSame(record, object)) return is({}, isOfDate(record, object) ? null : 'update')
  const areOld = isOld(record.createdAt, grace) && isOld(object.lastModified, grace)
  return areOld ? is({ different: 1 }, 'collect') : is({})
}

/** Tells whether a record is of the object in a list. */
const isSame = (
  { etag, size }: Pick<FileRecord, 'etag' | 'size'>,
  object: Pick<ListedObject, 'etag' | 'size'>,
): boolean => etag.replaceAll('"', '') === object.etag.replaceAll('"', '') && size === object.size

/** Tells whether a record has the date of the object in a list. Within a second, they may differ. */
const isOfDate = (
  { createdAt }: Pick<FileRecord, 'createdAt'>,
  { lastModified }: Pick<ListedObject, 'lastModified'>,
): boolean => secondOf(createdAt) === secondOf(lastModified)

const secondOf = (date: string): number => Math.floor(Date.parse(date) / 1000)
