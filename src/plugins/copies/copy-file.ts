import { requireKey, requireUpload } from '../../access/principal.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { serverUrl } from '../../bucket/bucket-url.ts'
import { requireSpelling } from '../../bucket/key-spelling.ts'
import { MAX_OBJECT_BYTES, UPLOAD_MARK } from '../../bucket/limits.ts'
import type { UploadFields } from '../../bucket/upload-fields.ts'
import type { Allowance } from '../../core/allowance.ts'
import { announcerOf, placeOf } from '../../core/announce.ts'
import { askToDelete, askToDownload } from '../../core/ask-app.ts'
import { purgeCopies, purgeReplaced } from '../../core/purge.ts'
import { type Announce, isSameUpload } from '../../core/reconcile.ts'
import { fileReplaced, objectNotFound, type Recorded, recordUpload } from '../../core/record.ts'
import { removeAll, removeFiles } from '../../core/remove.ts'
import { startUpload } from '../../core/uploads.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { fileIndexOf, timeOf } from '../../http/deadline.ts'
import { nameInKey, requireChoice } from '../../keys/new-key.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { type FileRecord, isConfirmed } from '../../records/file-record.ts'
import { headObject, type ObjectHead } from '../../storage/object.ts'
import { objectExists, unquoted } from '../../storage/s3.ts'
import { mayHaveHappened } from '../../storage/storage-failure.ts'
import { copyHeaders, hasTypeOf, plainType } from './copy-headers.ts'
import { type CopyKind, Hold, type Journal } from './hold.ts'
import { type CopySource, copyObject, sourceReplaced } from './s3.ts'
import {
  folded,
  isSameObject,
  type ObjectIdentity,
  requireOneServer,
  requireOther,
} from './same-object.ts'

/** What all files of a call have in common. The buckets have the limits of the caller. */
export interface CopyCall {
  readonly kind: CopyKind
  readonly source: Bucket
  readonly target: Bucket
  readonly allowance: Allowance
  /** Counts a file against the rate limit. Throws `rate_limited`. */
  readonly count: () => Promise<void> | undefined
}

export interface FileToCopy {
  readonly from: ObjectKey
  readonly to: ObjectKey
  readonly overwrite?: boolean | undefined
  /** The display name. Default: that of the source's record. */
  readonly name?: string | undefined
  /** Copies only an object with this ETag. */
  readonly etag?: string | undefined
}

/** The most requests to buckets for one file. */
const REQUESTS = { copy: 9, move: 14 } as const

/** S3 and R2 copy up to 5 GB in one request. */
const MAX_COPY_BYTES = 5_000_000_000

/** A file whose copy is recorded. */
interface Copied {
  readonly file: FileToCopy
  readonly recorded: Recorded
  /** The source that was copied. Null if an earlier request has deleted it. */
  readonly seen: ObjectHead | null
  readonly stored: ObjectIdentity
  /** Whether the target had no object before. */
  readonly wasVacant: boolean
}

/** What the files of a call share while it holds their keys. */
interface Work {
  readonly c: AppContext
  readonly call: CopyCall
  readonly hold: Hold
  /** Targets that may have edge copies of another object. */
  readonly stale: Set<ObjectKey>
}

/** What became of a file. */
export type Outcome = { readonly recorded: Recorded } | { readonly error: unknown }

/** Why files of a call failed. */
type Failures = Map<FileToCopy, unknown>

/**
 * Copies up to six independent objects at once, and records the copies. For a move, then deletes the
 * sources together, with their records and edge copies: only after the bucket has shown the copies, only if
 * sources and targets are still what they were, and while no other call may copy or move them. So a move
 * that fails leaves both, and a repeat finishes it. Asks the app and the plugins' checks about each upload,
 * and each delete, before anything changes. A file may fail with their errors, `invalid_request` for a copy
 * onto itself, `object_not_found` for a missing source, `object_exists`, `file_replaced`, `file_too_large`, and
 * `unavailable` if another call holds a key, or this one may send no more requests.
 */
export async function copyFiles(
  c: AppContext,
  call: CopyCall,
  files: readonly FileToCopy[],
): Promise<ReadonlyMap<FileToCopy, Outcome>> {
  const failures: Failures = new Map()
  const admitted = await each(files, failures, async (file) => {
    await admit(c, call, file)
    return file
  })
  // Even if the client disconnects, since others wait for these keys.
  const working = copyAdmitted(c, call, admitted, failures)
  c.executionCtx.waitUntil(working.catch(() => undefined))
  const copied = await working
  return new Map<FileToCopy, Outcome>([
    ...copied.map(({ file, recorded }) => [file, { recorded }] as const),
    ...[...failures].map(([file, error]) => [file, { error }] as const),
  ])
}

async function copyAdmitted(
  c: AppContext,
  call: CopyCall,
  files: readonly FileToCopy[],
  failures: Failures,
): Promise<readonly Copied[]> {
  const [hold] = await Promise.allSettled([Hold.take(c, call, files)])
  if (hold.status === 'rejected') {
    for (const file of files) failures.set(file, hold.reason)
    return []
  }
  const work = { c, call, hold: hold.value, stale: new Set<ObjectKey>() }
  try {
    const copied = await each(files, failures, (file) => copyFile(work, file))
    if (call.kind === 'move') await dropSources(work, copied, failures)
    if (work.stale.size > 0) await purgeReplaced(c, call.target, [...work.stale])
    return copied
  } finally {
    for (const [file, error] of failures) work.hold.keepAfter(error, file)
    await work.hold.release()
  }
}

/** Returns the results of a step for each file, without those that fail. */
async function each<T>(
  files: readonly FileToCopy[],
  failures: Failures,
  step: (file: FileToCopy) => Promise<T>,
): Promise<T[]> {
  const results = await Promise.allSettled(files.map(step))
  return results.flatMap((result, i) => {
    if (result.status === 'fulfilled') return [result.value]
    const file = files[i]
    if (file !== undefined) failures.set(file, result.reason)
    return []
  })
}

/** Checks what needs no request to the bucket. */
async function admit(c: AppContext, call: CopyCall, file: FileToCopy): Promise<void> {
  const { kind, source, target, allowance } = call
  const { from, to, overwrite = false } = file
  const principal = c.get('principal')
  requireKey(principal, 'files:read', from)
  if (kind === 'move') requireKey(principal, 'files:delete', from)
  requireUpload(principal, to, { overwrite })
  requireSpelling(source, from)
  requireSpelling(target, to)
  requireChoice(to)
  requireOneServer(source, target)
  requireOther(source, from, target, to)
  if (kind === 'move') requireLocks(c)
  if (!allowance.take(REQUESTS[kind]))
    throw new ApiError('unavailable', 'This call had no time left for this file. Send it again.', {
      reason: 'storage',
      retryAfterSeconds: 1,
    })
  // Not before, since a file that isn't started is sent again.
  await call.count()
}

/** Throws `not_supported` for an index in which no move can hold its keys. */
function requireLocks(c: AppContext): void {
  if (fileIndexOf(c).lock !== undefined) return
  throw new ApiError(
    'not_supported',
    'To move files, add an index in D1: [[d1_databases]] with FILES_DB in wrangler.toml, or d1FileIndex. Workers KV has no locks. You can copy the file, and then delete it.',
  )
}

/** Copies an object, unless an earlier request has done that, and records it. */
async function copyFile(work: Work, file: FileToCopy): Promise<Copied> {
  const { c, call, hold } = work
  hold.require(file)
  const seen = await headObject(call.source, file.from, timeOf(c))
  const earlier = await hold.earlier(file, seen)
  if (seen === null) return finishMove(work, file, earlier)
  if (file.etag !== undefined && unquoted(file.etag) !== unquoted(seen.etag)) throw sourceReplaced()
  await askToDownload(c, call.source, file.from, 'copy')
  if (call.kind === 'move') await askToDeleteSource(work, file)
  const known = await recordOf(c, call.source, file.from, seen)
  const names = {
    name: file.name ?? known?.name ?? nameInKey(file.to),
    owner: ownerOf(work, known),
  }
  if (seen.size > MAX_COPY_BYTES) throw tooLarge(call, file, names.name)
  const upload = {
    ...{ key: file.to, overwrite: file.overwrite, fileName: names.name, size: seen.size },
    mimetype: plainType(seen.mimetype),
  }
  return startUpload(c, call.target, upload, MAX_OBJECT_BYTES, async (key, changed) => {
    // A repeat names the client's own key.
    if (key !== file.to)
      throw new ApiError('forbidden', 'This app chooses the key of a file. Upload it instead.')
    const wanted = { ...names, name: changed.fileName }
    const allowed = { ...withoutProof(changed), overwrite: changed.overwrite ?? false }
    return copyAndRecord(work, file, allowed, wanted, seen, earlier)
  })
}

const askToDeleteSource = ({ c, call }: Work, { from }: FileToCopy): Promise<void> =>
  askToDelete(c, { type: 'delete', bucket: call.source.alias, key: from })

/** The call itself records the copy. Without other metadata from the app, it keeps the source's. */
function withoutProof<File extends UploadFields>(file: File): File {
  const { [UPLOAD_MARK]: proof, ...metadata } = file.metadata ?? {}
  if (proof === undefined) return file
  return { ...file, metadata: Object.keys(metadata).length > 0 ? metadata : undefined }
}

/** Returns the record of this object, or null. */
async function recordOf(
  c: AppContext,
  { alias }: Bucket,
  key: ObjectKey,
  object: ObjectIdentity,
): Promise<FileRecord | null> {
  const known = await fileIndexOf(c).get(alias, key)
  return known !== null && isSameUpload(known, object) ? known : null
}

interface Names {
  readonly name: string
  readonly owner: string
}

/** A moved file keeps its owner. A copy is the caller's. */
const ownerOf = ({ c, call }: Work, known: FileRecord | null): string =>
  (call.kind === 'move' ? known?.owner : null) ?? c.get('principal').id

/** Looks at the target, and copies unless an earlier request has done that. */
async function copyAndRecord(
  work: Work,
  file: FileToCopy,
  changed: UploadFields & { readonly overwrite: boolean },
  names: Names,
  seen: ObjectHead,
  earlier: Journal | null,
): Promise<Copied> {
  const { c, hold, stale, call } = work
  const { source, target } = call
  const { from, to } = file
  // In the bucket that has just shown the source, a missing object needs no second request.
  const there = await headObject(target, to, timeOf(c), source === target)
  if (there !== null && earlier?.target && isSameObject(earlier.target, there)) {
    const { wasVacant } = earlier
    if (!wasVacant) stale.add(to)
    const recorded = await recordEarlier(work, file, names, there)
    return { file, recorded, seen, stored: there, wasVacant }
  }
  const isUnanswered = there !== null && (await mayBeUnanswered(work, file, there, seen, earlier))
  if (there !== null && !changed.overwrite && !isUnanswered) throw objectExists()
  const wasVacant = there === null || isUnanswered
  const object = { bucket: source, key: from, etag: seen.etag }
  const headers = await copyHeaders({ ...object, ...seen }, target, changed, timeOf(c))
  await hold.note(file, { source: seen, wasVacant, target: null })
  if (there !== null || changed.overwrite) stale.add(to)
  const isNew = !changed.overwrite && !isUnanswered
  const stored = await copyObjectOnce(work, object, seen, to, there, { headers, isNew })
  await hold.note(file, { source: seen, wasVacant, target: stored })
  const recorded = await recordCopy(work, file, names, stored)
  // The record of an object that is gone.
  if (recorded.replaces) stale.add(to)
  return { file, recorded, seen, stored, wasVacant }
}

/**
 * Tells whether the object under the target's key is that of an earlier request for the same, which found no
 * object there, and got no answer to its copy. It may be an upload that nobody has recorded yet: so it is
 * copied again, not taken for the copy.
 */
async function mayBeUnanswered(
  { c, call }: Work,
  { to }: FileToCopy,
  there: ObjectHead,
  seen: ObjectHead,
  earlier: Journal | null,
): Promise<boolean> {
  if (earlier === null || !earlier.wasVacant || earlier.target !== null) return false
  if (there.size !== seen.size || !hasTypeOf(seen, there.mimetype)) return false
  const known = await recordOf(c, call.target, to, there)
  return known === null || !isConfirmed(known)
}

/** Records what an earlier request has copied, unless it has recorded it already. */
async function recordEarlier(
  work: Work,
  file: FileToCopy,
  names: Names,
  stored: ObjectIdentity,
): Promise<Recorded> {
  const { c, call } = work
  const known = await recordOf(c, call.target, file.to, stored)
  if (known === null || !isConfirmed(known)) return recordCopy(work, file, names, stored)
  if (call.kind === 'copy' && known.owner !== names.owner) throw objectExists()
  return { record: known, replaces: false, data: undefined }
}

/**
 * Finishes a move whose source is gone, as an earlier request has noted it: records the target, unless
 * that is done. Throws `object_not_found` without such a note, or if the target is another object by now.
 */
async function finishMove(work: Work, file: FileToCopy, earlier: Journal | null): Promise<Copied> {
  const { c, call } = work
  const { source, target, kind } = call
  const there = earlier?.target && (await headObject(target, file.to, timeOf(c)))
  const isOther =
    file.etag !== undefined && unquoted(file.etag) !== unquoted(earlier?.source.etag ?? '')
  if (
    kind !== 'move' ||
    !earlier?.target ||
    !there ||
    isOther ||
    !isSameObject(there, earlier.target)
  )
    throw objectNotFound()
  await askToDeleteSource(work, file)
  const left = await recordOf(c, source, file.from, earlier.source)
  const name = file.name ?? left?.name ?? nameInKey(file.to)
  const recorded = await recordEarlier(work, file, { name, owner: ownerOf(work, left) }, there)
  return { file, recorded, seen: null, stored: there, wasVacant: earlier.wasVacant }
}

/**
 * Copies an object in one request. Resolves with the copy after the bucket has shown all of it. `there` is what
 * was under `key` before. Throws `file_replaced` if the source or the copy is replaced meanwhile.
 */
async function copyObjectOnce(
  { c, call, stale }: Work,
  object: CopySource,
  seen: ObjectHead,
  key: ObjectKey,
  there: ObjectHead | null,
  options: { readonly headers: Readonly<Record<string, string>>; readonly isNew: boolean },
): Promise<ObjectHead> {
  const { source, target } = call
  const { key: from } = object
  const copying = copyObject(object, target, key, options, timeOf(c))
  const etag = await copying.catch(async (error: unknown) => {
    if (mayHaveHappened(error)) stale.add(key)
    // The condition on the source may be what failed.
    if (error instanceof ApiError && error.code === 'object_exists')
      await requireUnchanged(c, source, from, seen)
    throw error
  })
  const stored = await headObject(target, key, timeOf(c))
  if (stored === null) throw incomplete()
  if (stored.size !== seen.size || !hasTypeOf(seen, stored.mimetype)) {
    // One object under two spellings must not be deleted.
    const mayBeSource = source.name === target.name && folded(from) === folded(key)
    if (etag !== stored.etag || mayBeSource) throw incomplete()
    await dropCopy(c, target, key)
    throw copyDropped()
  }
  if (etag !== null && etag !== stored.etag) throw fileReplaced()
  // ETags of encrypted objects, and of those in parts, can't be compared. The server must then have
  // returned the ETag of a new object, since some servers only claim to have copied. Some ignore the
  // condition on the source.
  if (stored.etag !== seen.etag) {
    if (etag === null || (there !== null && isSameObject(stored, there))) throw incomplete()
    await requireUnchanged(c, source, from, seen)
  }
  return stored
}

/** Records the copy, and announces it with its source. Throws `file_replaced` for another object. */
function recordCopy(
  { c, call }: Work,
  { from, to }: FileToCopy,
  { name, owner }: Names,
  stored: ObjectIdentity,
): Promise<Recorded> {
  const announce = announcerOf(c)
  const type = call.kind === 'move' ? 'moved' : 'copied'
  const tell: Announce | null =
    announce &&
    ((change, ...about) => {
      const isCopy = change.type === 'recorded' || change.type === 'replaced'
      if (!isCopy || change.file.owner === null) return announce(change, ...about)
      const source = { bucket: call.source.alias, key: from }
      return announce({ type, file: change.file, from: source }, ...about)
    })
  const isExpected = (head: ObjectHead) => isSameObject(head, stored)
  const request = { key: to, name, owner, isExpected }
  return recordUpload(placeOf(c, call.target, tell), request)
}

const incomplete = (): ApiError =>
  new ApiError('storage_error', 'The bucket does not have the complete copy.')

/**
 * Deletes a copy whose size and type nobody has checked: the source was replaced meanwhile, and the
 * condition on its ETag doesn't cover its type.
 */
async function dropCopy(c: AppContext, target: Bucket, key: ObjectKey): Promise<void> {
  const purge = (purged: readonly ObjectKey[]) => purgeCopies(c, target, purged)
  const removal = { index: fileIndexOf(c), purge, announce: announcerOf(c) }
  const failures = await removeFiles(target, [{ key }], removal, timeOf(c))
  if (failures.has(key)) throw failures.get(key)
}

const copyDropped = (): ApiError =>
  new ApiError('file_replaced', 'The source was replaced, so its copy was deleted. Send it again.')

/** Throws `file_replaced` unless the source still is what was seen. */
async function requireUnchanged(
  c: AppContext,
  source: Bucket,
  from: ObjectKey,
  seen: ObjectHead,
): Promise<void> {
  const head = await headObject(source, from, timeOf(c))
  if (head === null || !isSameObject(head, seen)) throw sourceReplaced()
}

/**
 * Deletes the sources of moves, with their records. Right before that, looks once more at sources and
 * targets. A source that is gone by now gets no DELETE.
 */
async function dropSources(
  work: Work,
  copied: readonly Copied[],
  failures: Failures,
): Promise<void> {
  const { c, call, stale } = work
  const { source, target } = call
  const byFile = new Map(copied.map((copy) => [copy.file, copy]))
  const looked = await each([...byFile.keys()], failures, async (file) => {
    const copy = byFile.get(file)
    return { file, isGone: copy !== undefined && (await lookAgain(work, copy)) === null }
  })
  const gone = new Set(looked.filter(({ isGone }) => isGone).map(({ file }) => file.from))
  const purge = async (keys: readonly ObjectKey[]): Promise<void> => {
    const isOneBucket = source.alias === target.alias
    await purgeCopies(c, source, isOneBucket ? [...new Set([...keys, ...stale])] : keys)
    if (isOneBucket) stale.clear()
  }
  const files = looked.map(({ file }) => {
    const etag = source.conditionalDelete ? byFile.get(file)?.seen?.etag : undefined
    return { key: file.from, etag }
  })
  const refused = await removeAll(c, source, files, { isAsked: true, isOne: true, gone, purge })
  for (const { file } of looked) {
    const error = refused.get(file.from)
    const isOther = error instanceof ApiError && error.code === 'precondition_failed'
    if (refused.has(file.from)) failures.set(file, isOther ? sourceReplaced() : error)
  }
}

/** Returns the source, or null if it is gone. Throws unless it may be deleted. */
async function lookAgain(
  { c, call }: Work,
  { file, seen, stored, wasVacant }: Copied,
): Promise<ObjectHead | null> {
  const head = await headObject(call.source, file.from, timeOf(c), true)
  const there = await headObject(call.target, file.to, timeOf(c), true)
  if (head !== null && !(seen !== null && isSameObject(head, seen))) throw sourceReplaced()
  if (there === null || !isSameObject(there, stored)) throw fileReplaced()
  // A server may take two keys for one, and two names for one bucket.
  const isOne = folded(file.from) === folded(file.to) && head !== null && isSameObject(head, there)
  if (isOne && !wasVacant)
    throw new ApiError(
      'object_exists',
      'Both keys may name one object on this server, so the source was not deleted.',
    )
  return head
}

/** Returns the error for an object that no server copies in one request, with what does. */
function tooLarge(
  { kind, source, target }: CopyCall,
  { from, to }: FileToCopy,
  name: string,
): ApiError {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
  const at = (bucket: Bucket, key: ObjectKey) => quoted(`s3://${bucket.name}/${key}`)
  const endpoint = serverUrl({ ...source.publicAddress, name: source.name })
  const command = `aws s3 ${kind === 'move' ? 'mv' : 'cp'} ${at(source, from)} ${at(target, to)} --endpoint-url ${endpoint}`
  const body = JSON.stringify({ key: to, name, bucket: target.alias })
  return new ApiError(
    'file_too_large',
    `A bucket copies up to 5 GB in one request. Run: ${command} (or rclone). Then record the new key: POST /files with ${body}`,
  )
}
