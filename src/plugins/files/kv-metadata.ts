import * as z from 'zod/mini'
import { ApiError } from '../../errors/api-error.ts'
import { utf8Length } from '../../keys/encodings.ts'
import { cutToBytes } from '../../keys/file-name.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { KeptRecord } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'

/** Workers KV's limit for the metadata of one key, in bytes of JSON. */
const MAX_METADATA_BYTES = 1024

/** What the index stores about a file in KV metadata (docs/maintainers/kv-schema.md). */
const metadataSchema = z.object({
  name: z.string(),
  size: z.int().check(z.minimum(0)),
  mimetype: z.string(),
  etag: z.string(),
  owner: z.nullable(z.string()),
  status: z.optional(z.literal('found')),
  // In the only spelling that the Worker writes: that of `toISOString`.
  createdAt: z.string().check(z.refine((text) => new Date(text).toJSON() === text)),
})

type Metadata = z.infer<typeof metadataSchema>

const second = z.int().check(z.minimum(0), z.maximum(8_640_000_000_000))

/** What it stores about a kept record: the same, and two times in seconds since 1970. */
const keptSchema = z.extend(metadataSchema, { kept: second, until: z.optional(second) })

/**
 * Returns the metadata to store. Shortens the name until it fits into KV's limit. Throws
 * `key_not_indexable` if it doesn't without a name.
 */
export function toMetadata<More extends object = object>(
  { name, size, mimetype, etag, owner, createdAt, status }: FileRecord,
  more?: More,
): Metadata & More {
  const own = { name, size, mimetype, etag, owner, createdAt, ...(status && { status }) }
  const metadata = Object.assign(own, more)
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

/** Returns the record that `metadata` from KV describes, or null if it is malformed. */
export function fromMetadata(bucket: string, key: ObjectKey, metadata: unknown): FileRecord | null {
  const parsed = metadataSchema.safeParse(metadata)
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

/** Returns the kept record that `metadata` describes, or null if it is malformed. */
export function fromKept(bucket: string, key: ObjectKey, metadata: unknown): KeptRecord | null {
  const parsed = keptSchema.safeParse(metadata)
  if (!parsed.success) return null
  const { kept, until, ...record } = parsed.data
  const expiresAt = until === undefined ? null : dateOf(until)
  return { record: { key, bucket, ...record }, keptAt: dateOf(kept), expiresAt }
}
