import type { Bucket, ConfiguredBucket } from '../../bucket/bucket.ts'
import { bucketUrl } from '../../bucket/bucket-url.ts'
import { ApiError } from '../../errors/api-error.ts'
import { sha256 } from '../../keys/encodings.ts'
import { isNewObjectKey } from '../../keys/new-key.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { askHead } from '../../storage/object.ts'
import { fetchObject, readS3Code, unexpectedResponse } from '../../storage/s3.ts'
import { StorageFailure } from '../../storage/storage-failure.ts'
import { parseContentRange } from './byte-range.ts'

/** Maximum size of a copy in an edge cache (Workers Caching and the Cache API). */
const MAX_COPY_BYTES = 512 * 1024 ** 2
/** Up to this size, a range fetches the whole object, so that the next one has a copy. */
const MAX_FILL_BYTES = 16 * 1024 ** 2

/** The header with the time of the request to the bucket, in milliseconds since 1970. */
const FETCHED_AT = 'X-Fetched-At'

/** The header with the ETag of the object that an image, or a refusal to make one, comes from. */
export const ORIGINAL_TAG = 'X-Original-Tag'

/** The bucket's headers that a representation keeps. All others are removed. */
const KEPT_HEADERS = 'content-type content-encoding content-language etag last-modified'.split(' ')

interface OpenRequest {
  readonly method: 'GET' | 'HEAD'
  readonly range: string | null
  readonly fillBytes?: number | undefined
}

/**
 * Calls S3 GetObject and returns a response for an edge cache: status 200 with the complete object,
 * and the copy's lifetime in Cache-Control, which begins at `now`. Two responses are only for this request (`no-store`):
 * 206 for `range` of a large object, and 416. A HEAD returns the headers of the complete object.
 * For a range of an object of up to `fillBytes`, fetches the complete object. Throws
 * `object_not_found`, and what `unexpectedResponse` returns.
 */
export async function openObject(
  bucket: Bucket,
  key: ObjectKey,
  { method, range, fillBytes = MAX_FILL_BYTES }: OpenRequest,
  now: Date,
): Promise<Response> {
  if (range !== null && method === 'GET') {
    const part = await fetchObject({ bucket, method: 'GET', key, headers: { Range: range } }, now)
    const answer = await answerPart(bucket, key, part, fillBytes, now)
    if (answer !== null) return answer
  }
  if (method === 'GET')
    return wholeObject(bucket, key, await fetchObject({ bucket, method, key }, now), now)
  const [answer, s3Code] = await askHead(bucket, key, now)
  return wholeObject(bucket, key, answer, now, { s3Code })
}

/** Returns the response to a range, or null if the complete object should be fetched instead. */
async function answerPart(
  bucket: Bucket,
  key: ObjectKey,
  part: Response,
  fillBytes: number,
  now: Date,
): Promise<Response | null> {
  if (part.status === 416) {
    await part.body?.cancel()
    const headers = new Headers({ 'Cache-Control': 'no-store' })
    const contentRange = part.headers.get('content-range')
    if (contentRange !== null) headers.set('Content-Range', contentRange)
    return new Response(null, { status: 416, headers })
  }
  if (part.status !== 206) return wholeObject(bucket, key, part, now)
  await assertObject(part)

  const range = parseContentRange(part.headers.get('content-range'))
  if (range === null) {
    await part.body?.cancel()
    throw unexpectedResponse('GetObject', part)
  }
  const { first, last, size } = range
  if (last - first + 1 === size) return copyOf(bucket, key, part, size, now)
  if (size <= fillBytes) {
    await part.body?.cancel()
    return null
  }
  const headers = keptHeaders(part)
  headers.set('Content-Range', `bytes ${first}-${last}/${size}`)
  headers.set('Content-Length', String(last - first + 1))
  headers.set('Cache-Control', 'no-store')
  return new Response(part.body, { status: 206, headers, encodeBody: 'manual' })
}

/** Returns the response of GetObject, or of HeadObject with its error code in `head`. */
async function wholeObject(
  bucket: Bucket,
  key: ObjectKey,
  answer: Response,
  now: Date,
  head?: { readonly s3Code: string | null },
): Promise<Response> {
  const operation = head === undefined ? 'GetObject' : 'HeadObject'
  if (answer.status === 200) {
    await assertObject(answer, operation)
    const length = answer.headers.get('content-length')
    return copyOf(bucket, key, answer, length === null ? null : Number(length), now)
  }
  const s3Code = head?.s3Code ?? (await readS3Code(answer, now))
  if (answer.status === 404 && s3Code !== 'NoSuchBucket')
    throw new ApiError('object_not_found', 'There is no object under this key.')
  throw unexpectedResponse(operation, answer, s3Code)
}

/** Throws for a response without the headers of an object, such as a proxy's page. */
async function assertObject({ headers, body, status }: Response, operation = 'GetObject') {
  const dated = !Number.isNaN(Date.parse(headers.get('last-modified') ?? ''))
  if (dated && /^(W\/)?".+"$/.test(headers.get('etag') ?? '')) return
  await body?.cancel()
  throw new ApiError('storage_error', `The bucket's response to ${operation} lacks headers.`, {
    cause: new StorageFailure(operation, status, null),
  })
}

async function copyOf(
  bucket: Bucket,
  key: ObjectKey,
  answer: Response,
  size: number | null,
  now: Date,
): Promise<Response> {
  const headers = keptHeaders(answer)
  // A truncated body without a length could not be detected. An encoded body is not cached, since a
  // cache may decode it.
  const kept = size !== null && size <= MAX_COPY_BYTES && !headers.has('content-encoding')
  if (size !== null) headers.set('Content-Length', String(size))
  headers.set(FETCHED_AT, String(now.getTime()))
  await keepFor(headers, kept ? secondsLeft(headers, bucket, key) : 0, bucket, key)
  return new Response(answer.body, { status: 200, headers, encodeBody: 'manual' })
}

/** Returns the seconds that a copy of `object`, from `openObject` or a copy, may live. */
export function secondsLeft(object: Headers, bucket: ConfiguredBucket, key: ObjectKey): number {
  const age = Date.now() - Number(object.get(FETCHED_AT) ?? Number.NaN)
  return Math.max(0, copySeconds(bucket, key) - Math.ceil(age / 1000)) || 0
}

/** Sets the lifetime and the tag of a copy. With zero seconds, no copy is kept. */
async function keepFor(
  headers: Headers,
  seconds: number,
  bucket: ConfiguredBucket,
  key: ObjectKey,
): Promise<void> {
  headers.set(
    'Cache-Control',
    seconds > 0 ? `public, max-age=${seconds}, must-revalidate` : 'no-store',
  )
  if (seconds > 0) headers.set('Cache-Tag', await cacheTag(bucket, key))
}

/** Sets the lifetime of what was made from an object: at most `seconds`, and that of the object's copy. */
export async function keepLike(
  object: Headers,
  made: Headers,
  seconds: number,
  { bucket, key }: { readonly bucket: ConfiguredBucket; readonly key: ObjectKey },
): Promise<void> {
  made.set(FETCHED_AT, object.get(FETCHED_AT) ?? '')
  made.set(ORIGINAL_TAG, object.get('etag') ?? '')
  await keepFor(made, Math.min(secondsLeft(object, bucket, key), seconds), bucket, key)
}

function keptHeaders({ headers }: Response): Headers {
  const kept = KEPT_HEADERS.flatMap((name): [string, string][] => {
    const value = headers.get(name)
    return value === null ? [] : [[name, value]]
  })
  return new Headers([...kept, ['Accept-Ranges', 'bytes']])
}

/** Maximum seconds for an edge copy of an object that an upload may replace at any time. */
const MAX_CHANGING_SECONDS = 60

/** Returns an edge copy's maximum lifetime in seconds. Only a generated key names one upload. */
export const copySeconds = ({ edgeTtlSeconds }: ConfiguredBucket, key: ObjectKey): number =>
  isNewObjectKey(key) ? edgeTtlSeconds : Math.min(edgeTtlSeconds, MAX_CHANGING_SECONDS)

/** Returns the tag of an object's copies: a digest, since tags ignore case and have no spaces. */
export const cacheTag = (bucket: ConfiguredBucket, key: ObjectKey): Promise<string> =>
  sha256(JSON.stringify([bucketUrl(bucket), key]))

/**
 * Returns the name of a bucket's copies, which aliases with the same access key share. Temporary
 * credentials may have the id of the key that they limit, as R2's, so their token tells them apart.
 * Fetched credentials change, so an alias with these has its own copies.
 */
export const copiesOf = (bucket: ConfiguredBucket): Promise<string> => {
  const { credentials: own, alias } = bucket
  const reader = 'accessKeyId' in own ? (own.sessionToken ?? own.accessKeyId) : { alias }
  return sha256(JSON.stringify([bucketUrl(bucket), reader]))
}
