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
  /** How many passwords of visitors were wrong. */
  wrongPasswords: number
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
  /** Present if some could not be read at the moment: their ids. */
  unavailable?: string[] | undefined
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
  /** How many passwords of visitors were wrong. */
  wrongPasswords: number
  createdAt: string
  received: { files: number; bytes: number }
}

export interface DropBoxPage {
  /** The newest first. */
  dropBoxes: DropBox[]
  /** Present if some could not be read at the moment: their ids. */
  unavailable?: string[] | undefined
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

/** Who uploads. The box keeps it with each file, as plain text of up to 2 KB together. */
export interface DropBoxSender {
  readonly name?: string | undefined
  readonly note?: string | undefined
}

/** What a visitor gives to use a drop box. */
export interface DropBoxVisitor {
  /** Only for a box with a password. If it is wrong or missing, the code is `password_wrong`. */
  readonly password?: string | undefined
  readonly sender?: DropBoxSender | undefined
}

/** What a drop box asks for and allows. */
export interface DropBoxTerms {
  /** Who asks for files: plain text, and so are the others. Show them as text, not as HTML. */
  readonly from: string
  readonly title: string
  readonly message: string | null
  /** ISO 8601 in UTC. */
  readonly deadline: string
  readonly maxFiles: number
  /** Largest file, in bytes. */
  readonly maxBytes: number
  /** Bytes of all files together. */
  readonly maxTotalBytes: number
  /** Types such as `image/png` or `image/*`; null without a limit. */
  readonly allowedTypes: readonly string[] | null
  /** What the box still took when it was opened, from all senders together. */
  readonly left: { readonly files: number; readonly bytes: number }
}

/** Response of `POST /d/:secret/token`. */
export interface DropBoxToken extends DropBoxTerms {
  readonly token: string
  readonly expiresAt: string
  /** URL of the API, with its path. */
  readonly endpoint: string
  readonly bucket: string
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
  wrongPasswords: isNumber,
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
  unavailable: isOptional(isListOf(isString)),
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
  wrongPasswords: isNumber,
  createdAt: isString,
  received: isObject<DropBox['received']>({ files: isNumber, bytes: isNumber }),
})

export const isDropBoxPage = isObject<DropBoxPage>({
  dropBoxes: isListOf(isDropBox),
  unavailable: isOptional(isListOf(isString)),
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

export const isDropBoxToken = isObject<DropBoxToken>({
  token: isString,
  expiresAt: isString,
  endpoint: isString,
  bucket: isString,
  from: isString,
  title: isString,
  message: isNullOr(isString),
  deadline: isString,
  maxFiles: isNumber,
  maxBytes: isNumber,
  maxTotalBytes: isNumber,
  allowedTypes: isNullOr(isListOf(isString)),
  left: isObject<DropBoxTerms['left']>({ files: isNumber, bytes: isNumber }),
})
