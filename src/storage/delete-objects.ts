import type { XmlElement } from '@rgrove/parse-xml'
import { sixAtOnce } from '../bucket/at-once.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import { base64, utf8 } from '../keys/encodings.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { deleteObject } from './object.ts'
import { ask, type BucketResponse, s3CodeIn, unexpectedResponse, withDeadline } from './s3.ts'
import { childrenOf, escapeXml, readXml, textOf } from './xml.ts'

/** An object, or one version of it. */
interface Target {
  readonly key: ObjectKey
  readonly versionId?: string
}

/** For each one: null if it is deleted or missing, otherwise why it may still exist. */
export type Deletions<T = ObjectKey> = ReadonlyMap<T, ApiError | null>

/** A server deletes one object after another. This leaves time for edge copies and records. */
const TIMEOUT_SECONDS = 20

/** A key with what XML 1.0 forbids, or parsers remove. That would delete another object. */
const AMBIGUOUS_IN_XML = /^\s|\s$|[\uFFFE\uFFFF]/

/** Tells whether `key` may be deleted together with others. */
export const fitsXml = (key: ObjectKey): boolean => !AMBIGUOUS_IN_XML.test(key)

/**
 * How servers refuse DeleteObjects, or a checksum that they don't know, before they delete
 * anything. Google Cloud Storage returned InvalidArgument in the past.
 */
const REFUSALS =
  /^(NotImplemented|MethodNotAllowed|InvalidArgument|InvalidRequest|MissingContentMD5|MalformedXML)$/

/** Whether the server of a bucket accepts DeleteObjects, once this isolate has seen it. */
const acceptsMany = new WeakMap<Bucket, boolean>()

/**
 * Tells whether many objects of this bucket take one request. False if each needs its own, and
 * undefined if that is not known yet: then the first call may need both.
 */
export const deletesMany = (bucket: Bucket): boolean | undefined => acceptsMany.get(bucket)

/**
 * Deletes the objects of distinct keys: one with S3 DeleteObject, more with DeleteObjects, or each
 * alone if the server lacks that or XML can't carry its key. A failure doesn't affect other keys.
 */
export async function deleteObjects(
  bucket: Bucket,
  keys: readonly ObjectKey[],
  now: Date,
): Promise<Deletions> {
  const targets = keys.map((key) => ({ key }))
  const deletions = await deleteVersions(bucket, targets, now)
  return new Map([...deletions].map(([{ key }, failure]) => [key, failure]))
}

/** Deletes distinct versions of objects, or delete markers, together if the server can. */
export async function deleteVersions<T extends Target>(
  bucket: Bucket,
  targets: readonly T[],
  now: Date,
): Promise<Deletions<T>> {
  const results = new Map<T, ApiError | null>()
  const together = targets.filter(({ key }) => fitsXml(key))
  if (together.length > 1 && acceptsMany.get(bucket) !== false) {
    const answer = await failureOf(deleteTogether(bucket, together, now))
    if (!(answer instanceof ApiError)) acceptsMany.set(bucket, answer !== null)
    if (answer !== null)
      for (const target of together)
        results.set(target, answer instanceof ApiError ? answer : (answer.get(target) ?? null))
  }
  await sixAtOnce(
    targets.filter((target) => !results.has(target)),
    async (target) => {
      const deleted = deleteObject(bucket, target.key, now, target).then(() => null)
      results.set(target, await failureOf(deleted))
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
 * Calls S3 DeleteObjects. Resolves with the failures, or with null if the server lacks the operation. Throws `storage_error`, `unavailable` and `misconfigured`.
 */
async function deleteTogether(
  bucket: Bucket,
  targets: readonly Target[],
  now: Date,
): Promise<ReadonlyMap<Target, ApiError> | null> {
  const objects = targets.map(({ key, versionId }) => {
    const version = versionId === undefined ? '' : `<VersionId>${escapeXml(versionId)}</VersionId>`
    return `<Object><Key>${escapeXml(key)}</Key>${version}</Object>`
  })
  const body = `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${objects.join('')}</Delete>`
  const headers = { 'Content-Type': 'application/xml', ...(await checksumOf(body)) }
  const request = {
    ...({ key: null, method: 'POST', operation: 'DeleteObjects' } as const),
    bucket,
    query: { delete: '' },
    headers,
    body,
  }
  const answer = await withDeadline(TIMEOUT_SECONDS, now, (signal) => ask(request, now, signal))
  const root = readXml(answer.text)
  if (answer.status === 200 && root?.name === 'DeleteResult')
    return failuresIn(root, targets, answer)
  const s3Code = s3CodeIn(answer.text)
  const isRefusal = answer.status >= 400 && REFUSALS.test(s3Code ?? '')
  if (isRefusal || answer.status === 405 || answer.status === 501) return null
  throw unexpectedResponse('DeleteObjects', answer, s3Code)
}

/** Returns the failures in a DeleteResult. What it doesn't list as deleted has failed. */
function failuresIn(
  root: XmlElement,
  targets: readonly Target[],
  answer: BucketResponse,
): ReadonlyMap<Target, ApiError> {
  // A request names versions, or it names none. Then a server may tell which one it has added.
  const ofVersions = targets.some(({ versionId }) => versionId !== undefined)
  const name = (key: string | null, versionId: string | null | undefined): string =>
    JSON.stringify([key, ofVersions ? versionId || 'null' : null])
  const nameIn = (entry: XmlElement) => name(textOf(entry, 'Key'), textOf(entry, 'VersionId'))
  const deleted = new Set(childrenOf(root, 'Deleted').map(nameIn))
  const failed = new Map<string, string | null>()
  for (const entry of childrenOf(root, 'Error')) {
    const code = textOf(entry, 'Code')
    if (code === 'NoSuchKey' || code === 'NoSuchVersion') deleted.add(nameIn(entry))
    else failed.set(nameIn(entry), code)
  }
  return new Map(
    targets
      .map((target) => [target, name(target.key, target.versionId)] as const)
      .filter(([, named]) => failed.has(named) || !deleted.has(named))
      .map(([target, named]) => {
        const code = failed.get(named) ?? ''
        const s3Code = /^[\w.]{1,64}$/.test(code) ? code : null
        // Unlike other failures, this one shows that the object still exists.
        const status = code === 'AccessDenied' ? 403 : answer.status
        return [target, unexpectedResponse('DeleteObjects', { ...answer, status }, s3Code)]
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
