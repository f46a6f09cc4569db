import type { XmlElement } from '@rgrove/parse-xml'
import { sixAtOnce } from '../bucket/at-once.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import { base64, utf8 } from '../keys/encodings.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { deleteObject } from './object.ts'
import { ask, type BucketResponse, s3CodeIn, unexpectedResponse, withDeadline } from './s3.ts'
import { childrenOf, escapeXml, readXml, textOf } from './xml.ts'

/** For each key: null if the object is deleted or missing, otherwise why it may still exist. */
export type Deletions = ReadonlyMap<ObjectKey, ApiError | null>

/** A server deletes one object after another. This leaves time for edge copies and records. */
const TIMEOUT_SECONDS = 20

/** A key with what XML 1.0 forbids, or parsers remove. That would delete another object. */
const AMBIGUOUS_IN_XML = /^\s|\s$|[\uFFFE\uFFFF]/

/**
 * How servers refuse DeleteObjects, or a checksum that they don't know, before they delete
 * anything. Google Cloud Storage returned InvalidArgument in the past.
 */
const REFUSALS =
  /^(NotImplemented|MethodNotAllowed|InvalidArgument|InvalidRequest|MissingContentMD5|MalformedXML)$/

/** Buckets whose server has refused DeleteObjects since this isolate started. */
const withoutDeleteObjects = new WeakSet<Bucket>()

/**
 * Deletes the objects of distinct keys: one with S3 DeleteObject, more with DeleteObjects, or each
 * alone if the server lacks that or XML can't carry its key. A failure doesn't affect other keys.
 */
export async function deleteObjects(
  bucket: Bucket,
  keys: readonly ObjectKey[],
  now: Date,
): Promise<Deletions> {
  const results = new Map<ObjectKey, ApiError | null>()
  const together = keys.filter((key) => !AMBIGUOUS_IN_XML.test(key))
  if (together.length > 1 && !withoutDeleteObjects.has(bucket)) {
    const answer = await failureOf(deleteTogether(bucket, together, now))
    if (answer === null) withoutDeleteObjects.add(bucket)
    else
      for (const key of together)
        results.set(key, answer instanceof ApiError ? answer : (answer.get(key) ?? null))
  }
  await sixAtOnce(
    keys.filter((key) => !results.has(key)),
    async (key) => {
      const deleted = deleteObject(bucket, key, now).then(() => null)
      results.set(key, await failureOf(deleted))
    },
  )
  return results
}

const failureOf = <T>(work: Promise<T>): Promise<T | ApiError> =>
  work.catch((error: unknown) => {
    if (error instanceof ApiError) return error
    throw error
  })

/**
 * Calls S3 DeleteObjects. Resolves with the failures by key, or with null if the server lacks the
 * operation. Throws `storage_error`, `storage_busy` and `credentials_expired`.
 */
async function deleteTogether(
  bucket: Bucket,
  keys: readonly ObjectKey[],
  now: Date,
): Promise<ReadonlyMap<string, ApiError> | null> {
  const objects = keys.map((key) => `<Object><Key>${escapeXml(key)}</Key></Object>`)
  const body = `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${objects.join('')}</Delete>`
  const headers = { 'Content-Type': 'application/xml', ...(await checksumOf(body)) }
  const request = {
    ...({ key: null, method: 'POST', operation: 'DeleteObjects' } as const),
    ...{ bucket, query: { delete: '' }, headers, body },
  }
  const answer = await withDeadline(TIMEOUT_SECONDS, now, (signal) => ask(request, now, signal))
  const root = readXml(answer.text)
  if (answer.status === 200 && root?.name === 'DeleteResult') return failuresIn(root, keys, answer)
  const s3Code = s3CodeIn(answer.text)
  const isRefusal = answer.status >= 400 && REFUSALS.test(s3Code ?? '')
  if (isRefusal || answer.status === 405 || answer.status === 501) return null
  throw unexpectedResponse('DeleteObjects', answer, s3Code)
}

/** Returns the failures in a DeleteResult. A key that it doesn't list as deleted has failed. */
function failuresIn(
  root: XmlElement,
  keys: readonly ObjectKey[],
  answer: BucketResponse,
): ReadonlyMap<string, ApiError> {
  const deleted = new Set(childrenOf(root, 'Deleted').map((entry) => textOf(entry, 'Key')))
  const failed = new Map<string | null, string | null>()
  for (const entry of childrenOf(root, 'Error')) {
    const code = textOf(entry, 'Code')
    if (code === 'NoSuchKey') deleted.add(textOf(entry, 'Key'))
    else failed.set(textOf(entry, 'Key'), code)
  }
  return new Map(
    keys
      .filter((key) => failed.has(key) || !deleted.has(key))
      .map((key) => {
        const code = failed.get(key) ?? ''
        const s3Code = /^[\w.]{1,64}$/.test(code) ? code : null
        // Unlike other failures, this one tells that the object still exists.
        const status = code === 'AccessDenied' ? 403 : answer.status
        return [key, unexpectedResponse('DeleteObjects', { ...answer, status }, s3Code)]
      }),
  )
}

/**
 * Returns the checksum that DeleteObjects requires. Every server accepts Content-MD5, which only
 * Workers have in WebCrypto. Elsewhere, SHA-256 works with AWS S3 and newer servers.
 */
async function checksumOf(body: string): Promise<Readonly<Record<string, string>>> {
  const bytes = utf8(body)
  const digest = async (algorithm: string) =>
    base64(new Uint8Array(await crypto.subtle.digest(algorithm, bytes)))
  try {
    return { 'Content-MD5': await digest('MD5') }
  } catch {
    return { 'x-amz-checksum-sha256': await digest('SHA-256') }
  }
}
