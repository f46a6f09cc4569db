import { ApiError } from '../errors/api-error.ts'
import type { FileIndex } from '../file-index/file-index.ts'
import { fromMetadata, toMetadata } from '../file-index/file-record.ts'
import { utf8Length } from '../keys/encodings.ts'
import { type ObjectKey, objectKeyError, parseObjectKey } from '../keys/object-key.ts'

/** Workers KV's limit for a key, in bytes. */
const MAX_KV_KEY_BYTES = 512
/** Maximum time of one operation of Workers KV. */
const TIMEOUT_SECONDS = 10

/**
 * Returns the file index in Workers KV. docs/kv-schema.md describes its keys. Throws
 * `misconfigured`.
 */
export function kvFileIndex(kv: KVNamespace): FileIndex {
  if (typeof kv !== 'object' || kv === null)
    throw new ApiError(
      'misconfigured',
      'needs a KV namespace. Add a [[kv_namespaces]] block to wrangler.toml, and pass its binding.',
    )
  const requireIndexable = (bucket: string, key: ObjectKey): void => {
    if (utf8Length(kvKey(bucket, key)) > MAX_KV_KEY_BYTES)
      throw new ApiError(
        'key_not_indexable',
        `The index accepts keys of at most ${MAX_KV_KEY_BYTES - kvKey(bucket, '').length} bytes in this bucket.`,
      )
  }
  return {
    requireIndexable,

    async get(bucket, key) {
      const name = kvKey(bucket, key)
      if (utf8Length(name) > MAX_KV_KEY_BYTES) return null
      const { metadata } = await attempt(() => kv.getWithMetadata(name))
      return fromMetadata(bucket, key, metadata)
    },

    async put(record) {
      requireIndexable(record.bucket, record.key)
      const name = kvKey(record.bucket, record.key)
      const metadata = toMetadata(record)
      const write = () => kv.put(name, '', { metadata })
      // Only one writer gets through. A provisional record must not follow the one with an owner.
      await attempt(() => (record.owner === null ? write() : writeTwice(write)))
      return { ...record, ...metadata }
    },

    async remove(bucket, key) {
      const name = kvKey(bucket, key)
      if (utf8Length(name) <= MAX_KV_KEY_BYTES)
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
        const record =
          objectKeyError(key) === null ? fromMetadata(bucket, parseObjectKey(key), metadata) : null
        return record === null ? [] : [record]
      })
      return {
        records,
        cursor: page.list_complete ? undefined : page.cursor,
        unreadable: page.keys.length - records.length,
      }
    },
  }
}

const kvKey = (bucket: string, key: string): string => `file:${bucket}:${key}`

/**
 * Resolves with the result of Workers KV. Its errors (mostly limits) and timeouts become
 * `index_unavailable`. After a timeout, the operation may still take effect.
 */
async function attempt<T>(operation: () => Promise<T>): Promise<T> {
  let timer: number | null = null
  const timeout = new Promise<never>((_, reject) => {
    const late = new Error(`Workers KV did not respond within ${TIMEOUT_SECONDS} seconds.`)
    timer = setTimeout(() => reject(late), TIMEOUT_SECONDS * 1000)
  })
  try {
    return await Promise.race([operation(), timeout])
  } catch (cause) {
    throw new ApiError('index_unavailable', 'The index did not respond. Try again.', { cause })
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Runs `write`, and once more after a second if another request has just written the same key.
 * Workers KV refuses a second write to a key within a second.
 */
async function writeTwice(write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (error) {
    if (!/\b429\b/.test(String(error))) throw error
    await new Promise((resolve) => setTimeout(resolve, 1100))
    await write()
  }
}
