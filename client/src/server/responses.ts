import { isEither, isListOf, isNumber, isObject, isString, isStringMap } from '../check.ts'
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

export const isToken = isObject<Token>({ token: isString, expiresAt: isString })

export const isFileUrls = isObject<FileUrls>({
  urls: isListOf(isEither(isObject({ key: isString, url: isString }), isRefusedKey)),
  expiresIn: isNumber,
  expiresAt: isString,
})

export const isPurged = isObject<Purged>({
  purged: isListOf(isEither(isRefusedKey, isObject<{ key: string }>({ key: isString }))),
})

export const isUploadUrls = isObject<UploadUrls>({
  uploads: isListOf(
    isEither(
      isObject<SignedUpload>({
        uploadUrl: isString,
        key: isString,
        bucket: isString,
        method: (value): value is 'PUT' => value === 'PUT',
        headers: isStringMap,
        expiresIn: isNumber,
        expiresAt: isString,
      }),
      isRefusedFile,
    ),
  ),
})
