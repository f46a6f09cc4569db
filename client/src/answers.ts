import {
  type Check,
  isEither,
  isListOf,
  isNumber,
  isObject,
  isOptional,
  isString,
  isStringMap,
} from './check.ts'

/** A file in the index. `size` in bytes, `createdAt` ISO 8601 in UTC, `etag` in its quotes. */
export interface FileRecord {
  key: string
  bucket: string
  name: string
  size: number
  mimetype: string
  etag: string
  /** Who recorded it; null where the index has no record. */
  owner: string | null
  createdAt: string
}

export interface ListedFile extends FileRecord {
  /** With `urls` only. */
  url?: string | undefined
}

export interface FilePage {
  files: ListedFile[]
  /** There while more may follow. */
  cursor?: string | undefined
}

export interface FileUrl {
  url: string
  key: string
  bucket: string
  /** Seconds from the answer on. */
  expiresIn: number
  expiresAt: string
}

export interface Link {
  link: string
  expiresAt: string
}

/** Why a key of a list was refused; the others were not. */
export interface RefusedKey {
  key: string
  error: { code: string; message: string }
}

export interface Links {
  /** In the order asked. */
  links: ({ key: string; link: string } | RefusedKey)[]
  expiresAt: string
}

/** Answer of `POST /files/upload-url`, as far as it is used. */
export interface UploadUrl {
  uploadUrl: string
  key: string
  /** What must be sent, beside what a browser sets by itself. */
  headers: Record<string, string>
  expiresIn: number
}

/** Answer of `POST /multipart`, as far as it is used, and what is kept for a later resume. */
export interface StartedUpload {
  uploadId: string
  key: string
  /** Bytes of each part but the last. */
  partSize: number
  /** Until when the upload id is good. */
  expiresAt: string
}

export interface PartUrls {
  urls: { partNumber: number; url: string }[]
  expiresIn: number
}

export interface PartList {
  parts: { partNumber: number; size: number; etag: string }[]
}

const record = {
  key: isString,
  bucket: isString,
  name: isString,
  size: isNumber,
  mimetype: isString,
  etag: isString,
  owner: isEither(isString, (value) => value === null),
  createdAt: isString,
}

export const isNothing: Check<undefined> = (value) => value === undefined

export const isAnything: Check<unknown> = (_): _ is unknown => true

export const isFileRecord = isObject<FileRecord>(record)

export const isFilePage = isObject<FilePage>({
  files: isListOf(isObject<ListedFile>({ ...record, url: isOptional(isString) })),
  cursor: isOptional(isString),
})

export const isFileUrl = isObject<FileUrl>({
  url: isString,
  key: isString,
  bucket: isString,
  expiresIn: isNumber,
  expiresAt: isString,
})

export const isLink = isObject<Link>({ link: isString, expiresAt: isString })

export const isLinks = isObject<Links>({
  links: isListOf(
    isEither(
      isObject<{ key: string; link: string }>({ key: isString, link: isString }),
      isObject<RefusedKey>({
        key: isString,
        error: isObject<RefusedKey['error']>({ code: isString, message: isString }),
      }),
    ),
  ),
  expiresAt: isString,
})

export const isUploadUrl = isObject<UploadUrl>({
  uploadUrl: isString,
  key: isString,
  headers: isStringMap,
  expiresIn: isNumber,
})

export const isStartedUpload = isObject<StartedUpload>({
  uploadId: isString,
  key: isString,
  partSize: (value): value is number => isNumber(value) && value > 0,
  expiresAt: isString,
})

export const isPartUrls = isObject<PartUrls>({
  urls: isListOf(isObject<PartUrls['urls'][number]>({ partNumber: isNumber, url: isString })),
  expiresIn: isNumber,
})

export const isPartList = isObject<PartList>({
  parts: isListOf(
    isObject<PartList['parts'][number]>({ partNumber: isNumber, size: isNumber, etag: isString }),
  ),
})
