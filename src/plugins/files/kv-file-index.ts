import { sixAtOnce } from '../../bucket/at-once.ts'
import { ApiError } from '../../errors/api-error.ts'
import { utf8Length } from '../../keys/encodings.ts'
import { type ObjectKey, objectKeyError, parseObjectKey } from '../../keys/object-key.ts'
import { type FileIndex, indexUnavailable } from '../../records/file-index.ts'
import { type FileRecord, isConfirmed } from '../../records/file-record.ts'
import { fromMetadata, toMetadata } from './kv-metadata.ts'

/** Workers KV's limit for a key, in bytes. */
const MAX_KV_KEY_BYTES = 512
/** Workers KV's limit for the keys of one read. */
const MAX_BULK_KEYS = 100
/** Seconds until Workers KV shows a change everywhere. */
const LAG_SECONDS = 60
/** Seconds until Workers KV accepts another write of the same key. */
const WRITE_SECONDS = 1

/** Returns the index in Workers KV (docs/maintainers/kv-schema.md). Throws `misconfigured`. */
export function kvFileIndex(kv: KVNamespace): FileIndex {
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
  /** What `get` has just seen, so that to delete a file without an entry costs no second read. */
  const malformed = new Set<string>()
  return {
    requireIndexable,
    lagSeconds: LAG_SECONDS,

    async get(bucket, key) {
      const name = kvKey(bucket, key)
      if (utf8Length(name) > MAX_KV_KEY_BYTES) return null
      const { value, metadata } = await attempt(() => kv.getWithMetadata(name))
      const record = fromMetadata(bucket, key, metadata)
      if (record === null && value !== null) malformed.add(name)
      return record
    },

    async getMany(bucket, keys) {
      const names = new Map(keys.map((key) => [kvKey(bucket, key), key]))
      const known = [...names.keys()].filter((name) => utf8Length(name) <= MAX_KV_KEY_BYTES)
      const pages = Array.from({ length: Math.ceil(known.length / MAX_BULK_KEYS) }, (_, i) =>
        known.slice(i * MAX_BULK_KEYS, (i + 1) * MAX_BULK_KEYS),
      )
      const found = await sixAtOnce(pages, (page) => attempt(() => kv.getWithMetadata(page)))
      return found.flatMap((entries) =>
        Array.from(entries).flatMap(([name, entry]) => {
          const key = names.get(name)
          const record = key === undefined ? null : fromMetadata(bucket, key, entry?.metadata)
          return record === null ? [] : [record]
        }),
      )
    },

    async put(record) {
      requireIndexable(record.bucket, record.key)
      const name = kvKey(record.bucket, record.key)
      const metadata = toMetadata(record)
      const write = () => kv.put(name, '', { metadata })
      // Only one writer gets through. A provisional record must not follow the confirmed one.
      await attempt(() => (isConfirmed(record) ? writeTwice(write) : write()))
      return { ...record, ...metadata }
    },

    async remove(bucket, key) {
      const name = kvKey(bucket, key)
      if (utf8Length(name) <= MAX_KV_KEY_BYTES)
        await attempt(() => writeTwice(() => kv.delete(name)))
    },

    async removeMalformed(bucket, key) {
      const name = kvKey(bucket, key)
      if (!malformed.delete(name)) return
      const { value, metadata } = await attempt(() => kv.getWithMetadata(name))
      if (value === null || fromMetadata(bucket, key, metadata) !== null) return
      await attempt(() => writeTwice(() => kv.delete(name)))
    },

    async list({ bucket, prefix, limit, cursor }) {
      const start = kvKey(bucket, prefix)
      if (utf8Length(start) > MAX_KV_KEY_BYTES)
        return { records: [], cursor: undefined, unreadable: 0 }
      const page = await attempt(() =>
        kv.list({ prefix: start, limit, ...(cursor === undefined ? {} : { cursor }) }),
      )
      const records = page.keys.flatMap(({ name, metadata }) => {
        const key = name.slice(kvKey(bucket, '').length)
        return readEntry(bucket, key, metadata) ?? []
      })
      return {
        records,
        cursor: page.list_complete ? undefined : page.cursor,
        unreadable: page.keys.length - records.length,
      }
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

/** Start of the keys of records. */
const RECORDS = 'file:'

const kvKey = (bucket: string, key: string): string => `${RECORDS}${bucket}:${key}`

/** Returns the record of an entry, or null if its key or its metadata is malformed. */
const readEntry = (bucket: string, key: string, metadata: unknown): FileRecord | null =>
  objectKeyError(key) === null ? fromMetadata(bucket, parseObjectKey(key), metadata) : null

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

/** Runs `write`, and once more after a second if another request has just written the same key. */
async function writeTwice(write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (error) {
    if (!isTooSoon(error)) throw error
    await new Promise((resolve) => setTimeout(resolve, WRITE_SECONDS * 1100))
    await write()
  }
}
