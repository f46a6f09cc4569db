import type { XmlElement } from '@rgrove/parse-xml'
import * as z from 'zod/mini'
import type { Bucket } from '../../bucket/bucket.ts'
import { ApiError } from '../../errors/api-error.ts'
import { type ObjectKey, parseObjectKey } from '../../keys/object-key.ts'
import { isBelow } from '../../storage/list-objects.ts'
import {
  ask,
  s3CodeIn,
  TIMEOUT_SECONDS,
  unexpectedResponse,
  withDeadline,
} from '../../storage/s3.ts'
import { StorageFailure } from '../../storage/storage-failure.ts'
import { childrenOf, decoderOf, readXml, textOf } from '../../storage/xml.ts'

/** One version of an object, or a delete marker. The `versionId` of a bucket without versions is `null`. */
export interface ObjectVersion {
  readonly key: ObjectKey
  readonly versionId: string
  readonly isMarker: boolean
  /** Whether it is what a request without a version sees. */
  readonly isLatest: boolean
  /** Milliseconds since 1970. */
  readonly lastModified: number
}

/** Where a page starts, in the server's own words. */
export interface VersionMarker {
  readonly key: string
  readonly versionId: string
}

export interface VersionPage {
  readonly versions: readonly ObjectVersion[]
  /** The start of the next page, or undefined after the last one. */
  readonly next: VersionMarker | undefined
  /** Number of old versions and markers whose keys no URL can name, or that were not asked for. */
  readonly unreadable: number
}

export interface VersionsQuery {
  readonly prefix: string
  /** 1 to 1000. */
  readonly limit: number
  readonly marker?: VersionMarker | undefined
}

const versionSchema = z.object({
  versionId: z.string().check(z.minLength(1), z.maxLength(1024)),
  isLatest: z.pipe(
    z.enum(['true', 'false']),
    z.transform((text) => text === 'true'),
  ),
  lastModified: z.pipe(z.string().check(z.maxLength(40)), z.pipe(z.transform(Date.parse), z.int())),
})

const OPERATION = 'ListObjectVersions'

/**
 * Calls S3 ListObjectVersions for one page, with the access key for reads. Throws `not_supported` if
 * the server has no versions or the access key may not list them, and `storage_error` and
 * `unavailable`.
 */
export async function listVersions(
  bucket: Bucket,
  { prefix, limit, marker }: VersionsQuery,
  now: Date,
): Promise<VersionPage> {
  const query = {
    versions: '',
    'encoding-type': 'url',
    'max-keys': String(limit),
    prefix,
    ...(marker && { 'key-marker': marker.key }),
    ...(marker?.versionId && { 'version-id-marker': marker.versionId }),
  }
  const request = { bucket, key: null, method: 'GET', operation: OPERATION, query } as const
  const answer = await withDeadline(TIMEOUT_SECONDS, now, (signal) => ask(request, now, signal))
  const { status } = answer
  const root = readXml(answer.text)
  if (status !== 200 || root?.name !== 'ListVersionsResult') {
    const s3Code = s3CodeIn(answer.text)
    const refuse = (why: string) =>
      new ApiError('not_supported', `${why} ${OPERATION}.`, {
        cause: new StorageFailure(OPERATION, status, s3Code),
      })
    if (s3Code === 'AccessDenied') throw refuse("The bucket's access key does not allow")
    // A server that doesn't know the parameter lists its objects.
    const isOther = status === 200 && root?.name === 'ListBucketResult'
    if (isOther || s3Code === 'NotImplemented' || status === 405 || status === 501)
      throw refuse('The server of this bucket does not support')
    throw unexpectedResponse(OPERATION, answer, s3Code)
  }
  const decode = decoderOf(root)
  const read = (entry: XmlElement, isMarker: boolean): ObjectVersion[] => {
    const key = decode(entry, 'Key')
    if (!isBelow(key, prefix)) return []
    const version = readEntry(entry)
    // The marker is newer, whatever the server says about the first entry of a page.
    const isLatest = version.isLatest && key !== marker?.key
    return [{ key: parseObjectKey(key), isMarker, ...version, isLatest }]
  }
  const entries = childrenOf(root, 'Version')
  const markers = childrenOf(root, 'DeleteMarker')
  const versions = [
    ...entries.flatMap((entry) => read(entry, false)),
    ...markers.flatMap((entry) => read(entry, true)),
  ]
  const next = nextOf(root, decode(root, 'NextKeyMarker'), marker)
  // The list of objects has the present ones too.
  const isPresent = (entry: XmlElement) => textOf(entry, 'IsLatest') === 'true'
  const unreadable = [...entries.filter((entry) => !isPresent(entry)), ...markers].filter(
    (entry) => !isBelow(decode(entry, 'Key'), prefix),
  ).length
  return { versions, next, unreadable }
}

/** Returns the start of the next page. One that leads to the same page again would never end. */
function nextOf(
  root: XmlElement,
  key: string | null,
  marker: VersionMarker | undefined,
): VersionMarker | undefined {
  if (textOf(root, 'IsTruncated') !== 'true') return undefined
  const versionId = textOf(root, 'NextVersionIdMarker') ?? ''
  if (!key || (key === marker?.key && versionId === marker.versionId))
    throw unreadable('with pages that never end')
  return { key, versionId }
}

function readEntry(entry: XmlElement) {
  const read = versionSchema.safeParse({
    versionId: textOf(entry, 'VersionId') || 'null',
    isLatest: textOf(entry, 'IsLatest'),
    lastModified: textOf(entry, 'LastModified'),
  })
  if (read.success) return read.data
  throw unreadable('with a malformed version', read.error)
}

/** Returns the error for a response with status 200 and unexpected content. */
const unreadable = (how: string, cause?: unknown): ApiError =>
  new ApiError('storage_error', `The bucket answered ${OPERATION} ${how}.`, {
    cause: new StorageFailure(OPERATION, 200, null, cause),
  })
