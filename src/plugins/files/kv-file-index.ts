import { sixAtOnce } from '../../bucket/at-once.ts'
import { ApiError } from '../../errors/api-error.ts'
import { utf8Length } from '../../keys/encodings.ts'
import { type ObjectKey, objectKeyError, parseObjectKey } from '../../keys/object-key.ts'
import {
  type FileIndex,
  indexUnavailable,
  type KeptRecord,
  type KeptRecords,
  type ListInput,
} from '../../records/file-index.ts'
import { type FileRecord, isConfirmed, isSameEntry } from '../../records/file-record.ts'
import { fromKept, fromMetadata, isLater, toKept, toMetadata } from './kv-metadata.ts'

/** Workers KV's limit for a key, in bytes. */
const MAX_KV_KEY_BYTES = 512
/** Workers KV's limit for the keys of one read. */
const MAX_BULK_KEYS = 100
/** Seconds until Workers KV shows a change everywhere. */
const LAG_SECONDS = 60
/** Seconds until Workers KV accepts another write of the same key. */
const WRITE_SECONDS = 1

/** What the index needs of a KV namespace, without the types of Workers, which an app on Node lacks. */
export interface KeyValues {
  getWithMetadata(name: string): Promise<{ readonly metadata: unknown }>
  getWithMetadata(
    names: string[],
  ): Promise<ReadonlyMap<string, { readonly metadata: unknown } | null>>
  list(options: {
    prefix: string
    limit?: number
    cursor?: string
  }): Promise<
    | { readonly list_complete: true; readonly keys: readonly Entry[] }
    | { readonly list_complete: false; readonly keys: readonly Entry[]; readonly cursor: string }
  >
  put(
    name: string,
    value: string,
    options: { metadata: unknown; expirationTtl?: number },
  ): Promise<void>
  delete(name: string): Promise<void>
}

interface Entry {
  readonly name: string
  readonly metadata?: unknown
}

/** Returns the index in Workers KV (docs/maintainers/stored-data.md). Throws `misconfigured`. */
export function kvFileIndex(kv: KeyValues): FileIndex {
  // Only a D1 database prepares statements.
  if (typeof kv !== 'object' || kv === null || 'prepare' in kv)
    throw new ApiError(
      'misconfigured',
      'needs a KV namespace. Add a [[kv_namespaces]] block to wrangler.toml, and pass its binding.',
      { reason: 'settings' },
    )
  const requireIndexable = (bucket: string, key: ObjectKey): void => {
    if (utf8Length(kvKey(bucket, key)) > MAX_KV_KEY_BYTES)
      throw new ApiError(
        'key_not_indexable',
        `The index accepts keys of at most ${MAX_KV_KEY_BYTES - kvKey(bucket, '').length} bytes in this bucket.`,
      )
  }
  const read = async (bucket: string, key: ObjectKey): Promise<FileRecord | null> =>
    fromMetadata(bucket, key, await readOne(kv, kvKey(bucket, key)))
  /** Tells whether the index still has `over`, as far as this location shows. */
  const isStill = async (
    bucket: string,
    key: ObjectKey,
    over: FileRecord | null | undefined,
  ): Promise<boolean> => over === undefined || isSameEntry(await read(bucket, key), over)
  const kept = keptRecords(kv)
  return {
    requireIndexable,
    lagSeconds: LAG_SECONDS,
    kept,
    get: read,

    getMany: (bucket, keys) =>
      readMany(kv, keys, RECORDS, bucket, (key, metadata) => fromMetadata(bucket, key, metadata)),

    async put(record, change = {}) {
      const { bucket, key } = record
      requireIndexable(bucket, key)
      if (!(await isStill(bucket, key, change.over))) return null
      if (change.kept) await kept.put(change.kept)
      const metadata = toMetadata(record)
      const write = () => kv.put(kvKey(bucket, key), '', { metadata })
      // Only one writer gets through. Where this location shows no record, another one may have confirmed it.
      const isWritten =
        isConfirmed(record) || change.over
          ? await writeTwice(write, () => isStill(bucket, key, change.over))
          : await attempt(write).then(() => true)
      if (!isWritten) return null
      if (change.kept === null) await kept.remove(bucket, key)
      return { ...record, name: metadata.name }
    },

    async remove(bucket, key, change = {}) {
      const name = kvKey(bucket, key)
      if (utf8Length(name) > MAX_KV_KEY_BYTES) return true
      const isSame = () => isStill(bucket, key, change.over)
      if (!(await isSame())) return false
      if (change.kept) await kept.put(change.kept)
      // Also where this location shows no record: another one may have just written it.
      if (!(await writeTwice(() => kv.delete(name), isSame))) return false
      if (change.kept === null) await kept.remove(bucket, key)
      return true
    },

    async list(input) {
      const { keys, cursor } = await listEntries(kv, RECORDS, input)
      const records = keys.flatMap(
        ({ key, metadata }) => readEntry(input.bucket, key, metadata) ?? [],
      )
      return { records, cursor, unreadable: keys.length - records.length }
    },

    async strayEntries(known, cursor) {
      const page = await attempt(() =>
        kv.list({ prefix: RECORDS, ...(cursor === undefined ? {} : { cursor }) }),
      )
      const aliases = new Map<string, number>()
      let unreadable = 0
      for (const { name, metadata } of page.keys) {
        const [bucket = '', ...rest] = name.slice(RECORDS.length).split(':')
        const key = rest.join(':')
        if (rest.length > 0 && !known.includes(bucket))
          aliases.set(bucket, (aliases.get(bucket) ?? 0) + 1)
        else if (readEntry(bucket, key, metadata) === null) unreadable += 1
      }
      return {
        aliases: Object.fromEntries(aliases),
        unreadable,
        cursor: page.list_complete ? undefined : page.cursor,
      }
    },
  }
}

/** Start of the keys of records, and of those that are kept. Both have the same length. */
const RECORDS = 'file:'
const KEPT = 'kept:'

const kvKey = (bucket: string, key: string, start = RECORDS): string => `${start}${bucket}:${key}`

/** Returns the kept records in a namespace. Workers KV removes those that have expired. */
const keptRecords = (kv: KeyValues): KeptRecords => ({
  get: async (bucket, key) => fromKept(bucket, key, await readOne(kv, kvKey(bucket, key, KEPT))),
  getMany: (bucket, keys) =>
    readMany(kv, keys, KEPT, bucket, (key, metadata) => fromKept(bucket, key, metadata)),
  async list(input) {
    const { keys, cursor } = await listEntries(kv, KEPT, input)
    const records = keys.map(({ key, metadata }): KeptRecord | null =>
      objectKeyError(key) === null ? fromKept(input.bucket, parseObjectKey(key), metadata) : null,
    )
    return { records: records.filter((record) => record !== null), cursor }
  },
  async put(record) {
    const { bucket, key } = record.record
    const metadata = toKept(record)
    const { kept, until } = metadata
    const expiry = until === undefined ? {} : { expirationTtl: until - kept }
    await writeTwice(() => kv.put(kvKey(bucket, key, KEPT), '', { metadata, ...expiry }))
  },
  async remove(bucket, key) {
    const name = kvKey(bucket, key, KEPT)
    if (utf8Length(name) <= MAX_KV_KEY_BYTES) await writeTwice(() => kv.delete(name))
  },
})

/** Returns the metadata of an entry, or null. */
async function readOne(kv: KeyValues, name: string): Promise<unknown> {
  if (utf8Length(name) > MAX_KV_KEY_BYTES) return null
  return requireKnown((await attempt(() => kv.getWithMetadata(name))).metadata)
}

/** Returns what `read` makes of the metadata of these keys, of those that have an entry. */
async function readMany<T>(
  kv: KeyValues,
  keys: readonly ObjectKey[],
  start: string,
  bucket: string,
  read: (key: ObjectKey, metadata: unknown) => T | null,
): Promise<T[]> {
  const names = new Map(keys.map((key) => [kvKey(bucket, key, start), key]))
  const known = [...names.keys()].filter((name) => utf8Length(name) <= MAX_KV_KEY_BYTES)
  const pages = Array.from({ length: Math.ceil(known.length / MAX_BULK_KEYS) }, (_, i) =>
    known.slice(i * MAX_BULK_KEYS, (i + 1) * MAX_BULK_KEYS),
  )
  const found = await sixAtOnce(pages, (page) => attempt(() => kv.getWithMetadata(page)))
  return found.flatMap((entries) =>
    Array.from(entries).flatMap(([name, entry]) => {
      const key = names.get(name)
      return (key && read(key, requireKnown(entry?.metadata))) ?? []
    }),
  )
}

/** Returns one page of the entries of a bucket whose names begin with `start`. */
async function listEntries(
  kv: KeyValues,
  start: string,
  { bucket, prefix, limit, cursor }: ListInput,
) {
  const name = kvKey(bucket, prefix, start)
  if (utf8Length(name) > MAX_KV_KEY_BYTES) return { keys: [], cursor: undefined }
  const page = await attempt(() =>
    kv.list({ prefix: name, limit, ...(cursor === undefined ? {} : { cursor }) }),
  )
  const keys = page.keys.map(({ name, metadata }) => ({
    key: name.slice(kvKey(bucket, '').length),
    metadata,
  }))
  return { keys, cursor: page.list_complete ? undefined : page.cursor }
}

/** Returns the record of an entry, or null if its key or its metadata is malformed. */
const readEntry = (bucket: string, key: string, metadata: unknown): FileRecord | null =>
  objectKeyError(key) === null ? fromMetadata(bucket, parseObjectKey(key), metadata) : null

/** Returns `metadata`. Throws `unavailable` for that of a later version, which the caller might replace. */
function requireKnown(metadata: unknown): unknown {
  if (!isLater(metadata)) return metadata
  throw indexUnavailable(new Error('A later version of the Worker has stored this record.'))
}

/** Resolves with the result of Workers KV. Its errors, mostly limits, become `unavailable`. */
async function attempt<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await operation()
  } catch (cause) {
    throw indexUnavailable(cause, isTooSoon(cause) ? WRITE_SECONDS : undefined)
  }
}

/** Tells whether Workers KV refused a second write to a key within a second. */
const isTooSoon = (error: unknown): boolean => /\b429\b/.test(String(error))

/**
 * Runs `write`, and once more after a second if another request has just written the same key, unless
 * `isStillDue` is false by then. Resolves with whether it has written.
 */
async function writeTwice(
  write: () => Promise<void>,
  isStillDue: () => Promise<boolean> = async () => true,
): Promise<boolean> {
  try {
    await write()
  } catch (error) {
    if (!isTooSoon(error)) throw indexUnavailable(error)
    await new Promise((resolve) => setTimeout(resolve, WRITE_SECONDS * 1100))
    if (!(await isStillDue())) return false
    await attempt(write)
  }
  return true
}
