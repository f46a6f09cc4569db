import type { XmlElement } from '@rgrove/parse-xml'
import * as z from 'zod/mini'
import type { Bucket, Credentials } from '../bucket/bucket.ts'
import { MAX_PARTS } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'
import { type ObjectKey, objectKeyError, parseObjectKey } from '../keys/object-key.ts'
import {
  ask,
  type BucketResponse,
  type ObjectRequest,
  objectExists,
  s3CodeIn,
  TIMEOUT_SECONDS,
  unexpectedResponse,
  unquoted,
  withDeadline,
} from './s3.ts'
import { StorageFailure } from './storage-failure.ts'
import { childrenOf, decoderOf, escapeXml, readXml, textOf } from './xml.ts'

/** An unfinished upload in a bucket. */
export interface MultipartUpload {
  readonly bucket: Bucket
  readonly key: ObjectKey
  /** S3's own `UploadId`. */
  readonly s3UploadId: string
  readonly overwrite?: boolean
  /** ETag of the object that completing it may replace. Only if the bucket compares it. */
  readonly ifMatch?: string | undefined
  /** Default: the bucket's access key for uploads. */
  readonly credentials?: Credentials | undefined
}

/** A part in the list that completes an upload. `etag` with or without its quotes. */
export interface Part {
  readonly partNumber: number
  readonly etag: string
}

/** A part in the bucket's list: `size` in bytes, `etag` in its quotes, `lastModified` unchanged. */
export interface ListedPart extends Part {
  readonly size: number
  readonly lastModified: string
}

/** The root element of each operation's response, or null if it has no body. */
const RESULTS = {
  CreateMultipartUpload: 'InitiateMultipartUploadResult',
  ListParts: 'ListPartsResult',
  CompleteMultipartUpload: 'CompleteMultipartUploadResult',
  AbortMultipartUpload: null,
  ListMultipartUploads: 'ListMultipartUploadsResult',
} as const

type Operation = keyof typeof RESULTS

/** A bucket may need minutes to assemble many parts, sometimes before its response starts. */
const COMPLETE_TIMEOUT_SECONDS = 120

/** Operations that an upload doesn't need. Credentials that may only put objects may lack them. */
const OPTIONAL: readonly Operation[] = ['ListParts', 'AbortMultipartUpload', 'ListMultipartUploads']
const BAD_PARTS = ['InvalidPart', 'InvalidPartOrder', 'EntityTooSmall']

/** Parts on a page of ListParts. This is S3's own limit. */
const PAGE = 1000
const MAX_PAGES = MAX_PARTS / PAGE

const digits = z.pipe(z.string().check(z.regex(/^\d{1,15}$/)), z.transform(Number))

const partSchema = z.object({
  partNumber: digits,
  size: digits,
  etag: z.pipe(
    z.string().check(z.minLength(1), z.maxLength(255)),
    z.transform((etag) => `"${unquoted(etag)}"`),
  ),
  lastModified: z.string(),
})

/** Resolves with the `UploadId`. Throws `storage_error`, `unavailable` and `not_supported`. */
export async function createMultipartUpload(
  bucket: Bucket,
  key: ObjectKey,
  headers: Readonly<Record<string, string>>,
  now: Date,
): Promise<string> {
  const request = { bucket, key, method: 'POST', query: { uploads: '' }, headers } as const
  const answer = await callOnce('CreateMultipartUpload', request, now)
  const s3UploadId = answer === null ? null : textOf(answer, 'UploadId')
  if (s3UploadId) return s3UploadId
  throw unreadableAnswer('CreateMultipartUpload', 'without an id')
}

/**
 * Calls S3 ListParts for all pages, within one deadline. Returns the parts in order. Throws
 * `upload_not_found`, `not_supported`, `storage_error` and `unavailable`.
 */
export const listParts = (upload: MultipartUpload, now: Date): Promise<ListedPart[]> =>
  withDeadline(TIMEOUT_SECONDS, now, async (signal) => {
    const parts: ListedPart[] = []
    let marker = 0
    for (let pages = 0; pages < MAX_PAGES; pages++) {
      const query = { 'max-parts': String(PAGE), 'part-number-marker': String(marker) }
      const page = await call('ListParts', ofUpload('GET', upload, query), now, signal)
      for (const part of page === null ? [] : childrenOf(page, 'Part')) parts.push(readPart(part))
      if (page === null || textOf(page, 'IsTruncated') !== 'true') return parts
      const next = Number(textOf(page, 'NextPartNumberMarker'))
      if (!(next > marker)) break
      marker = next
    }
    throw unreadableAnswer('ListParts', 'with pages that never end')
  })

function readPart(element: XmlElement): ListedPart {
  const part = partSchema.safeParse({
    partNumber: textOf(element, 'PartNumber'),
    size: textOf(element, 'Size'),
    etag: textOf(element, 'ETag'),
    lastModified: textOf(element, 'LastModified') ?? '',
  })
  if (part.success) return part.data
  throw unreadableAnswer('ListParts', 'with a malformed part', part.error)
}

/**
 * Calls S3 CompleteMultipartUpload, whose error may have status 200. Throws `upload_not_found`,
 * `invalid_part`, `object_exists`, `not_supported`, `storage_error` and `unavailable`.
 */
export async function completeMultipartUpload(
  upload: MultipartUpload,
  parts: readonly Part[],
  now: Date,
): Promise<void> {
  const list = parts.map(
    ({ partNumber, etag }) =>
      `<Part><PartNumber>${partNumber}</PartNumber><ETag>&quot;${escapeXml(unquoted(etag))}&quot;</ETag></Part>`,
  )
  const body = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${list.join('')}</CompleteMultipartUpload>`
  // The server then refuses a key that already has an object.
  const { ifMatch } = upload
  const isNew = upload.bucket.conditionalComplete && !upload.overwrite
  const headers = {
    'Content-Type': 'application/xml',
    ...(isNew && { 'If-None-Match': '*' }),
    ...(ifMatch !== undefined && { 'If-Match': `"${unquoted(ifMatch)}"` }),
  }
  const request = { ...ofUpload('POST', upload), headers, body }
  await callOnce('CompleteMultipartUpload', request, now, COMPLETE_TIMEOUT_SECONDS)
}

/** Aborts an upload if it exists. Throws `not_supported`, `storage_error` and `unavailable`. */
export async function abortMultipartUpload(upload: MultipartUpload, now: Date): Promise<void> {
  try {
    await callOnce('AbortMultipartUpload', ofUpload('DELETE', upload), now)
  } catch (error) {
    if (!(error instanceof ApiError && error.code === 'upload_not_found')) throw error
  }
}

/** Where a page of ListMultipartUploads starts: after this upload. */
export interface UploadsMarker {
  readonly keyMarker: string
  readonly uploadIdMarker: string
}

/** An unfinished upload in the bucket's list. */
export interface ListedUpload {
  readonly key: ObjectKey
  readonly s3UploadId: string
  readonly initiated: Date
}

export interface UploadsPage {
  readonly uploads: readonly ListedUpload[]
  /** The keys of uploads that are left out. */
  readonly unreadable: readonly string[]
  /** Start of the next page, or undefined after the last one. */
  readonly next: UploadsMarker | undefined
}

/**
 * Calls S3 ListMultipartUploads for the first 1000 uploads whose key starts with `key`. Returns the
 * S3 ids of those under `key`. Throws `not_supported`, `storage_error` and `unavailable`.
 */
export async function listUploads(bucket: Bucket, key: ObjectKey, now: Date): Promise<string[]> {
  const page = await listUploadsIn(bucket, { prefix: key }, now)
  const uploads = page === null ? [] : childrenOf(page, 'Upload')
  return uploads.flatMap((upload) =>
    textOf(upload, 'Key') === key ? (textOf(upload, 'UploadId') ?? []) : [],
  )
}

/**
 * Calls S3 ListMultipartUploads for up to `limit` uploads of the whole bucket, since MinIO accepts only
 * whole keys as a prefix. Leaves out uploads whose key is no `ObjectKey`, or whose date is malformed.
 * Throws `not_supported`, `storage_error`, also for pages that never end, and `unavailable`.
 */
export async function listUploadsPage(
  bucket: Bucket,
  marker: UploadsMarker | undefined,
  now: Date,
  limit = 1000,
): Promise<UploadsPage> {
  const page = await listUploadsIn(
    bucket,
    {
      'max-uploads': String(limit),
      'encoding-type': 'url',
      ...(marker && {
        'key-marker': marker.keyMarker,
        // Without an id, S3 starts after all uploads of the key.
        ...(marker.uploadIdMarker !== '' && { 'upload-id-marker': marker.uploadIdMarker }),
      }),
    },
    now,
  )
  if (page === null) return { uploads: [], unreadable: [], next: undefined }
  const decode = decoderOf(page)
  const unreadable: string[] = []
  const uploads = childrenOf(page, 'Upload').flatMap((upload): ListedUpload[] => {
    const key = decode(upload, 'Key')
    const s3UploadId = textOf(upload, 'UploadId')
    const initiated = new Date(textOf(upload, 'Initiated') ?? Number.NaN)
    if (key !== null && objectKeyError(key) === null && s3UploadId && initiated.getTime() > 0)
      return [{ key: parseObjectKey(key), s3UploadId, initiated }]
    unreadable.push(key ?? '')
    return []
  })
  if (textOf(page, 'IsTruncated') !== 'true') return { uploads, unreadable, next: undefined }
  const next = {
    keyMarker: decode(page, 'NextKeyMarker') ?? '',
    uploadIdMarker: textOf(page, 'NextUploadIdMarker') ?? '',
  }
  const isSame =
    next.keyMarker === marker?.keyMarker && next.uploadIdMarker === marker.uploadIdMarker
  if (next.keyMarker === '' || isSame)
    throw unreadableAnswer('ListMultipartUploads', 'with pages that never end')
  return { uploads, unreadable, next }
}

const listUploadsIn = (
  bucket: Bucket,
  query: Readonly<Record<string, string>>,
  now: Date,
): Promise<XmlElement | null> =>
  callOnce(
    'ListMultipartUploads',
    { bucket, key: null, method: 'GET', query: { uploads: '', ...query } },
    now,
  )

const ofUpload = (
  method: 'GET' | 'POST' | 'DELETE',
  { bucket, key, s3UploadId, credentials = bucket.uploadCredentials }: MultipartUpload,
  query: Readonly<Record<string, string>> = {},
): ObjectRequest => ({
  bucket,
  key,
  method,
  credentials,
  query: { ...query, uploadId: s3UploadId },
})

const callOnce = (
  operation: Operation,
  request: ObjectRequest,
  now: Date,
  timeoutSeconds = TIMEOUT_SECONDS,
): Promise<XmlElement | null> =>
  withDeadline(timeoutSeconds, now, (signal) => call(operation, request, now, signal))

/** Sends `operation`, by default with the access key for uploads. Returns the root element of the response. */
async function call(
  operation: Operation,
  request: ObjectRequest,
  now: Date,
  signal: AbortSignal,
): Promise<XmlElement | null> {
  const credentials = request.bucket.uploadCredentials
  const answer = await ask({ credentials, ...request, operation }, now, signal)
  const { status, text } = answer
  const root = readXml(text)
  const result = RESULTS[operation]
  // A proxy that answers anything with an empty 200 has aborted nothing.
  const isOk = result === null ? status === 204 : status >= 200 && status < 300
  if (isOk && (result === null ? text === '' : root?.name === result)) return root
  throw refusal(operation, answer, request.query?.uploadId !== undefined)
}

function refusal(operation: Operation, answer: BucketResponse, namesUpload: boolean): ApiError {
  const { status, text } = answer
  const s3Code = s3CodeIn(text)
  const cause = new StorageFailure(operation, status, s3Code)
  // Ceph RGW returns NoSuchKey, or no code, for an unknown upload.
  if (s3Code === 'NoSuchUpload' || (namesUpload && status === 404 && s3Code !== 'NoSuchBucket'))
    return new ApiError('upload_not_found', 'The bucket no longer has this upload.', { cause })
  const notSupported = (why: string) =>
    new ApiError('not_supported', `${why} ${operation}.`, { cause })
  if (s3Code === 'NotImplemented' || status === 405 || status === 501)
    return notSupported('The server of this bucket does not support')
  if (s3Code === 'AccessDenied' && OPTIONAL.includes(operation))
    return notSupported("The bucket's access key for uploads does not allow")
  if (status === 412 || s3Code === 'PreconditionFailed') return objectExists(cause)
  const code = BAD_PARTS.includes(s3Code ?? '') ? 'invalid_part' : 'storage_error'
  return unexpectedResponse(operation, answer, s3Code, code)
}

/** Returns the error for a response with status 200 and unexpected content. */
const unreadableAnswer = (operation: Operation, how: string, cause?: unknown): ApiError =>
  new ApiError('storage_error', `The bucket answered ${operation} ${how}.`, {
    cause: new StorageFailure(operation, 200, null, cause),
  })
