import type { RefusedFile, RefusedKey } from '../responses.ts'

export interface Token {
  token: string
  expiresAt: string
}

export interface FileUrls {
  /** In the order of the request. */
  urls: ({ key: string; url: string } | RefusedKey)[]
  /** Seconds, from the response on. */
  expiresIn: number
  expiresAt: string
}

export interface SignedUpload {
  uploadUrl: string
  key: string
  bucket: string
  method: 'PUT'
  /** The headers to send. */
  headers: Record<string, string>
  expiresIn: number
  expiresAt: string
}

export interface UploadUrls {
  /** In the order of the request. */
  uploads: (SignedUpload | RefusedFile)[]
}

/** Response of `POST /files/purge`. */
export interface Purged {
  /** In the order of the request. */
  purged: ({ key: string } | RefusedKey)[]
}

/** An object of the bucket. */
export interface StoredObject {
  key: string
  size: number
  /** In its quotes. */
  etag: string
  /** ISO 8601 in UTC. */
  lastModified: string
  /** Whether the index has a record under its key. */
  isRecorded: boolean
}

/** Response of `GET /objects`. */
export interface ObjectPage {
  objects: StoredObject[]
  /** Only with `delimiter`. */
  folders?: { prefix: string }[] | undefined
  cursor?: string | undefined
}

/** What was deleted below a prefix. */
export interface DeletedAll {
  /** Grants that were withdrawn, and drop boxes that were closed. */
  shares: number
  /** Objects, with their records and edge copies. */
  deleted: number
  /** Older versions and delete markers. Null if the bucket can't list them. */
  versions: number | null
  /** Unfinished uploads in parts. Null if the bucket can't list them. */
  uploads: number | null
  /** Records without an object. */
  records: number
  /** Objects and entries of the index that stay, since their keys can't be named. */
  unreadable: number
  /** What is left, and why. */
  failures: RefusedKey[]
  /** When a second pass is needed, with a later `before`, ISO 8601 in UTC. */
  repeatAfter: string
}
