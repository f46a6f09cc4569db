import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import type { FileRecord } from './file-record.ts'

export interface ListInput {
  /** Alias of the bucket. */
  readonly bucket: string
  /** Start of the object keys. */
  readonly prefix: string
  /** 1 to 1000. */
  readonly limit: number
  /** Workers KV's own cursor. */
  readonly cursor?: string
}

export interface ListedPage {
  readonly records: FileRecord[]
  /**
   * Where the next page starts; undefined behind the last one. A page may be short, or empty, and
   * not the last.
   */
  readonly cursor: string | undefined
  /** Entries of this page that are no readable record. */
  readonly unreadable: number
}

/** The index of files. */
export interface FileIndex {
  /**
   * The record of one file, or null. Up to 60 seconds behind a change that another location made.
   */
  get(bucket: string, key: ObjectKey): Promise<FileRecord | null>
  /**
   * Stores `record` and returns it as stored. Throws `key_not_indexable` and `index_unavailable`.
   */
  put(record: FileRecord): Promise<FileRecord>
  remove(bucket: string, key: ObjectKey): Promise<void>
  /** One page in the order of the keys, which is newest first for keys that this Worker made. */
  list(input: ListInput): Promise<ListedPage>
}

/** The index of a presigner that keeps none: nothing is found, and nothing can be listed. */
export const noFileIndex: FileIndex = {
  get: async () => null,
  put: async (record) => record,
  remove: async () => {},
  async list() {
    throw new ApiError('not_supported', 'No file index is configured, so nothing can be listed.')
  },
}
