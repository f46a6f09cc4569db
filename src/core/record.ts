import type { Bucket } from '../bucket/bucket.ts'
import { MAX_OBJECT_BYTES } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import type { FileIndex } from '../records/file-index.ts'
import { type FileRecord, isConfirmed } from '../records/file-record.ts'
import { headObject, type ObjectHead } from '../storage/object.ts'
import { requireAllowedType } from './content-type.ts'
import {
  asOf,
  type Decision,
  inferDecision,
  isSameFile,
  isSameUpload,
  keptAfter,
  keptRecord,
  type Place,
  provisional,
  reconcile,
  removal,
  restoration,
  type Seen,
  toRecord,
} from './reconcile.ts'
import { requireBytes } from './size-limit.ts'

export interface RecordRequest {
  readonly key: ObjectKey
  /** The display name. */
  readonly name: string
  /** Id of the principal. */
  readonly owner: string
  /**
   * Tells whether this is the upload to record, or throws why it must not be. Gets what the index has. By
   * default, every upload is.
   */
  readonly isExpected?: (head: ObjectHead, known: FileRecord | null) => boolean
  /**
   * For a caller who names a key. Returns what they may record, or null if the object, or null for
   * none, proves that the upload is theirs. May throw.
   */
  readonly claim?: (head: ObjectHead | null) => Claim | null | Promise<Claim | null>
}

/** What a caller may record without having uploaded it. */
export interface Claim {
  /** Whether they may record, and so read, the file of another owner. */
  readonly ofOthers: boolean
  readonly limits: Pick<Bucket, 'maxBytes' | 'allowedTypes'>
}

export interface Recorded {
  readonly record: FileRecord
  /** Whether this key had a record of another upload. */
  readonly replaces: boolean
  /** What the app returned when it was told, or undefined. */
  readonly data: unknown
}

/** Workers KV shows a change of another location within less than this time. */
const MAX_LAG_SECONDS = 600

/**
 * Records an uploaded object with the bucket's data. A record of the same upload (the same ETag and
 * date) keeps its name and owner, so repeating this changes nothing. Only the proven owner of an
 * upload replaces another one. A provisional record, without an owner or with a status, gets the
 * name and the owner, and loses its status. A kept record of the object comes back first. Removes the
 * record if the object is missing. Announces each change before the index changes, and again when its
 * owner repeats it. Throws `file_replaced` for another upload than the expected one, or if another one
 * replaces it meanwhile.
 */
export async function recordUpload(place: Place, request: RecordRequest): Promise<Recorded> {
  const { bucket, now } = place
  const { key, name, owner, isExpected = () => true } = request
  let data: unknown
  let replaces = false
  /** The object that this call records. */
  let upload: ObjectHead | null = null
  let isReplaced = false
  const announce: Place['announce'] =
    place.announce &&
    (async (...change) => {
      data = await place.announce?.(...change)
    })
  const decide = async (seen: Seen): Promise<Decision | null> => {
    const { object, record: known, written } = seen
    if (known !== null && written !== null && upload !== null) {
      if (object === null || !isSameHead(object, upload)) {
        isReplaced = object !== null
        return (await inferDecision(place, seen))?.[1] ?? null
      }
      if (known.owner === owner) return null
    }
    const claim = (await request.claim?.(object)) ?? null
    const isOfOther = known !== null && isConfirmed(known) && known.owner !== owner
    if (claim !== null && isOfOther && !claim.ofOthers)
      throw hasOtherOwner('files:read and files:record')
    if (object === null) {
      if (known !== null) return removal(seen, known, now)
      throw objectNotFound()
    }
    if (claim !== null) requireWithin(claim, object)
    upload ??= object
    if (!isExpected(object, known) || !isSameHead(object, upload)) throw fileReplaced()
    const isIts = known !== null && isConfirmed(known) && isSameFile(known, object)
    const returned = claim !== null && !isIts ? await restoration(seen, now) : null
    if (returned !== null) return returned
    const isSame = known !== null && isSameUpload(known, object)
    if (isSame && isOfOther && claim !== null) return null
    const isKnown = isSame && isConfirmed(known) && !isOfOther
    const file = isKnown ? known : toRecord(bucket, key, name, owner, object)
    replaces ||= known !== null && !isSame
    const event = [{ type: replaces ? 'replaced' : 'recorded', file }, file] as const
    // The record of a recent object may be an old one that was deleted with the previous upload.
    const isOld = now.getTime() - object.lastModified.getTime() > MAX_LAG_SECONDS * 1000
    if (isKnown) return { record: isOld ? undefined : file, event: [...event, undefined, true] }
    // The record of another one does not go for good, and what is kept of the key has another object now.
    const goes = known !== null && !isSame && known.owner !== owner ? known : null
    const kept = goes !== null || replaces ? await keptAfter(seen, goes, now) : undefined
    return { record: file, event: [...event], kept }
  }
  const record = await reconcile({ ...place, announce }, key, decide, { trustsDates: true })
  if (!record) throw objectNotFound()
  if (isReplaced) throw fileReplaced()
  return { record, replaces, data }
}

const isSameHead = (one: ObjectHead, other: ObjectHead): boolean =>
  one.etag === other.etag && one.lastModified.getTime() === other.lastModified.getTime()

/** Throws unless the object is within the limits of a caller who may not have uploaded it. */
function requireWithin({ limits }: Claim, { size, mimetype }: ObjectHead): void {
  requireBytes(size, limits, MAX_OBJECT_BYTES)
  // AWS stores `binary/octet-stream` for a form without a type.
  requireAllowedType(mimetype.replace(/^binary\//, 'application/'), limits)
}

export const hasOtherOwner = (scopes: string): ApiError =>
  new ApiError('forbidden', `This file has another owner. For that, you need ${scopes}.`)

export const fileReplaced = (): ApiError =>
  new ApiError(
    'file_replaced',
    'The object was replaced. Record the new one with POST /files first.',
  )

export const objectNotFound = (): ApiError =>
  new ApiError('object_not_found', 'There is no object under this key.')

/** Returns a file's record, or the bucket's data. Throws `object_not_found` and `storage_error`. */
export async function findFile(
  bucket: Bucket,
  index: FileIndex,
  key: ObjectKey,
  now: Date,
): Promise<FileRecord> {
  const known = await index.get(bucket.alias, key)
  if (known !== null) return known
  const head = await headObject(bucket, key, now)
  if (head === null) throw objectNotFound()
  const kept = await keptRecord(index, bucket.alias, key, now)
  if (kept !== null && isSameFile(kept.record, head)) return asOf(kept.record, head)
  return provisional(bucket, key, head)
}
