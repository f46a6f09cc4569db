import type { Bucket } from '../bucket/bucket.ts'
import { MAX_OBJECT_BYTES } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'
import { isNewObjectKey, nameInKey } from '../keys/new-key.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import type { FileChange } from '../records/file-event.ts'
import type { FileIndex } from '../records/file-index.ts'
import { type FileRecord, isConfirmed } from '../records/file-record.ts'
import { headObject, type ObjectHead } from '../storage/object.ts'
import { requireAllowedType } from './content-type.ts'
import { requireBytes } from './size-limit.ts'

export interface RecordRequest {
  readonly key: ObjectKey
  /** The display name. */
  readonly name: string
  /** Id of the principal. */
  readonly owner: string
  /** Tells whether this is the upload to record. By default, every upload is. */
  readonly isExpected?: (head: ObjectHead) => boolean
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

/**
 * Tells listeners about a change `at` a time, or now. `about` is the record of the file, which the
 * index already has if it `isRepeat`. If it throws, the index must not change.
 */
export type Announce = (
  change: FileChange,
  about: FileRecord | null,
  at?: Date,
  isRepeat?: boolean,
) => Promise<unknown>

/** Workers KV shows a change of another location within less than this time. */
export const MAX_LAG_SECONDS = 600

/**
 * Records an uploaded object with the bucket's data. A record of the same upload (the same ETag and
 * date) keeps its name and owner, so repeating this changes nothing. Only the proven owner of an
 * upload replaces another one. A provisional record, without an owner or with a status, gets the
 * name and the owner, and loses its status. Removes the record if the object is missing or is
 * deleted meanwhile. Does everything again, once, if the object is replaced meanwhile: its newer
 * record may be overwritten. Announces each change before the index changes, and again when its
 * owner repeats it. `announce` is null if nobody listens. Throws `forbidden`, `file_too_large` and
 * `mimetype_not_allowed` for a claim that is not allowed, `file_replaced` for another upload than
 * the expected one, `object_not_found`, `storage_error`, `key_not_indexable`, `unavailable`,
 * and what `announce` throws.
 */
export async function recordUpload(
  bucket: Bucket,
  index: FileIndex,
  request: RecordRequest,
  now: Date,
  announce: Announce | null,
  isRepeat = false,
): Promise<Recorded> {
  const { key, name, owner, isExpected = () => true } = request
  let asked = new Date()
  const gone = async (record: FileRecord): Promise<never> => {
    await forget(bucket, index, key, record, announce, now, asked)
    throw objectNotFound()
  }
  const head = await headObject(bucket, key, now)
  // As late as possible, so that what somebody else has recorded meanwhile is seen.
  const known = await index.get(bucket.alias, key)
  const isOfOther = known !== null && isConfirmed(known) && known.owner !== owner
  const claim = (await request.claim?.(head)) ?? null
  if (claim !== null && isOfOther && !claim.ofOthers)
    throw hasOtherOwner('files:read and files:record')
  if (head === null) {
    if (known !== null) await gone(known)
    throw objectNotFound()
  }
  if (claim !== null) requireWithin(claim, head)
  if (!isExpected(head)) throw fileReplaced()
  const record = toRecord(bucket, key, name, owner, head)
  const isSame = known !== null && isSameUpload(known, head)
  if (isSame && isOfOther && claim !== null)
    return { record: known, replaces: false, data: undefined }
  const isKnown = isSame && isConfirmed(known) && !isOfOther
  const file = isKnown ? known : record
  const replaces = known !== null && !isSame
  const type = replaces ? 'replaced' : 'recorded'
  let data: unknown
  if (announce !== null) {
    index.requireIndexable?.(bucket.alias, key)
    // An event is accepted before its record is written.
    data = await announce({ type, file }, file, undefined, isKnown)
  }
  // The record of a recent object may be an old one that was deleted with the previous upload.
  if (isKnown && now.getTime() - head.lastModified.getTime() > MAX_LAG_SECONDS * 1000)
    return { record: known, replaces, data }
  const stored = await putRecord(bucket, index, file, now, isSame ? known : undefined)
  asked = new Date()
  const after = await headObject(bucket, key, now)
  if (after === null) return gone(stored)
  if (!isExpected(after)) return yieldTo(bucket, index, key, after, now)
  // Somebody else may have recorded the same upload meanwhile. The proven owner replaces that.
  const isOurs = isSameRecord(stored, file) && isConfirmed(stored) && stored.owner === file.owner
  if (isOurs && (isRepeat || isSameUpload(stored, after))) return { record: stored, replaces, data }
  if (isRepeat) throw fileReplaced()
  const again = await recordUpload(bucket, index, request, now, announce, true)
  return { ...again, replaces: true }
}

/**
 * Puts the record of an object that the bucket had, and returns what the index has then. A conditional
 * index may keep another one: of an object that seems newer, or of the same second. So this looks at the
 * bucket again, and replaces that one if the bucket still has the object of `file`. `replaces` is a record
 * of this object that another one with an owner may replace, if nothing has changed it.
 */
export async function putRecord(
  bucket: Bucket,
  index: FileIndex,
  file: FileRecord,
  now: Date,
  replaces?: FileRecord,
): Promise<FileRecord> {
  let stored = await index.put(file, replaces)
  for (let tries = 0; tries < 3 && index.isConditional && !isSameRecord(stored, file); tries++) {
    const head = await headObject(bucket, file.key, now)
    if (head === null || !isSameUpload(file, head)) break
    stored = await index.put(file, stored)
  }
  return stored
}

/** Waits: Workers KV refuses two writes to a key within a second. A client may record meanwhile. */
const untilWritable = () => new Promise((resolve) => setTimeout(resolve, 1100))

/**
 * Forgets a file whose object is gone: announces that it was deleted `at`, a moment before the
 * bucket was asked, and then removes its record. So the record stays until the event is accepted,
 * and a repeat sends it. A file without a record causes no event. Somebody may upload to a chosen
 * key meanwhile. So this looks once more, and if there is an object, puts the removed record back
 * if it is of this object, or else a provisional one. Throws what `announce` throws,
 * `storage_error` and `unavailable`.
 */
export async function forget(
  bucket: Bucket,
  index: FileIndex,
  key: ObjectKey,
  known: FileRecord | null,
  announce: Announce | null,
  now: Date,
  at = now,
): Promise<void> {
  const { alias } = bucket
  if (known !== null) await announce?.({ type: 'deleted', file: { bucket: alias, key } }, known, at)
  if (index.isConditional) {
    if (known === null) return
    await index.remove(alias, key, known)
    const head = isNewObjectKey(key) ? null : await headObject(bucket, key, now, true)
    if (head === null) return
    // The removed record may be of this object, if somebody has uploaded the same bytes again within a second.
    const file = isSameUpload(known, head) ? known : provisional(bucket, key, head, 'found')
    const stored = await putRecord(bucket, index, file, now)
    if (stored.owner === null) await announce?.({ type: 'recorded', file }, file)
    return
  }
  if (isNewObjectKey(key)) return index.remove(alias, key)
  // By now, it may be the record of a newer upload.
  const removed = known && (await index.get(alias, key))
  await index.remove(alias, key)
  const head = await headObject(bucket, key, now, true).catch(async (error: unknown) => {
    // Nobody can tell now whether a newer upload is there, so its record stays.
    if (removed !== null && known !== null && !isSameRecord(removed, known)) {
      await untilWritable()
      await index.put(removed)
    }
    throw error
  })
  if (head === null) return
  await untilWritable()
  const since = await index.get(alias, key)
  // Workers KV may still show the removed record.
  if (since !== null && !(removed !== null && isSameRecord(since, removed))) return
  if (removed !== null && isSameUpload(removed, head)) return void (await index.put(removed))
  const file = provisional(bucket, key, head, 'found')
  await index.put(file)
  await announce?.({ type: 'recorded', file }, file)
}

export const isSameRecord = (one: FileRecord, other: FileRecord): boolean =>
  one.etag === other.etag && one.createdAt === other.createdAt

/** Throws unless the object is within the limits of a caller who may not have uploaded it. */
function requireWithin({ limits }: Claim, { size, mimetype }: ObjectHead): void {
  requireBytes(size, limits, MAX_OBJECT_BYTES)
  // AWS stores `binary/octet-stream` for a form without a type.
  requireAllowedType(mimetype.replace(/^binary\//, 'application/'), limits)
}

/** Throws `file_replaced`. The record of `head` may be overwritten: it gets a provisional one. */
export async function yieldTo(
  bucket: Bucket,
  index: FileIndex,
  key: ObjectKey,
  head: ObjectHead,
  now: Date,
): Promise<never> {
  const file = provisional(bucket, key, head, 'found')
  if (index.isConditional) await putRecord(bucket, index, file, now)
  else {
    await untilWritable()
    const known = await index.get(bucket.alias, key)
    if (known === null || !isSameUpload(known, head)) await index.put(file)
  }
  throw fileReplaced()
}

export const hasOtherOwner = (scopes: string): ApiError =>
  new ApiError('forbidden', `This file has another owner. For that, you need ${scopes}.`)

export const fileReplaced = (): ApiError =>
  new ApiError(
    'file_replaced',
    'The object was replaced. Record the new one with POST /files first.',
  )

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
  return provisional(bucket, key, head)
}

export const objectNotFound = (): ApiError =>
  new ApiError('object_not_found', 'There is no object under this key.')

/** Tells whether a record is of the upload that the bucket has. */
export const isSameUpload = (
  { etag, createdAt }: FileRecord,
  { etag: current, lastModified }: Pick<ObjectHead, 'etag' | 'lastModified'>,
): boolean => etag === current && createdAt === lastModified.toISOString()

/** Returns the record of an object that nobody has recorded. In an index, it has a `status`. */
export const provisional = (
  bucket: Bucket,
  key: ObjectKey,
  head: ObjectHead,
  status?: 'found',
): FileRecord => ({
  ...toRecord(bucket, key, nameInKey(key), null, head),
  ...(status && { status }),
})

/** Returns a record. `createdAt` is the object's own date, so that a repeat has the same result. */
export const toRecord = (
  { alias }: Pick<Bucket, 'alias'>,
  key: ObjectKey,
  name: string,
  owner: string | null,
  { size, mimetype, etag, lastModified }: ObjectHead,
): FileRecord => ({
  key,
  bucket: alias,
  name,
  size,
  mimetype,
  etag,
  owner,
  createdAt: lastModified.toISOString(),
})
