import {
  type Check,
  isListOf,
  isNullOr,
  isNumber,
  isObject,
  isOptional,
  isString,
} from './check.ts'
import type { LinkRestrictions } from './requests.ts'

/** A link that counts its uses, and that can be withdrawn. Dates are ISO 8601 in UTC. */
export interface Grant {
  /** Names the grant in this API, in events and in logs. Nobody can open it with this id. */
  id: string
  /** The page that dispenses the file. A secret: whoever has it can open it. */
  url: string
  bucket: string
  key: string
  name: string
  /** Bytes. */
  size: number
  label: string | null
  /** How often it can be used in total; null without a limit. */
  uses: number | null
  usesLeft: number | null
  deadline: string
  hasPassword: boolean
  direct: boolean
  /** Name to save under. */
  download: string | null
  restrictions: LinkRestrictions | null
  createdAt: string
  lastUsedAt: string | null
}

export interface GrantPage {
  /** The newest first. */
  grants: Grant[]
  /** Present while more pages may follow. */
  cursor?: string | undefined
}

/** A page on which anybody who knows its URL can drop files. Dates are ISO 8601 in UTC. */
export interface DropBox {
  /** Names the box in this API, in events and in logs. Nobody can open it with this id. */
  id: string
  /** The page for senders. A secret: whoever has it can upload. */
  url: string
  bucket: string
  /** The start of the keys of all files in it. */
  prefix: string
  title: string
  message: string | null
  /** Who asks for files. */
  from: string
  deadline: string
  maxFiles: number
  /** Largest file, in bytes. */
  maxBytes: number
  /** Bytes of all files together. */
  maxTotalBytes: number
  allowedTypes: string[] | null
  hasPassword: boolean
  createdAt: string
  received: { files: number; bytes: number }
}

export interface DropBoxPage {
  /** The newest first. */
  dropBoxes: DropBox[]
  /** Present while more pages may follow. */
  cursor?: string | undefined
}

/** A file that a drop box received. */
export interface ReceivedFile {
  key: string
  bucket: string
  name: string
  size: number
  mimetype: string
  receivedAt: string
  /** What the sender wrote: plain text. Show it as text, not as HTML. */
  sender: { name: string; note: string } | null
  /** ISO 3166 alpha-2. */
  country: string | null
}

export interface ReceivedPage {
  files: ReceivedFile[]
  /** Present while more pages may follow. */
  cursor?: string | undefined
}

const isBoolean: Check<boolean> = (value) => typeof value === 'boolean'

const isStringOrNull = isNullOr(isString)

export const isGrant = isObject<Grant>({
  id: isString,
  url: isString,
  bucket: isString,
  key: isString,
  name: isString,
  size: isNumber,
  label: isStringOrNull,
  uses: isNullOr(isNumber),
  usesLeft: isNullOr(isNumber),
  deadline: isString,
  hasPassword: isBoolean,
  direct: isBoolean,
  download: isStringOrNull,
  restrictions: isNullOr(
    isObject<LinkRestrictions>({
      notBefore: isOptional(isString),
      ips: isOptional(isListOf(isString)),
      countries: isOptional(isListOf(isString)),
      notCountries: isOptional(isListOf(isString)),
    }),
  ),
  createdAt: isString,
  lastUsedAt: isStringOrNull,
})

export const isGrantPage = isObject<GrantPage>({
  grants: isListOf(isGrant),
  cursor: isOptional(isString),
})

export const isDropBox = isObject<DropBox>({
  id: isString,
  url: isString,
  bucket: isString,
  prefix: isString,
  title: isString,
  message: isStringOrNull,
  from: isString,
  deadline: isString,
  maxFiles: isNumber,
  maxBytes: isNumber,
  maxTotalBytes: isNumber,
  allowedTypes: isNullOr(isListOf(isString)),
  hasPassword: isBoolean,
  createdAt: isString,
  received: isObject<DropBox['received']>({ files: isNumber, bytes: isNumber }),
})

export const isDropBoxPage = isObject<DropBoxPage>({
  dropBoxes: isListOf(isDropBox),
  cursor: isOptional(isString),
})

export const isReceivedPage = isObject<ReceivedPage>({
  files: isListOf(
    isObject<ReceivedFile>({
      key: isString,
      bucket: isString,
      name: isString,
      size: isNumber,
      mimetype: isString,
      receivedAt: isString,
      sender: isNullOr(
        isObject<{ name: string; note: string }>({ name: isString, note: isString }),
      ),
      country: isStringOrNull,
    }),
  ),
  cursor: isOptional(isString),
})
