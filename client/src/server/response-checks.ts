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
import { isRefusedFile, isRefusedKey } from '../response-checks.ts'
import type * as R from './responses.ts'

export const isObjectPage = isObject<R.ObjectPage>({
  objects: isListOf(
    isObject<R.StoredObject>({
      ...each(isString, 'key', 'etag', 'lastModified'),
      size: isNumber,
      isRecorded: isBoolean,
    }),
  ),
  folders: isOptional(isListOf(isObject({ prefix: isString }))),
  cursor: isOptional(isString),
})

/** Accepts a response of `POST /files/delete-all`. */
export const isErased = isObject<R.DeletedAll & { cursor?: string | undefined }>({
  ...each(isNumber, 'shares', 'deleted', 'records', 'unreadable'),
  ...each(isNullOr(isNumber), 'versions', 'uploads'),
  failures: isListOf(isRefusedKey),
  cursor: isOptional(isString),
  repeatAfter: isString,
})

export const isToken = isObject<R.Token>(each(isString, 'token', 'expiresAt'))

export const isFileUrls = isObject<R.FileUrls>({
  urls: isListOf(isEither(isObject(each(isString, 'key', 'url')), isRefusedKey)),
  expiresIn: isNumber,
  expiresAt: isString,
})

export const isPurged = isObject<R.Purged>({
  purged: isListOf(isEither(isRefusedKey, isObject({ key: isString }))),
})

const isSignedUpload = isObject<R.SignedUpload>({
  ...each(isString, 'uploadUrl', 'key', 'bucket', 'expiresAt'),
  method: (value): value is 'PUT' => value === 'PUT',
  headers: isStringMap,
  expiresIn: isNumber,
})

export const isUploadUrls = isObject<R.UploadUrls>({
  uploads: isListOf(isEither(isSignedUpload, isRefusedFile)),
})
