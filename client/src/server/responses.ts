import {
  each,
  isBoolean,
  isEither,
  isListOf,
  isNullOr,
  isNumber,
  isObject,
  isOptional,
  isString,
  isStringMap,
} from '../check.ts'
import { isRefusedFile, isRefusedKey, type RefusedFile, type RefusedKey } from '../responses.ts'

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

export const isObjectPage = isObject<ObjectPage>({
  objects: isListOf(
    isObject<StoredObject>({
      ...each(isString, 'key', 'etag', 'lastModified'),
      size: isNumber,
      isRecorded: isBoolean,
    }),
  ),
  folders: isOptional(isListOf(isObject({ prefix: isString }))),
  cursor: isOptional(isString),
})

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

/** Accepts a response of `POST /files/delete-all`. */
export const isErased = isObject<DeletedAll & { cursor?: string | undefined }>({
  ...each(isNumber, 'shares', 'deleted', 'records', 'unreadable'),
  ...each(isNullOr(isNumber), 'versions', 'uploads'),
  failures: isListOf(isRefusedKey),
  cursor: isOptional(isString),
  repeatAfter: isString,
})

export const isToken = isObject<Token>(each(isString, 'token', 'expiresAt'))

export const isFileUrls = isObject<FileUrls>({
  urls: isListOf(isEither(isObject(each(isString, 'key', 'url')), isRefusedKey)),
  expiresIn: isNumber,
  expiresAt: isString,
})

export const isPurged = isObject<Purged>({
  purged: isListOf(isEither(isRefusedKey, isObject({ key: isString }))),
})

const isSignedUpload = isObject<SignedUpload>({
  ...each(isString, 'uploadUrl', 'key', 'bucket', 'expiresAt'),
  method: (value): value is 'PUT' => value === 'PUT',
  headers: isStringMap,
  expiresIn: isNumber,
})

export const isUploadUrls = isObject<UploadUrls>({
  uploads: isListOf(isEither(isSignedUpload, isRefusedFile)),
})
