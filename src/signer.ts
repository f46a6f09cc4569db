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
import { ApiError } from './errors/api-error.ts'
import { keyPrefixError, parseObjectKey } from './keys/object-key.ts'
import {
  check,
  entries,
  flag,
  into,
  matching,
  oneOf,
  optional,
  type Rule,
  table,
  text,
  whole,
} from './settings/rules.ts'
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
  /** Seconds; a link is valid for one to two such lifetimes. The default is the bucket's, a day unless set. */
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
 * anyone. It does not check who asks: your code decides that. Keys are those of the bucket,
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
      const { prefix, bucket, ...request } = requireValid(uploadRule, options)
      return createUploadUrl(findBucket(settings, bucket), request, prefix, now())
    },
    async downloadUrl(key, options = {}) {
      const { bucket: alias, ...request } = requireValid(downloadRule, options)
      const { bucket, key: objectKey } = locate(alias, key)
      return downloadUrl(bucket, objectKey, request, now())
    },
    async link(key, options = {}) {
      const { bucket: alias, ...request } = requireValid(linkRule, options)
      const { bucket, key: objectKey } = locate(alias, key)
      if (settings.linkBase === null)
        throw new ApiError('misconfigured', 'Set linkBase: a signer has no address.')
      return linkTo(settings, settings.linkBase, bucket, objectKey, request, now())
    },
  }
}

function requireValid<T>(rule: Rule<T>, options: unknown): T {
  const checked = check(rule, options)
  if (checked.ok) return checked.value
  throw new ApiError('invalid_request', 'The request is not valid.', { issues: checked.issues })
}

/** Text of at most `max` UTF-16 code units that fits `pattern`: not empty, unless given. */
const upTo = (max: number, pattern = /^[\s\S]/): Rule<string> =>
  text((value) =>
    value.length <= max && pattern.test(value) && value.isWellFormed()
      ? null
      : `must be valid, and at most ${max} characters long`,
  )
const anyText = text(() => null)
const bucket = optional(anyText)
const expiresIn = optional(whole(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER))

const uploadRule = table({
  fileName: upTo(MAX_FILE_NAME_LENGTH),
  mimetype: anyText,
  size: optional(whole(0, Number.MAX_SAFE_INTEGER)),
  sha256: optional(matching(SHA256, 'must be 32 bytes in base64')),
  metadata: optional(
    into(
      entries(
        (key) => (METADATA_NAME.test(key) ? null : 'must be a name of a-z, 0-9 and "-"'),
        (key) => into(upTo(MAX_METADATA_VALUE_LENGTH, /^/), (value) => [key, value] as const),
      ),
      Object.fromEntries<string>,
    ),
  ),
  cacheControl: optional(upTo(MAX_CACHE_CONTROL_LENGTH, HEADER_VALUE)),
  directory: optional(matching(DIRECTORY, 'must be segments with "/" between')),
  overwrite: optional(flag),
  expiresIn,
  bucket,
  prefix: optional(text(keyPrefixError), ''),
})

const downloadRule = table({
  use: optional(oneOf('view', 'stream', 'email'), 'view' as const),
  expiresIn,
  download: optional(upTo(MAX_DOWNLOAD_NAME_LENGTH)),
  inline: optional(flag),
  stable: optional(flag),
  bucket,
})

const linkRule = table({
  expiresIn,
  download: optional(upTo(MAX_LINK_NAME_LENGTH), null),
  delivery: optional(oneOf('stream', 'redirect'), 'stream' as const),
  bucket,
})
