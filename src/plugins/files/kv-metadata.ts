import * as z from 'zod/mini'
import { ApiError } from '../../errors/api-error.ts'
import { utf8Length } from '../../keys/encodings.ts'
import { cutToBytes } from '../../keys/file-name.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { KeptRecord } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'

/** Workers KV's limit for the metadata of one key, in bytes of JSON. */
const MAX_METADATA_BYTES = 1024

/** What the index stores about a file (docs/maintainers/stored-data.md). */
const recordSchema = z.object({
  name: z.string(),
  size: z.int().check(z.minimum(0)),
  mimetype: z.string(),
  etag: z.string(),
  owner: z.nullable(z.string()),
  status: z.optional(z.literal('found')),
  // In the only spelling that the Worker writes: that of `toISOString`.
  createdAt: z.string().check(z.refine((text) => new Date(text).toJSON() === text)),
})

/** The version of the metadata. */
const VERSION = 1

type Metadata = { readonly v: number } & z.infer<typeof recordSchema>

const second = z.int().check(z.minimum(0), z.maximum(8_640_000_000_000))

/** Two more times of a kept record, in seconds since 1970. */
const keptSchema = z.object({ kept: second, until: z.optional(second) })

/**
 * Returns the metadata to store. Shortens the name until it fits into KV's limit. Throws
 * `key_not_indexable` if it doesn't without a name.
 */
export function toMetadata<More extends object = object>(
  { name, size, mimetype, etag, owner, createdAt, status }: FileRecord,
  more?: More,
): Metadata & More {
  const own = { name, size, mimetype, etag, owner, createdAt, ...(status && { status }) }
  const metadata = Object.assign({ v: VERSION, ...own }, more)
  let excess = utf8Length(JSON.stringify(metadata)) - MAX_METADATA_BYTES
  while (excess > 0 && metadata.name !== '') {
    // JSON may need six bytes for one. So this removes only what is certainly too much, and checks
    // again.
    const certain = Math.ceil(excess / 6)
    metadata.name = cutToBytes(metadata.name, Math.max(0, utf8Length(metadata.name) - certain))
    excess = utf8Length(JSON.stringify(metadata)) - MAX_METADATA_BYTES
  }
  if (excess <= 0) return metadata
  throw new ApiError('key_not_indexable', 'Its type, ETag and owner are too long for the index.')
}

const versionOf = (metadata: unknown): unknown => Reflect.get(Object(metadata), 'v')

/** Tells whether a later version of the Worker has stored this. This one must not replace it. */
export const isLater = (metadata: unknown): boolean => Number(versionOf(metadata)) > VERSION

/** Returns the record that `metadata` from KV describes, or null if it is malformed or of another version. */
export const fromMetadata = (bucket: string, key: ObjectKey, metadata: unknown) =>
  versionOf(metadata) === VERSION ? toRecord(bucket, key, metadata) : null

/** Returns the record with the members of `given`, or null if they are malformed. */
export function toRecord(bucket: string, key: ObjectKey, given: unknown): FileRecord | null {
  const parsed = recordSchema.safeParse(given)
  return parsed.success ? { key, bucket, ...parsed.data } : null
}

/** Returns the metadata of a kept record. */
export const toKept = ({ record, keptAt, expiresAt }: KeptRecord): z.infer<typeof keptSchema> =>
  toMetadata(record, {
    kept: secondsOf(keptAt),
    ...(expiresAt !== null && { until: secondsOf(expiresAt) }),
  })

const secondsOf = (date: string): number => Math.floor(Date.parse(date) / 1000)
const dateOf = (seconds: number): string => new Date(seconds * 1000).toISOString()

/** Returns the kept record that `metadata` describes, or null if it is malformed or of another version. */
export function fromKept(bucket: string, key: ObjectKey, metadata: unknown): KeptRecord | null {
  const record = fromMetadata(bucket, key, metadata)
  const times = keptSchema.safeParse(metadata)
  if (record === null || !times.success) return null
  const { kept, until } = times.data
  return { record, keptAt: dateOf(kept), expiresAt: until === undefined ? null : dateOf(until) }
}
