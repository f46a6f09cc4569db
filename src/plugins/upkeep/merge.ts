import type { Bucket } from '../../bucket/bucket.ts'
import { storedKey } from '../../bucket/key-spelling.ts'
import { ApiError } from '../../errors/api-error.ts'
import { byUtf8 } from '../../keys/encodings.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { type FileIndex, indexUnavailable } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'
import { type ListedObject, listObjects } from '../../storage/list-objects.ts'
import type { WalkState } from './state.ts'

/** Pages of the index that a step reads. Cloudflare allows 1,000 operations of KV and D1. */
const MAX_INDEX_PAGES = 5
/** Records on a page of the index: there are often more than objects, since some are skipped. */
const MIN_INDEX_PAGE = 100
const MAX_INDEX_PAGE = 1000

/** What bucket and index have under one key. At least one of them has something. */
export interface Item {
  readonly key: ObjectKey
  readonly object: ListedObject | null
  readonly record: FileRecord | null
}

/** The two lists that are read side by side. */
interface Lists {
  readonly bucket: Bucket
  readonly index: FileIndex
}

/** Where a step begins, and how many objects it reads. */
interface StretchQuery extends Pick<WalkState, 'after' | 'indexCursor'> {
  readonly prefix: string
  readonly limit: number
}

/** What a step reads: all items after the last key that is done, up to the last one of both lists. */
export interface Stretch {
  readonly items: readonly Item[]
  /** The last key of the stretch, or null for one that ends both lists. */
  readonly until: string | null
  /** Entries of the bucket's list that no URL can name. */
  readonly unreadable: number
  /**
   * Returns where the index goes on after the key `done`, and the unreadable entries up to there. Null
   * for the end of both lists, and an empty text for their start.
   */
  readonly indexAfter: (done: string | null) => { cursor: string | null; unreadable: number }
}

/** An error of the index, and not of the bucket. */
export class IndexFailure extends Error {}

/**
 * Reads the next page of the bucket's list, and the pages of the index beside it. Throws
 * `IndexFailure` for the index, and `storage_error`, also for a list that is not in order,
 * `unavailable` and `not_supported`.
 */
export async function readStretch(
  { bucket, index }: Lists,
  asked: StretchQuery,
  now: Date,
): Promise<Stretch> {
  const { after, prefix, limit } = asked
  // Ceph RGW's SQLite store begins with the key of start-after.
  const query = { prefix, limit: Math.max(2, limit), after: after ?? undefined }
  const { objects: listed, next, last, unreadable } = await listObjects(bucket, query, now)
  const objects = listed.map((object) => ({ ...object, key: storedKey(bucket, object.key) }))
  requireOrder(objects, after, () =>
    storageError('The bucket does not list its objects in the order of their keys.'),
  )
  const listEnd = next === undefined ? null : bucket.normalizesKeys ? last?.normalize() : last
  const isStuck = listEnd === undefined || (listEnd !== null && byUtf8(listEnd, after ?? '') <= 0)
  if (isStuck) throw storageError('The bucket lists pages that never end.')
  const read = await readIndex({ bucket, index }, asked, listEnd)
  const until =
    read.isDone || (listEnd !== null && byUtf8(listEnd, read.last ?? '') <= 0)
      ? listEnd
      : // The pages of the index may all be before the last key that is done.
        ([after ?? '', read.last ?? ''].toSorted(byUtf8).at(-1) ?? '')
  const isIn = ({ key }: { key: string }) => until === null || byUtf8(key, until) <= 0
  return {
    items: merge(objects.filter(isIn), read.records.filter(isIn)),
    until,
    unreadable,
    indexAfter: (done) => {
      let passed = 0
      for (const page of read.pages) {
        const isPassed = done === null || (page.next !== null && byUtf8(page.last ?? '', done) <= 0)
        if (!isPassed) return { cursor: page.start, unreadable: passed }
        passed += page.unreadable
      }
      return { cursor: read.pages.at(-1)?.next ?? null, unreadable: passed }
    },
  }
}

interface IndexPage {
  readonly start: string | null
  readonly next: string | null
  /** The last key of the page. */
  readonly last: string | null
  readonly unreadable: number
}

/** Reads pages of the index until one reaches beyond `listEnd`, at most `MAX_INDEX_PAGES`. */
async function readIndex(
  { bucket, index }: Lists,
  { after, indexCursor, prefix, limit: pageSize }: StretchQuery,
  listEnd: string | null,
) {
  const { alias, normalizesKeys } = bucket
  const limit = Math.min(MAX_INDEX_PAGE, Math.max(MIN_INDEX_PAGE, 2 * pageSize))
  const records: FileRecord[] = []
  const pages: IndexPage[] = []
  let cursor = indexCursor
  let last: string | null = null
  let isDone = false
  while (!isDone && pages.length < MAX_INDEX_PAGES) {
    const input = { bucket: alias, prefix, limit, ...(cursor !== null && { cursor }) }
    const page = await index.list(input).catch((cause: unknown) => {
      throw new IndexFailure('The index can not be listed.', { cause })
    })
    requireOrder(page.records, last, () => {
      const why = new Error('It does not list its records in the order of their keys.')
      return new IndexFailure(why.message, { cause: indexUnavailable(why) })
    })
    last = page.records.at(-1)?.key ?? last
    const next = page.cursor ?? null
    // No request can name a second spelling, and it isn't in the order of the others.
    const known = normalizesKeys
      ? page.records.filter(({ key }) => key === key.normalize())
      : page.records
    records.push(...known.filter(({ key }) => after === null || byUtf8(key, after) > 0))
    pages.push({
      start: cursor,
      next,
      last: page.records.at(-1)?.key ?? null,
      unreadable: page.unreadable + page.records.length - known.length,
    })
    isDone = next === null
    if (listEnd !== null && last !== null && byUtf8(last, listEnd) >= 0) break
    cursor = next
  }
  return { records, pages, last, isDone }
}

/** Throws `failure()` unless the keys are in ascending order, and after `after`. */
function requireOrder(
  entries: readonly { readonly key: string }[],
  after: string | null,
  failure: () => Error,
): void {
  let before = after
  for (const { key } of entries) {
    if (before !== null && byUtf8(key, before) <= 0) throw failure()
    before = key
  }
}

function merge(objects: readonly ListedObject[], records: readonly FileRecord[]): Item[] {
  const items: Item[] = []
  let i = 0
  for (const object of objects) {
    for (; i < records.length; i++) {
      const record = records[i]
      if (record === undefined || byUtf8(record.key, object.key) >= 0) break
      items.push({ key: record.key, object: null, record })
    }
    const record = records[i]?.key === object.key ? records[i++] : undefined
    items.push({ key: object.key, object, record: record ?? null })
  }
  for (const record of records.slice(i)) items.push({ key: record.key, object: null, record })
  return items
}

const storageError = (message: string): ApiError => new ApiError('storage_error', message)
