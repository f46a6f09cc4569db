import { type LinkPolicy, signLink } from './access/link-signature.ts'
import type { Background, ConfiguredBucket } from './bucket/bucket.ts'
import { openBucket } from './bucket/credential-source.ts'
import { findBucket } from './bucket/find-bucket.ts'
import { requireSpelling } from './bucket/key-spelling.ts'
import { MAX_METADATA_BYTES, MAX_PUT_BYTES } from './bucket/limits.ts'
import {
  byObjectHeader,
  DIRECTORY,
  MAX_FILE_NAME_LENGTH,
  METADATA_NAME,
  reservedNameError,
  SHA256,
} from './bucket/upload-fields.ts'
import {
  type DownloadRequest,
  type DownloadUrl,
  downloadUrl,
  MAX_DOWNLOAD_NAME_LENGTH,
  MAX_VERSION_ID_LENGTH,
  VERSION_ID,
} from './core/download-url.ts'
import { linkExpiry, MAX_LINK_NAME_LENGTH } from './core/link.ts'
import {
  createUploadUrl,
  newUpload,
  type UploadRequest,
  type UploadUrl,
} from './core/upload-url.ts'
import { ApiError, unknownMembers } from './errors/api-error.ts'
import { keyPrefixError, parseObjectKey } from './keys/object-key.ts'
import type { DefinedSettings, SettingsFor } from './settings/define.ts'
import type { Rule } from './settings/rules.ts'
import * as r from './settings/rules.ts'

// biome-ignore-start lint/performance/noBarrelFile: an entry of the package
export {
  type ErrorCode,
  type Issue,
  isPresignerError,
  type PresignerError,
} from './errors/api-error.ts'
export { defineSettings, type SettingsFor } from './settings/define.ts'
export { settingsFromEnv } from './settings/from-env.ts'
export type {
  BucketInput,
  CredentialsInput,
  FetchCredentials,
  SettingsInput,
} from './settings/input.ts'
export type { Settings } from './settings/settings.ts'
export type { DownloadUrl, UploadUrl }

// biome-ignore-end lint/performance/noBarrelFile: an entry of the package

/** Alias of the bucket. Default: the first one. */
interface InBucket {
  readonly bucket?: string | undefined
}

/** Without `key`: a signer sends no request to look whether a chosen key has an object. */
export interface UploadOptions
  extends Omit<UploadRequest, 'key' | 'seed' | 'byApp' | 'headers'>,
    InBucket {
  /** Start of the new key: empty (default), or ends with `/`. */
  readonly prefix?: string | undefined
}

export interface DownloadOptions
  extends Partial<Omit<DownloadRequest, 'defaultSeconds'>>,
    InBucket {}

export interface LinkOptions extends InBucket {
  /**
   * Seconds. A link is valid for one to two such lifetimes. Default: the bucket's default, which is
   * a day unless configured.
   */
  readonly expiresIn?: number | undefined
  /** Name to save the file under. Without it, the browser shows the file. */
  readonly download?: string | undefined
  /** Whether the presigner sends the file (default), or redirects to the bucket. */
  readonly delivery?: LinkPolicy['delivery'] | undefined
}

/** A link to an object. */
export interface Link {
  readonly link: string
  /** ISO 8601 in UTC. */
  readonly expiresAt: string
}

export interface SignerOptions {
  /** The clock. Default: the system's. */
  readonly now?: () => Date
  /**
   * In a Worker, `waitUntil` from `cloudflare:workers`. It keeps a call for credentials running when
   * the client that caused it disconnects.
   */
  readonly waitUntil?: Background['waitUntil']
}

/**
 * Creates the same URLs and links as a presigner with the same settings, without network requests,
 * except those of your own functions for `credentials`.
 * Does not authenticate: your code decides who may have them. Keys include their prefix. Methods
 * reject with a `PresignerError`, whose codes docs/api.md lists. A wrong type may be a TypeError.
 */
export interface Signer {
  /** Returns a signed PUT for a new key, like `POST /files/upload-url`. */
  uploadUrl(options: UploadOptions): Promise<UploadUrl>
  /** Returns a signed GET, like `GET /files/:key/url`. Does not check that the object exists. */
  downloadUrl(key: string, options?: DownloadOptions): Promise<DownloadUrl>
  /** Returns a link for `<img>` or an email, like `POST /files/:key/link`. Needs `linkBase`. */
  link(key: string, options?: LinkOptions): Promise<Link>
}

/**
 * Creates a signer for the same settings as `createPresigner`, in the environment `env`. Throws
 * `misconfigured` for invalid settings and an unknown option.
 */
export function createSigner<B>(
  settingsFor: SettingsFor<B>,
  env: B,
  options: SignerOptions = {},
): Signer {
  const { now = () => new Date(), waitUntil = () => undefined } = options
  const unknown = unknownMembers(options, ['now', 'waitUntil'], true)
  if (unknown !== null)
    throw new ApiError('misconfigured', `createSigner: options ${unknown}.`, { reason: 'settings' })
  if (typeof settingsFor !== 'function')
    throw new ApiError('misconfigured', 'createSigner: settings must be from defineSettings.', {
      reason: 'settings',
    })
  const settings = (settingsFor as DefinedSettings<B>)(env)
  const locate = (alias: string | undefined, key: string) => {
    const bucket = findBucket(settings, alias)
    requireSpelling(bucket, key)
    return { bucket, key: parseObjectKey(key) }
  }
  const open = (bucket: ConfiguredBucket, time: Date) => openBucket(bucket, time, { waitUntil })
  return {
    async uploadUrl(options) {
      const { prefix, bucket: alias, ...request } = requireValid(uploadRule, options)
      const time = now()
      const bucket = await open(findBucket(settings, alias), time)
      const key = newUpload(bucket, request, prefix, MAX_PUT_BYTES, time)
      return createUploadUrl(bucket, key, request, time)
    },
    async downloadUrl(key, options = {}) {
      const { bucket: alias, ...request } = requireValid(downloadRule, options)
      const { bucket, key: objectKey } = locate(alias, key)
      const time = now()
      return downloadUrl(await open(bucket, time), objectKey, request, time)
    },
    async link(key, options = {}) {
      const { bucket: alias, expiresIn, ...request } = requireValid(linkRule, options)
      const { bucket, key: objectKey } = locate(alias, key)
      if (settings.linkBase === null)
        throw new ApiError('misconfigured', 'Links need linkBase.', { reason: 'settings' })
      const expires = linkExpiry(bucket, expiresIn, now())
      const policy = { ...request, bucket: bucket.alias, key: objectKey, expires }
      const link = settings.linkBase + (await signLink(policy, settings))
      return { link, expiresAt: new Date(expires * 1000).toISOString() }
    },
  }
}

function requireValid<T>(rule: Rule<T>, options: unknown): T {
  const checked = r.check(rule, options)
  if (checked.ok) return checked.value
  throw new ApiError('invalid_request', 'The request is not valid.', { issues: checked.issues })
}

/** Accepts at most `max` UTF-16 code units that match `pattern`, by default at least one. */
const upTo = (max: number, pattern = /^[\s\S]/): Rule<string> =>
  r.text((value) =>
    value.length <= max && pattern.test(value) && value.isWellFormed()
      ? null
      : `must be text of at most ${max} characters`,
  )
const metadataValue = upTo(MAX_METADATA_BYTES, /^/)
const bucket = r.optional(r.anyText)
const expiresIn = r.optional(r.whole(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER))

const uploadRule = r.table({
  fileName: upTo(MAX_FILE_NAME_LENGTH),
  mimetype: r.anyText,
  size: r.optional(r.whole(0, Number.MAX_SAFE_INTEGER)),
  sha256: r.optional(r.matching(...SHA256)),
  metadata: r.optional(
    r.record((name) => {
      const [pattern, message] = METADATA_NAME
      return reservedNameError(name) ?? (pattern.test(name) ? metadataValue : message)
    }),
  ),
  ...byObjectHeader(([, , maxLength, pattern]) => r.optional(upTo(maxLength, pattern))),
  directory: r.optional(r.matching(...DIRECTORY)),
  overwrite: r.optional(r.flag),
  expiresIn,
  bucket,
  prefix: r.optional(r.text(keyPrefixError), ''),
})

const downloadRule = r.table({
  use: r.optional(r.oneOf('view', 'stream', 'email'), 'view' as const),
  expiresIn,
  download: r.optional(upTo(MAX_DOWNLOAD_NAME_LENGTH)),
  inline: r.optional(r.flag),
  stable: r.optional(r.flag),
  versionId: r.optional(upTo(MAX_VERSION_ID_LENGTH, VERSION_ID)),
  bucket,
})

const linkRule = r.table({
  expiresIn,
  download: r.optional(upTo(MAX_LINK_NAME_LENGTH), null),
  delivery: r.optional(r.oneOf('stream', 'redirect'), 'stream' as const),
  bucket,
})
