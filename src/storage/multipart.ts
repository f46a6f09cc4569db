import type { XmlElement } from '@rgrove/parse-xml'
import * as z from 'zod/mini'
import type { Bucket } from '../config/load.ts'
import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { fetchObject, type ObjectRequest } from './s3.ts'
import { childrenOf, escapeXml, readXml, textOf } from './xml.ts'

/** An unfinished upload in a bucket. */
export interface MultipartUpload {
  readonly bucket: Bucket
  readonly key: ObjectKey
  /** S3's own `UploadId`. */
  readonly s3UploadId: string
}

/** What completes an upload, for each part. `etag` with or without its quotes. */
export interface Part {
  readonly partNumber: number
  readonly etag: string
}

/**
 * A part as the bucket lists it: `size` in bytes, `etag` in its quotes, `lastModified` as the
 * bucket writes it.
 */
export interface ListedPart extends Part {
  readonly size: number
  readonly lastModified: string
}

/** The root of each operation's answer; null where it has no body. */
const RESULTS = {
  CreateMultipartUpload: 'InitiateMultipartUploadResult',
  ListParts: 'ListPartsResult',
  CompleteMultipartUpload: 'CompleteMultipartUploadResult',
  AbortMultipartUpload: null,
} as const

type Operation = keyof typeof RESULTS

/** Assembling many parts takes a bucket minutes, at times before its answer begins. */
const COMPLETE_TIMEOUT_SECONDS = 120

/** What an upload can do without: credentials that may only put objects may lack it. */
const DISPENSABLE: readonly Operation[] = ['ListParts', 'AbortMultipartUpload']
const BAD_PARTS = ['InvalidPart', 'InvalidPartOrder', 'EntityTooSmall']

/** S3's highest part number: no page begins behind it. */
const MAX_PART_NUMBER = 10_000

const digits = z.pipe(z.string().check(z.regex(/^\d{1,15}$/)), z.transform(Number))

const partSchema = z.object({
  partNumber: digits,
  size: digits,
  etag: z.pipe(
    z.string().check(z.minLength(1), z.maxLength(255)),
    z.transform((etag) => `"${unquoted(etag)}"`),
  ),
  lastModified: z._default(z.string(), ''),
})

/** An ETag without its quotes, as S3 compares them in CompleteMultipartUpload. */
export function unquoted(etag: string): string {
  return etag.replaceAll('"', '')
}

/**
 * S3 CreateMultipartUpload; resolves with its `UploadId`. `headers` are those of the object. Throws
 * `storage_error` and `not_supported`.
 */
export async function createMultipartUpload(
  bucket: Bucket,
  key: ObjectKey,
  headers: Readonly<Record<string, string>>,
  now: Date,
): Promise<string> {
  const request = { bucket, key, method: 'POST', query: { uploads: '' }, headers } as const
  const answer = await call('CreateMultipartUpload', request, now)
  const s3UploadId = answer === null ? null : textOf(answer, 'UploadId')
  if (s3UploadId) return s3UploadId
  throw new ApiError('storage_error', 'The bucket answered CreateMultipartUpload without an id.')
}

/**
 * S3 ListParts, all of its pages, in the order of the part numbers. Throws `upload_not_found`,
 * `not_supported` and `storage_error`.
 */
export async function listParts(upload: MultipartUpload, now: Date): Promise<ListedPart[]> {
  const parts: ListedPart[] = []
  for (let marker = 0; ; ) {
    const query = { 'max-parts': '1000', 'part-number-marker': String(marker) }
    const page = await call('ListParts', ofUpload('GET', upload, query), now)
    for (const part of page === null ? [] : childrenOf(page, 'Part')) parts.push(readPart(part))
    if (page === null || textOf(page, 'IsTruncated') !== 'true') return parts
    const next = Number(textOf(page, 'NextPartNumberMarker'))
    if (!(next > marker && next < MAX_PART_NUMBER))
      throw new ApiError('storage_error', 'The bucket answered ListParts with a page without end.')
    marker = next
  }
}

function readPart(element: XmlElement): ListedPart {
  const part = partSchema.safeParse({
    partNumber: textOf(element, 'PartNumber'),
    size: textOf(element, 'Size'),
    etag: textOf(element, 'ETag'),
    lastModified: textOf(element, 'LastModified') ?? undefined,
  })
  if (part.success) return part.data
  throw new ApiError('storage_error', 'The bucket answered ListParts with a part that is none.', {
    cause: part.error,
  })
}

/**
 * What S3 CompleteMultipartUpload needs to refuse a key that has an object already, where the
 * server knows how.
 */
export const completeHeaders = ({
  conditionalComplete,
}: Bucket): Readonly<Record<string, string>> =>
  conditionalComplete ? { 'If-None-Match': '*' } : {}

/**
 * S3 CompleteMultipartUpload, whose answer may be an error under status 200. Throws
 * `upload_not_found`, `invalid_part`, `not_supported` and `storage_error`.
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
  const request = {
    ...ofUpload('POST', upload),
    headers: { 'Content-Type': 'application/xml', ...completeHeaders(upload.bucket) },
    body,
    timeoutSeconds: COMPLETE_TIMEOUT_SECONDS,
  }
  await call('CompleteMultipartUpload', request, now)
}

/**
 * S3 AbortMultipartUpload; also succeeds where there is no such upload. Throws `not_supported` and
 * `storage_error`.
 */
export async function abortMultipartUpload(upload: MultipartUpload, now: Date): Promise<void> {
  try {
    await call('AbortMultipartUpload', ofUpload('DELETE', upload), now)
  } catch (error) {
    if (!(error instanceof ApiError && error.code === 'upload_not_found')) throw error
  }
}

const ofUpload = (
  method: 'GET' | 'POST' | 'DELETE',
  { bucket, key, s3UploadId }: MultipartUpload,
  query: Readonly<Record<string, string>> = {},
): ObjectRequest => ({ bucket, key, method, query: { ...query, uploadId: s3UploadId } })

/** The root of what the bucket answers to `operation`, with the credentials for uploads. */
async function call(
  operation: Operation,
  request: ObjectRequest,
  now: Date,
): Promise<XmlElement | null> {
  const credentials = request.bucket.uploadCredentials
  const response = await fetchObject({ ...request, credentials }, now)
  const text = await bodyOf(response)
  const root = readXml(text)
  const result = RESULTS[operation]
  if (response.ok && (result === null ? text === '' : root?.name === result)) return root

  const s3Code = root === null ? null : textOf(root, 'Code')
  throw refusal(operation, response.status, s3Code, request.query?.uploadId !== undefined)
}

/** The whole body: an answer may break off after its status. */
async function bodyOf(response: Response): Promise<string> {
  try {
    return await response.text()
  } catch (cause) {
    throw new ApiError('storage_error', 'The answer of the bucket broke off.', { cause })
  }
}

/** The error for what the bucket answered to `operation`. */
function refusal(
  operation: Operation,
  status: number,
  s3Code: string | null,
  namesUpload: boolean,
): ApiError {
  // Ceph RGW says NoSuchKey, or nothing, of an upload that it doesn't know.
  if (s3Code === 'NoSuchUpload' || (namesUpload && status === 404 && s3Code !== 'NoSuchBucket'))
    return new ApiError('upload_not_found', 'The bucket has no such upload: it has ended.')
  if (s3Code === 'NotImplemented' || status === 405 || status === 501)
    return new ApiError('not_supported', `The server of this bucket lacks ${operation}.`)
  if (s3Code === 'AccessDenied' && DISPENSABLE.includes(operation))
    return new ApiError('not_supported', `The bucket's credentials for uploads lack ${operation}.`)
  const code = BAD_PARTS.includes(s3Code ?? '') ? 'invalid_part' : 'storage_error'
  const what = s3Code?.slice(0, 64) ?? `status ${status}`
  return new ApiError(code, `The bucket answered ${operation} with ${what}.`)
}
