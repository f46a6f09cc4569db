import type { XmlElement } from '@rgrove/parse-xml'
import * as z from 'zod/mini'
import type { Bucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import { byUtf8 } from '../keys/encodings.ts'
import { type ObjectKey, objectKeyError, parseObjectKey } from '../keys/object-key.ts'
import { ask, s3CodeIn, TIMEOUT_SECONDS, unexpectedResponse, unquoted, withDeadline } from './s3.ts'
import { StorageFailure } from './storage-failure.ts'
import { childrenOf, decoderOf, readXml, textOf } from './xml.ts'

/** An object in a bucket's list: `size` in bytes, `etag` in its quotes, an ISO 8601 date. */
export interface ListedObject {
  readonly key: ObjectKey
  readonly size: number
  readonly etag: string
  readonly lastModified: string
}

export interface ObjectPage {
  readonly objects: readonly ListedObject[]
  /** With a delimiter: the common starts of keys, up to and including the delimiter. */
  readonly folders: readonly string[]
  /** S3's own token for the next page, or undefined after the last one. */
  readonly next: string | undefined
  /** Number of entries whose keys no URL can name, or that were not asked for. */
  readonly unreadable: number
  /** The last key that is readable, also one that no URL can name, or undefined. */
  readonly last: string | undefined
}

export interface ObjectsQuery {
  readonly prefix: string
  readonly delimiter?: '/' | undefined
  /** 1 to 1000. */
  readonly limit: number
  readonly token?: string | undefined
  /** Only keys after this one, in the order of their bytes. Not with `token`. */
  readonly after?: string | undefined
}

/** Longest token of a server that fits into a cursor in a URL. */
const MAX_TOKEN_LENGTH = 4096

const objectSchema = z.object({
  size: z.pipe(z.string().check(z.regex(/^\d{1,15}$/)), z.transform(Number)),
  etag: z.string().check(z.minLength(1), z.maxLength(255)),
  lastModified: z.pipe(
    z.string().check(
      z.maxLength(40),
      z.refine((text) => !Number.isNaN(Date.parse(text))),
    ),
    z.transform((text) => new Date(text).toISOString()),
  ),
})

/**
 * Calls S3 ListObjectsV2 for one page, with the access key for reads. Leaves out keys that are no
 * `ObjectKey`, or outside `prefix`. Throws `not_supported` if the access key may not list,
 * `storage_error`, also for keys before `after`, and `unavailable`.
 */
export async function listObjects(
  bucket: Bucket,
  { prefix, delimiter, limit, token, after = '' }: ObjectsQuery,
  now: Date,
): Promise<ObjectPage> {
  const query = {
    'list-type': '2',
    'encoding-type': 'url',
    'max-keys': String(limit),
    prefix,
    ...(delimiter !== undefined && { delimiter }),
    ...(token !== undefined && { 'continuation-token': token }),
    ...(token === undefined && after !== '' && { 'start-after': after }),
  }
  const request = { bucket, key: null, method: 'GET', operation: 'ListObjectsV2', query } as const
  const answer = await withDeadline(TIMEOUT_SECONDS, now, (signal) => ask(request, now, signal))
  const root = readXml(answer.text)
  if (answer.status !== 200 || root?.name !== 'ListBucketResult') {
    const s3Code = s3CodeIn(answer.text)
    if (s3Code !== 'AccessDenied') throw unexpectedResponse('ListObjectsV2', answer, s3Code)
    const cause = new StorageFailure('ListObjectsV2', answer.status, s3Code)
    const message = "The bucket's access key does not allow ListObjectsV2. It needs s3:ListBucket."
    throw new ApiError('not_supported', message, { cause })
  }
  const decode = decoderOf(root)
  const contents = childrenOf(root, 'Contents')
  const prefixes = childrenOf(root, 'CommonPrefixes')
  // Not every server counts folders.
  if (contents.length > limit) throw unreadable('with more than was asked for')
  let early = 0
  const isLate = (name: string | null): boolean => {
    // A list may show another spelling than the one that it is sorted by.
    const place = (bucket.normalizesKeys ? name?.normalize() : name) ?? null
    const order = place === null || after === '' ? 1 : byUtf8(place, after)
    if (order < 0) early += 1
    return order > 0
  }
  const objects = contents.flatMap((entry): ListedObject[] => {
    const key = decode(entry, 'Key')
    return isLate(key) && isBelow(key, prefix)
      ? [{ key: parseObjectKey(key), ...readEntry(entry) }]
      : []
  })
  const folders = prefixes.flatMap((entry) => {
    const folder = decode(entry, 'Prefix')
    // The folder of `after` may have later keys.
    const isOpen = folder !== null && after.startsWith(folder)
    return (isOpen || isLate(folder)) &&
      isBelow(folder, prefix) &&
      delimiter !== undefined &&
      folder.endsWith(delimiter)
      ? [folder]
      : []
  })
  const next = nextOf(root, token)
  const given = contents.length + prefixes.length
  if (early > 0) throw unreadable('with keys that are not after start-after')
  const left = given - objects.length - folders.length
  const last =
    contents.map((entry) => decode(entry, 'Key')).findLast((key) => key !== null) ?? undefined
  return { objects, folders, next, unreadable: left, last }
}

/** Tells whether `key` is an object key that starts with `prefix`. */
export const isBelow = (key: string | null, prefix: string): key is string =>
  key?.startsWith(prefix) === true && objectKeyError(key) === null

/** Returns the token for the next page. One that leads to the same page again would never end. */
function nextOf(root: XmlElement, token: string | undefined): string | undefined {
  if (textOf(root, 'IsTruncated') !== 'true') return undefined
  const next = textOf(root, 'NextContinuationToken') ?? ''
  if (next === '' || next === token || next.length > MAX_TOKEN_LENGTH)
    throw unreadable('with pages that never end')
  return next
}

function readEntry(entry: XmlElement): Omit<ListedObject, 'key'> {
  const read = objectSchema.safeParse({
    size: textOf(entry, 'Size'),
    etag: textOf(entry, 'ETag'),
    lastModified: textOf(entry, 'LastModified'),
  })
  if (!read.success) throw unreadable('with a malformed object', read.error)
  return { ...read.data, etag: `"${unquoted(read.data.etag)}"` }
}

/** Returns the error for a response with status 200 and unexpected content. */
const unreadable = (how: string, cause?: unknown): ApiError =>
  new ApiError('storage_error', `The bucket answered ListObjectsV2 ${how}.`, {
    cause: new StorageFailure('ListObjectsV2', 200, null, cause),
  })
