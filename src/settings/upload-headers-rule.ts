import { isObject } from '../errors/api-error.ts'
import type { Rule } from './rules.ts'
import * as r from './rules.ts'

/** Headers for the bucket's server, by S3's names in lower case. */
type Headers = Readonly<Record<string, string>>

/** The headers of a bucket's requests. Null if there are none. */
export interface BucketHeaders {
  /** What each new object gets: encryption, storage class, tags and ACL. */
  readonly uploadHeaders: Headers | null
  /** What each request carries: who pays, and whose bucket it must be. */
  readonly requestHeaders: Headers | null
}

/** The headers that a bucket's table may set. docs/configuration.md describes each of them. */
export type UploadHeaders = CommonHeaders & (OwnKeys | Kms | KmsTwice)

/** The server has the keys. */
interface OwnKeys {
  readonly 'x-amz-server-side-encryption'?: 'AES256' | undefined
  readonly 'x-amz-server-side-encryption-aws-kms-key-id'?: undefined
  readonly 'x-amz-server-side-encryption-context'?: undefined
  readonly 'x-amz-server-side-encryption-bucket-key-enabled'?: undefined
}

interface Kms {
  readonly 'x-amz-server-side-encryption': 'aws:kms'
  readonly 'x-amz-server-side-encryption-aws-kms-key-id'?: string | undefined
  readonly 'x-amz-server-side-encryption-context'?: string | undefined
  readonly 'x-amz-server-side-encryption-bucket-key-enabled'?: 'true' | 'false' | undefined
}

interface KmsTwice extends Omit<Kms, `${string}-encryption` | `${string}-enabled`> {
  readonly 'x-amz-server-side-encryption': 'aws:kms:dsse'
  readonly 'x-amz-server-side-encryption-bucket-key-enabled'?: undefined
}

interface CommonHeaders {
  readonly 'x-amz-storage-class'?: string | undefined
  readonly 'x-amz-tagging'?: string | undefined
  readonly 'x-amz-acl'?: 'private' | 'bucket-owner-full-control' | undefined
  readonly 'x-amz-request-payer'?: 'requester' | undefined
  readonly 'x-amz-expected-bucket-owner'?: string | undefined
}

const MAX_TAGS = 10
const TAG = /^((?:[\w.:/@-]|%[\dA-F]{2})+)=((?:[\w.:/@-]|%[\dA-F]{2})*)$/i
/** The characters of a tag that S3 accepts everywhere ("Tag naming limits and requirements"). */
const TAG_TEXT = /^[\p{L}\p{N}\p{Z}+\-=._:/@]*$/u

function taggingError(value: string): string | null {
  const tags = value.split('&')
  const names = new Set<string>()
  for (const [i, tag] of tags.entries()) {
    const [, name = '', content = ''] = TAG.exec(tag)?.map(decoded) ?? []
    const isValid =
      name !== '' &&
      TAG_TEXT.test(name + content) &&
      !/^aws:/i.test(name) &&
      name.length <= 128 &&
      content.length <= 256
    if (!isValid)
      return `must be tags such as "team=web&cost-center=a%20b", percent-encoded. Tag ${i + 1} is invalid`
    names.add(name)
  }
  if (names.size < tags.length) return 'must not repeat the name of a tag'
  return tags.length > MAX_TAGS ? `must have at most ${MAX_TAGS} tags` : null
}

/** Returns the decoded text, or one that no tag may have if it is not UTF-8. */
function decoded(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return '%'
  }
}

function contextError(value: string): string | null {
  try {
    const context: unknown = JSON.parse(atob(value))
    const isValid =
      isObject(context) && Object.values(context).every((member) => typeof member === 'string')
    // `atob` ignores white space.
    return isValid && !/\s/.test(value) ? null : CONTEXT
  } catch {
    return CONTEXT
  }
}

const CONTEXT = 'must be a JSON object of strings in base64'

const BY_NAME: Readonly<Record<keyof UploadHeaders, Rule<string>>> = {
  'x-amz-server-side-encryption': r.oneOf('AES256', 'aws:kms', 'aws:kms:dsse'),
  'x-amz-server-side-encryption-aws-kms-key-id': r.matching(
    /^[\w:/.-]{1,2048}$/,
    'must be the id, the ARN or the alias of a KMS key',
  ),
  'x-amz-server-side-encryption-context': r.text(contextError),
  'x-amz-server-side-encryption-bucket-key-enabled': r.matching(
    /^(?:true|false)$/,
    'must be "true" or "false"',
  ),
  'x-amz-storage-class': r.matching(
    /^[A-Z][A-Z0-9_]{0,63}$/,
    'must be a storage class, such as "STANDARD_IA"',
  ),
  'x-amz-tagging': r.text(taggingError),
  'x-amz-acl': r.oneOf('private', 'bucket-owner-full-control'),
  'x-amz-request-payer': r.oneOf('requester'),
  'x-amz-expected-bucket-owner': r.matching(/^\d{12}$/, 'must be the 12 digits of an AWS account'),
}
const RULES = new Map(Object.entries(BY_NAME))

/** Returns what is wrong with one of these headers, or null. */
export function uploadHeaderError(name: keyof UploadHeaders, value: string): string | null {
  const rule = RULES.get(name)
  const checked = rule && r.check(rule, value)
  return checked?.ok === false ? (checked.issues[0]?.message ?? null) : null
}

/** Returns the rule of a header, or what is wrong with its name. */
function headerRule(name: string): Rule<string | undefined> | string {
  const rule = RULES.get(name)
  if (rule) return r.optional(rule)
  const lower = name.toLowerCase()
  const hint = RULES.has(lower)
    ? `Write it in lower case: ${lower}`
    : `Known headers: ${[...RULES.keys()].join(', ')}`
  return `is not a header to set here. ${hint}`
}

/**
 * Accepts the headers that every upload to a bucket carries, by S3's names (PutObject and
 * CreateMultipartUpload). The list is closed, so that no header makes an object public by mistake.
 */
export const uploadHeadersRule: Rule<BucketHeaders> = r.into(
  r.also(r.record(headerRule), encryptionError),
  ({ 'x-amz-request-payer': payer, 'x-amz-expected-bucket-owner': owner, ...uploadHeaders }) => ({
    uploadHeaders: orNull(uploadHeaders),
    requestHeaders: orNull({
      ...(payer && { 'x-amz-request-payer': payer }),
      ...(owner && { 'x-amz-expected-bucket-owner': owner }),
    }),
  }),
)

/** Returns which header needs another encryption, or null. S3 refuses these combinations. */
function encryptionError(headers: Headers): string | null {
  const encryption = headers['x-amz-server-side-encryption'] ?? ''
  for (const name of Object.keys(headers)) {
    if (name.endsWith('-enabled') && encryption !== 'aws:kms')
      return `needs x-amz-server-side-encryption = "aws:kms" for ${name}`
    if (/-(?:key-id|context)$/.test(name) && !encryption.startsWith('aws:kms'))
      return `needs x-amz-server-side-encryption = "aws:kms" or "aws:kms:dsse" for ${name}`
  }
  return null
}

const orNull = (headers: Headers): Headers | null =>
  Object.keys(headers).length === 0 ? null : headers
