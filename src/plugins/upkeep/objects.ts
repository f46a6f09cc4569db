import { byUtf8, utf8Length } from '../../keys/encodings.ts'
import { getMany } from '../../records/file-index.ts'
import { stopAfterLook, withWitness } from './brake.ts'
import { type Item, readStretch } from './merge.ts'
import { ageIn, correctRecord, graceOf, isListed, recordObject } from './repair.ts'
import { SECOND_LOOK_SECONDS, type Suspect } from './state.ts'
import { type Added, failureOf, type Step, sum } from './step.ts'

/** Suspects of one state, and their size in JSON. */
const MAX_SUSPECTS = 1000
const MAX_SUSPECTS_LENGTH = 200 * 1024
const PAGE_OPERATIONS = 5
/** Keys that one operation of Workers KV asks for. */
const KEYS_OF_OPERATION = 100
const AT_ONCE = 6

/** What is to be done about an item. */
type Action = 'record' | 'correct' | 'suspect'

interface Found {
  readonly item: Item
  readonly added: Added
  /** Null if there is nothing to do, or if the walk only reports. */
  readonly action: Action | null
}

/**
 * The requests to the bucket and the operations of the index that an action makes at most, apart from rare
 * repeats. To store a record, D1 runs two queries.
 */
const NEEDS = { record: [3, 3], correct: [3, 4] } as const

/** Compares the next page of the bucket with the index, and does what is to be done. */
export async function walkObjects(step: Step): Promise<void> {
  const { bucket, index, pageSize, import: imported } = step.walk
  step.take(1)
  step.use(PAGE_OPERATIONS)
  const prefix = imported?.prefix ?? ''
  const stretch = await readStretch(bucket, index, step.state, prefix, pageSize, step.now)
  const { items, until } = stretch
  const elsewhere = await recordedElsewhere(step, items)
  const found = items.map((item) => find(step, item, elsewhere))
  if (imported === null) {
    const counts = found.reduce((counts, { added }) => sum(counts, added), step.state.counts)
    const reason = stopAfterLook(step.state, { counts, isListDone: stretch.isListDone })
    if (reason !== null) return step.doubt(reason)
  }
  const { finished, error } = await settle(step, found)
  if (error !== null) step.failure ??= failureOf(error)
  const { after } = step.state
  const isAll = finished === found.length
  const last = isAll ? until : (found[finished - 1]?.item.key ?? after ?? '')
  const done = last === null ? null : byUtf8(last, after ?? '') > 0 ? last : (after ?? '')
  const { cursor, unreadable } = stretch.indexAfter(done)
  const ofIndex = index.strayEntries === undefined || imported !== null ? unreadable : 0
  step.add({ unreadable: ofIndex + (isAll ? stretch.unreadable : 0) })
  const { pages, nextWitnesses, failures } = step.state
  const failed = finished === 0 ? failures + 1 : 1
  const pairs = found
    .slice(0, finished)
    .filter(({ item, action }) => action === null && item.object !== null && item.record !== null)
  // A small bucket has only one page, and somebody may delete one of its objects.
  const places = pages === 0 ? [0, pairs.length >> 1, pairs.length - 1] : [0]
  const chosen = new Set(places.map((place) => pairs[place]?.item))
  const { doubtedAt: _, ...state } = step.state
  step.state = state
  step.set({
    pages: pages + 1,
    after: done === '' ? null : done,
    indexCursor: cursor,
    failures: error === null ? 0 : failed,
    nextWitnesses: [...chosen].reduce(
      (all, item) =>
        withWitness(all, pages, item && { key: item.key, etag: item.record?.etag ?? '' }),
      nextWitnesses,
    ),
  })
  if (done !== null) return
  if (imported !== null) step.end()
  else step.set({ phase: 'uploads', failures: 0, after: null, indexCursor: null, marker: null })
}

/** Returns the keys without a record here that have one under another alias of the bucket. */
async function recordedElsewhere(step: Step, items: readonly Item[]): Promise<ReadonlySet<string>> {
  const { index, siblings } = step.walk
  const found = new Set<string>()
  const keys = items.flatMap(({ key, object, record }) =>
    object !== null && record === null ? [key] : [],
  )
  step.use(siblings.length * Math.ceil(keys.length / KEYS_OF_OPERATION))
  for (const alias of siblings)
    for (const { key } of await getMany(index, alias, keys)) found.add(key)
  return found
}

/** Returns what an item counts as, and what is to be done about it. Changes nothing. */
function find(step: Step, item: Item, elsewhere: ReadonlySet<string>): Found {
  const { mode, import: imported, isFirst } = step.walk
  const { key, object, record } = item
  const is = (added: Added, action: Action | null = null): Found => ({
    item,
    action: mode === 'report' ? null : action,
    added: {
      ...{ objects: object === null ? 0 : 1, records: record === null ? 0 : 1 },
      ...added,
    },
  })
  const isOld = (date: string, seconds: number) => ageIn(step.repair, Date.parse(date)) >= seconds
  if (record === null) {
    if (object === null || elsewhere.has(key)) return is({})
    if (!isFirst || key.endsWith('/') || !step.isManaged(key)) return is({ unmanaged: 1 })
    return isOld(object.lastModified, graceOf(step.walk, object))
      ? is({ unrecorded: 1 }, 'record')
      : is({ young: 1 })
  }
  if (object === null) {
    if (imported !== null || !isOld(record.createdAt, SECOND_LOOK_SECONDS)) return is({})
    return is({ gone: 1 }, 'suspect')
  }
  if (!isListed(record, object)) {
    const grace = graceOf(step.walk, object)
    const areOld = isOld(record.createdAt, grace) && isOld(object.lastModified, grace)
    return areOld ? is({ different: 1 }, 'correct') : is({})
  }
  return is({})
}

/**
 * Does what is to be done, six at once, in order, and counts. Returns how many are finished: it ends
 * before the first one that fails, or that would need too many requests.
 */
async function settle(
  step: Step,
  found: readonly Found[],
): Promise<{ finished: number; error: unknown }> {
  let finished = 0
  while (finished < found.length) {
    // One chunk at least, so that the walk goes on.
    const chunk = finished > 0 && step.isLate ? [] : nextChunk(step, found, finished)
    if (chunk.length === 0) break
    const results = await Promise.allSettled(chunk.map((one) => act(step, one)))
    for (const [i, result] of results.entries()) {
      const one = chunk[i]
      if (one === undefined) continue
      if (result.status === 'rejected') {
        if (!step.isPassed(result.reason, finished === 0)) return { finished, error: result.reason }
      }
      count(step, one)
      finished += 1
    }
  }
  return { finished, error: null }
}

/** Returns the next items, with at most six that need requests. */
function nextChunk(step: Step, found: readonly Found[], start: number): Found[] {
  const chunk: Found[] = []
  let busy = 0
  for (let i = start; i < found.length && busy < AT_ONCE; i++) {
    const one = found[i]
    if (one === undefined) break
    const { action } = one
    const needs = action === null || action === 'suspect' ? null : needsOf(step, action)
    // At least one, so that the walk goes on.
    if (needs !== null && !step.take(...needs) && (start > 0 || busy > 0)) break
    chunk.push(one)
    if (needs !== null) busy += 1
  }
  return chunk
}

/** Returns the requests and the operations of the index that an action needs, with its event. */
function needsOf(
  step: Step,
  action: Exclude<Action, 'suspect'>,
): readonly [requests: number, operations: number] {
  const { eventRequests, siblings } = step.walk
  const [requests, operations] = NEEDS[action]
  const elsewhere = action === 'record' ? siblings.length : 0
  return [requests + eventRequests, operations + elsewhere]
}

async function act(step: Step, { item: { key, record, object }, action }: Found): Promise<void> {
  if (action === null || action === 'suspect') return
  if (action === 'record') {
    if (await recordObject(step.repair, key)) step.add({ recorded: 1 })
  } else if (record !== null && object !== null) {
    if (await correctRecord(step.repair, key)) step.add({ corrected: 1 })
  }
}

/** Counts a finished item. */
function count(step: Step, { item: { key, object, record }, added, action }: Found): void {
  step.add(added)
  const { suspects } = step.state
  const known = suspects.find((suspect) => suspect.key === key)
  const isSame =
    known !== undefined && known.etag === record?.etag && known.createdAt === record.createdAt
  if (action === 'suspect' && isSame) return
  if (action !== 'suspect' && (known === undefined || object === null)) return
  const others = suspects.filter((suspect) => suspect.key !== key)
  if (action !== 'suspect' || record === null) {
    step.set({ suspects: others })
    return
  }
  const { etag, createdAt } = record
  const suspect: Suspect = { key, etag, createdAt, seenAt: step.now.getTime() }
  step.suspectsLength ??= utf8Length(JSON.stringify(suspects))
  const length = step.suspectsLength + utf8Length(JSON.stringify(suspect)) + 1
  // The others wait for a later pass.
  const fits = others.length < MAX_SUSPECTS && length <= MAX_SUSPECTS_LENGTH
  if (fits) step.suspectsLength = length
  step.set({ suspects: fits ? [...others, suspect] : others })
}
