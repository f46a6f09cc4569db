import type { LinkPolicy } from './access/link-signature.ts'
import { findBucket } from './bucket/find-bucket.ts'
import { requireSpelling } from './bucket/key-spelling.ts'
import {
  type DownloadRequest,
  type DownloadUrl,
  downloadUrl,
  MAX_DOWNLOAD_NAME_LENGTH,
} from './delivery/download-url.ts'
import { type Link, linkTo, MAX_LINK_NAME_LENGTH } from './delivery/link.ts'
import { ApiError, type Issue } from './errors/api-error.ts'
import { keyPrefixFault, parseObjectKey } from './keys/object-key.ts'
import type { Settings } from './settings/settings.ts'
import { createUploadUrl, type UploadRequest, type UploadUrl } from './uploads/single.ts'
import {
  DIRECTORY,
  HEADER_VALUE,
  MAX_CACHE_CONTROL_LENGTH,
  MAX_FILE_NAME_LENGTH,
  MAX_METADATA_VALUE_LENGTH,
  METADATA_NAME,
  SHA256,
} from './uploads/upload-fields.ts'

// biome-ignore-start lint/performance/noBarrelFile: an entry of the package
export {
  type ErrorCode,
  type Issue,
  isPresignerError,
  type PresignerError,
} from './errors/api-error.ts'
export {
  type BucketInput,
  type CredentialsInput,
  defineSettings,
  type SettingsFor,
  type SettingsInput,
} from './settings/define.ts'
export type { Settings } from './settings/settings.ts'
export type { DownloadUrl, Link, UploadUrl }

// biome-ignore-end lint/performance/noBarrelFile: an entry of the package

/** Which bucket: its alias, or undefined for the first. */
interface InBucket {
  readonly bucket?: string | undefined
}

export interface UploadOptions extends UploadRequest, InBucket {
  /** Start of the new key: empty (the default), or ends with `/`. */
  readonly prefix?: string | undefined
}

export interface DownloadOptions
  extends Partial<Omit<DownloadRequest, 'defaultSeconds'>>,
    InBucket {}

export interface LinkOptions extends InBucket {
  /** Seconds; a link lives for one to two such lifetimes. The default is a day. */
  readonly expiresIn?: number | undefined
  /** Name to save the file under; without it, the file is shown in place. */
  readonly download?: string | undefined
  /** Bytes through the presigner, which is the default, or a redirect to the bucket. */
  readonly delivery?: LinkPolicy['delivery'] | undefined
}

export interface SignerOptions {
  /** The clock; the default is the system's. */
  readonly now?: () => Date
}

/**
 * Makes the URLs and links that a presigner with the same settings makes, without a request to
 * anyone. It asks nobody who you are: your code decides who gets one. Keys are those of the bucket,
 * with their prefix. Methods reject with a `PresignerError`, whose codes docs/api.md lists.
 */
export interface Signer {
  /** A presigned PUT for a new key, as `POST /files/upload-url` answers. */
  uploadUrl(options: UploadOptions): Promise<UploadUrl>
  /** A presigned GET, as `GET /files/:key/url` answers. Does not check whether the object exists. */
  downloadUrl(key: string, options?: DownloadOptions): Promise<DownloadUrl>
  /** A link for `<img>` or an email, as `POST /files/:key/link` answers. Needs `linkBase`. */
  link(key: string, options?: LinkOptions): Promise<Link>
}

/** A signer for `settings`: `createSigner(settingsFor(process.env))`. */
export function createSigner(
  settings: Settings,
  { now = () => new Date() }: SignerOptions = {},
): Signer {
  const locate = (alias: string | undefined, key: string) => {
    const bucket = findBucket(settings, alias)
    requireSpelling(bucket, key)
    return { bucket, key: parseObjectKey(key) }
  }
  return {
    async uploadUrl(options) {
      const { prefix = '', bucket, ...request } = checked(options, UPLOAD, 'fileName', 'mimetype')
      return createUploadUrl(findBucket(settings, bucket), request, prefix, now())
    },
    async downloadUrl(key, options = {}) {
      const { bucket: alias, use = 'view', ...others } = checked(options, DOWNLOAD)
      const { bucket, key: objectKey } = locate(alias, key)
      return downloadUrl(bucket, objectKey, { use, ...others }, now())
    },
    async link(key, options = {}) {
      const { bucket: alias, ...others } = checked(options, LINK)
      const { expiresIn, download = null, delivery = 'stream' } = others
      const { bucket, key: objectKey } = locate(alias, key)
      if (settings.linkBase === null)
        throw new ApiError('misconfigured', 'Set linkBase: a signer has no address of its own.')
      return linkTo(
        settings,
        settings.linkBase,
        bucket,
        objectKey,
        { expiresIn, download, delivery },
        now(),
      )
    },
  }
}

/** Whether a value is taken, and what it must be. */
type Test = readonly [isTaken: (value: unknown) => boolean, message: string]
type Tests<Options> = { readonly [Name in keyof Options]-?: Test }

/** Returns the members of `options`. Throws `invalid_request` for one that its test doesn't take. */
function checked<Options extends object>(
  options: Options,
  tests: Tests<Options>,
  ...required: readonly (keyof Options & string)[]
): Options {
  const known = new Map<string, Test>(Object.entries(tests))
  const given: [string, unknown][] = Object.entries(options)
  const members = given.filter(([, value]) => value !== undefined)
  const names = new Set([...required, ...members.map(([name]) => name)])
  const values = new Map(members)
  const issues: Issue[] = []
  for (const path of names) {
    const [isTaken, message] = known.get(path) ?? UNKNOWN
    if (!isTaken(values.get(path))) issues.push({ path, message })
  }
  if (issues.length === 0) return { ...options }
  throw new ApiError('invalid_request', 'The request is not valid.', { issues })
}

const UNKNOWN: Test = [() => false, 'is not known here']
const isText = (value: unknown): value is string => typeof value === 'string'
const hasLength = (value: unknown, min: number, max: number): value is string =>
  isText(value) && value.length >= min && value.length <= max
const sized = (max: number): Test => [
  (value) => hasLength(value, 1, max),
  `must have 1 to ${max} characters`,
]
const wellFormed = (max: number): Test => [
  (value) => hasLength(value, 1, max) && value.isWellFormed(),
  `must have 1 to ${max} characters of well-formed Unicode`,
]
const matching = (pattern: RegExp, message: string): Test => [
  (value) => isText(value) && pattern.test(value),
  message,
]
const oneOf = (...values: readonly unknown[]): Test => [
  (value) => values.includes(value),
  `must be one of ${values.join(', ')}`,
]

const TEXT: Test = [isText, 'must be a text']
const FLAG = oneOf(true, false)
const WHOLE: Test = [Number.isSafeInteger, 'must be a whole number']

const UPLOAD: Tests<UploadOptions> = {
  fileName: sized(MAX_FILE_NAME_LENGTH),
  mimetype: TEXT,
  size: [(value) => Number.isSafeInteger(value) && Number(value) >= 0, 'must be a number of bytes'],
  sha256: matching(SHA256, 'must be 32 bytes in base64'),
  metadata: [
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      Object.entries(value).every(
        ([name, text]) => METADATA_NAME.test(name) && hasLength(text, 0, MAX_METADATA_VALUE_LENGTH),
      ),
    'must be texts under names of a-z, 0-9 and "-"',
  ],
  cacheControl: [
    (value) => hasLength(value, 1, MAX_CACHE_CONTROL_LENGTH) && HEADER_VALUE.test(value),
    `must be up to ${MAX_CACHE_CONTROL_LENGTH} characters of printable ASCII`,
  ],
  directory: matching(DIRECTORY, 'must be segments with "/" between'),
  overwrite: FLAG,
  expiresIn: WHOLE,
  bucket: TEXT,
  prefix: [(value) => isText(value) && keyPrefixFault(value) === null, 'must end with "/"'],
}

const DOWNLOAD: Tests<DownloadOptions> = {
  use: oneOf('view', 'stream', 'email'),
  expiresIn: WHOLE,
  download: wellFormed(MAX_DOWNLOAD_NAME_LENGTH),
  inline: FLAG,
  stable: FLAG,
  bucket: TEXT,
}

const LINK: Tests<LinkOptions> = {
  expiresIn: WHOLE,
  download: wellFormed(MAX_LINK_NAME_LENGTH),
  delivery: oneOf('stream', 'redirect'),
  bucket: TEXT,
}
