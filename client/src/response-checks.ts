import {
  type Check,
  type Checked,
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
} from './check.ts'
import { isIssue } from './json.ts'
import type { Scope } from './requests.ts'
import type * as R from './responses.ts'

const record = {
  ...each(isString, 'key', 'bucket', 'name', 'mimetype', 'etag', 'createdAt'),
  size: isNumber,
  owner: isNullOr(isString),
  status: isOptional((value): value is 'found' => value === 'found'),
}

export const isAnything: Check<unknown> = (_): _ is unknown => true

export const isFileRecord = isObject<R.FileRecord>(record)

export const isItemError = isObject<R.ItemError>({
  ...each(isString, 'code', 'message'),
  reason: isOptional(isString),
  etag: isOptional(isNullOr(isString)),
  deleted: isOptional(isBoolean),
  issues: isOptional(isListOf(isIssue)),
})

const totals = each(isNumber, 'count', 'bytes')

export const isFilePage = isObject<R.FilePage>({
  files: isListOf(
    isObject<R.ListedFile>({
      ...record,
      url: isOptional(isString),
      error: isOptional(isItemError),
    }),
  ),
  folders: isOptional(isListOf(isObject<R.Folder>({ ...totals, prefix: isString }))),
  cursor: isOptional(isString),
})

export const isStats = isObject<R.Stats>({
  ...totals,
  groups: isOptional(isListOf(isObject<R.Group>({ ...totals, value: isNullOr(isString) }))),
})

export const isFileUrl = isObject<R.FileUrl>({
  ...each(isString, 'url', 'key', 'bucket', 'expiresAt'),
  expiresIn: isNumber,
})

export const isLink = isObject<R.Link>({
  ...each(isString, 'link', 'expiresAt'),
  srcset: isOptional(isString),
})

export const isFolderLink = isObject<R.FolderLink>(each(isString, 'base', 'expiresAt'))

export const isRefusedKey = isObject<R.RefusedKey>({ key: isString, error: isItemError })

export const isRefusedFile = isObject<R.RefusedFile>({
  ...each(isOptional(isString), 'fileName', 'key'),
  error: isItemError,
})

export const isRecordedFiles = isObject<R.RecordedFiles>({
  files: isListOf(isEither(isFileRecord, isRefusedFile)),
})

const isLinkOfKey = isObject({ ...each(isString, 'key', 'link'), srcset: isOptional(isString) })

export const isLinks = isObject<R.Links>({
  links: isListOf(isEither(isLinkOfKey, isRefusedKey)),
  expiresAt: isString,
})

export const isDeleted = isObject<R.Deleted>({
  deleted: isListOf(isEither(isRefusedKey, isObject({ key: isString }))),
})

const limitsOfBucket = isObject<R.BucketLimits>({
  bucket: isString,
  maxBytes: isNullOr(isNumber),
  allowedTypes: isNullOr(isListOf(isString)),
  maxExpiresIn: isObject(each(isNumber, 'upload', 'view', 'stream', 'email', 'link')),
})

export const isLimits = isObject<R.Limits>({
  ...each(isString, 'tag', 'prefix'),
  scopes: isListOf((value): value is Scope => isString(value)),
  expiresAt: isNullOr(isString),
  answers: isBoolean,
  plugins: isListOf(isString),
  buckets: isListOf(limitsOfBucket),
})

/** Accepts a response of `POST /files/upload-url`: the members that this client uses. */
export const isUploadUrl = isObject({
  ...each(isString, 'uploadUrl', 'key', 'expiresAt'),
  headers: isStringMap,
  expiresIn: isNumber,
})
export type UploadUrl = Checked<typeof isUploadUrl>

/** Accepts a response of `POST /files/upload-urls`, whose items each need a check. */
export const isUploadUrls = isObject({ uploads: isListOf(isAnything) })

/** Accepts a response of `POST /files/batch`, whose items each need a check. */
export const isBatch = isObject({ files: isListOf(isAnything) })

/** Accepts a response of `POST /multipart`: the members that this client keeps to resume later. */
export const isStartedUpload = isObject({
  ...each(isString, 'uploadId', 'key', 'expiresAt'),
  partSize: (value): value is number => isNumber(value) && value > 0,
})
export type StartedUpload = Checked<typeof isStartedUpload>

export const isPartUrls = isObject({
  urls: isListOf(isObject({ partNumber: isNumber, url: isString })),
  expiresIn: isNumber,
  expiresAt: isString,
})
export type PartUrls = Checked<typeof isPartUrls>

export const isPartList = isObject({
  parts: isListOf(isObject({ ...each(isNumber, 'partNumber', 'size'), etag: isString })),
})
export type PartList = Checked<typeof isPartList>
