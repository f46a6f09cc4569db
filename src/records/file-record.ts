import type { ObjectKey } from '../keys/object-key.ts'

/** A file in the API's format. */
export interface FileRecord {
  readonly key: ObjectKey
  /** Alias of the bucket. */
  readonly bucket: string
  /** The display name. */
  readonly name: string
  /** In bytes. */
  readonly size: number
  readonly mimetype: string
  /** In its quotes. */
  readonly etag: string
  /** Id of the principal, or null if nobody knows. */
  readonly owner: string | null
  /** `found` if nobody has confirmed the upload. */
  readonly status?: 'found' | undefined
  /** ISO 8601 in UTC. */
  readonly createdAt: string
}

/**
 * Tells whether somebody has recorded the upload. The owner of a record with a status is a guess, such as from the
 * key, so the first one who records the upload becomes its owner.
 */
export const isConfirmed = ({ owner, status }: FileRecord): boolean =>
  owner !== null && status === undefined

/** Tells whether two records of one key, or none, are the same in every member. */
export const isSameEntry = (one: FileRecord | null, other: FileRecord | null): boolean =>
  one === null || other === null
    ? one === other
    : (['name', 'size', 'mimetype', 'etag', 'owner', 'createdAt', 'status'] as const).every(
        (member) => one[member] === other[member],
      )
