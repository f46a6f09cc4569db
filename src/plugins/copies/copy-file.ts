import { requireKey, requireUpload } from '../../access/principal.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { requireSpelling } from '../../bucket/key-spelling.ts'
import { MAX_OBJECT_BYTES, UPLOAD_MARK } from '../../bucket/limits.ts'
import type { UploadFields } from '../../bucket/upload-fields.ts'
import type { Allowance } from '../../core/allowance.ts'
import { announcerOf, placeOf } from '../../core/announce.ts'
import { askToDelete, askToDownload } from '../../core/ask-app.ts'
import { askAboutStep } from '../../core/change.ts'
import { newUpload } from '../../core/new-upload.ts'
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
import { noFileIndex } from '../../records/file-index.ts'
import { type FileRecord, isConfirmed } from '../../records/file-record.ts'
import { headObject, type ObjectHead } from '../../storage/object.ts'
import { objectExists, unquoted } from '../../storage/s3.ts'
import { copyHeaders, hasTypeOf } from './copy-headers.ts'
import { beginParts, type CopySizes, copyParts, dropParts } from './copy-parts.ts'
import { type CopyInParts, type CopyScope, openCopy, sealCopy } from './cursor.ts'
import { type CopySource, copyObject, sourceReplaced } from './s3.ts'
import { folded, mayBeOne, requireOneServer, requireOther } from './same-object.ts'

/** What all files of a call have in common. The buckets have the limits of the caller. */
export interface CopyCall {
  readonly kind: CopyScope['kind']
  readonly source: Bucket
  readonly target: Bucket
  readonly sizes: CopySizes
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
  /** From the response to the call that this one continues. */
  readonly cursor?: string | undefined
}

/** A large copy that needs more calls. Sizes are in bytes. */
export interface Unfinished {
  readonly cursor: string
  readonly copied: number
  readonly size: number
}

/** The most requests to buckets for one file. A copy in parts needs up to four more, and one for each part. */
const REQUESTS = { copy: 9, move: 15 } as const

/**
 * Copies an object and records the copy. For a move, then deletes the source, with its record and
 * edge copies: only after the bucket has shown the copy, and only if the source still is what was
 * copied. So a move that fails leaves both, and a repeat finishes it. Asks the app and the plugins'
 * checks about the upload, and about the delete, before anything changes. Throws their errors,
 * `invalid_request` for a copy onto itself, `object_not_found` for a missing source, `object_exists`,
 * `file_replaced`, and `storage_busy` if the call may send no more requests.
 */
export async function copyFile(
  c: AppContext,
  call: CopyCall,
  file: FileToCopy,
): Promise<Recorded | Unfinished> {
  const { kind, source, target, allowance } = call
  const { from, to, etag, cursor } = file
  const principal = c.get('principal')
  requireKey(principal, 'files:read', from)
  if (kind === 'move') requireKey(principal, 'files:delete', from)
  requireUpload(principal, to, { overwrite: file.overwrite ?? false })
  requireSpelling(source, from)
  requireSpelling(target, to)
  requireChoice(to)
  requireOneServer(source, target)
  requireOther(source, from, target, to)
  // Plus the request of one part, if this continues a copy: others of the call may use up the rest.
  if (!allowance.take(REQUESTS[kind] + (cursor === undefined ? 0 : 1)))
    throw new ApiError('storage_busy', 'This call had no time left for this file. Send it again.', {
      retryAfterSeconds: 1,
    })
  // Not before, since a file that isn't started is sent again.
  await call.count()
  const seen = await headObject(source, from, timeOf(c))
  if (seen === null) {
    if (kind === 'move') return finishMove(c, call, file)
    throw objectNotFound()
  }
  if (etag !== undefined && unquoted(etag) !== unquoted(seen.etag)) throw sourceReplaced()
  const done =
    cursor === undefined
      ? await afterDisconnect(c, startCopy(c, call, file, seen))
      : await continueCopy(c, call, file, seen, cursor)
  if ('cursor' in done) return done
  const { record, wasVacant } = done
  // The app may have let it replace an object, which may have no record.
  if (file.overwrite || done.replaces || !wasVacant) await purgeReplaced(c, target, [record.key])
  if (kind === 'move') await dropSource(c, source, from, seen, wasVacant ? null : record)
  return done
}

/** Lets `work` end even if the client disconnects, since it may have to delete the copy. */
function afterDisconnect<T>(c: AppContext, work: Promise<T>): Promise<T> {
  c.executionCtx.waitUntil(work.catch(() => undefined))
  return work
}

/** A copy that is recorded, and whether its key had no object before. */
type Copied = Recorded & { readonly wasVacant: boolean }

async function startCopy(
  c: AppContext,
  call: CopyCall,
  { from, to, overwrite, name: asked }: FileToCopy,
  seen: ObjectHead,
): Promise<Copied | Unfinished> {
  const { kind, source, target, sizes } = call
  await askAboutSource(c, call, from)
  const known = await recordOf(c, source, from, seen)
  const owner = ownerOf(c, kind, known)
  const upload = {
    ...{ key: to, overwrite, fileName: asked ?? known?.name ?? nameInKey(to), size: seen.size },
    mimetype: typeOf(seen),
  }
  return startUpload(c, target, upload, MAX_OBJECT_BYTES, async (key, file) => {
    // A repeat and a cursor name the client's own key.
    if (key !== to)
      throw new ApiError('forbidden', 'This app chooses the key of a file. Upload it instead.')
    const { overwrite = false, byApp, fileName: name } = file
    // In the bucket that has just shown the source, a missing object needs no second request.
    const there = await headObject(target, key, timeOf(c), source === target)
    const wasVacant = there === null
    if (there !== null && !overwrite) {
      if (!(await isEarlierCopy(c, call, key, owner, seen, there))) throw objectExists()
      return { ...(await recordCopy(c, call, from, key, { name, owner }, there)), wasVacant }
    }
    const object = { bucket: source, key: from, etag: seen.etag, mimetype: seen.mimetype }
    const isInParts = seen.size > sizes.wholeBytes
    const changed = withoutProof(file)
    const headers = await copyHeaders(object, target, changed, isInParts, timeOf(c))
    if (isInParts) {
      const chosen = { overwrite, byApp, name }
      const { partBytes } = sizes
      const begun = await beginParts(target, key, seen, chosen, headers, partBytes, timeOf(c))
      return advance(c, call, { from, to: key }, begun, owner)
    }
    const stored = await copyAtOnce(c, call, object, seen, key, there, headers, !overwrite)
    return { ...(await recordCopy(c, call, from, key, { name, owner }, stored)), wasVacant }
  })
}

/**
 * Copies an object in one request. Resolves with the copy after the bucket has shown all of it. `there` is what
 * was under `key` before. Throws `file_replaced` if the source or the copy is replaced meanwhile.
 */
async function copyAtOnce(
  c: AppContext,
  { source, target }: CopyCall,
  object: CopySource,
  seen: ObjectHead,
  key: ObjectKey,
  there: ObjectHead | null,
  headers: Readonly<Record<string, string>>,
  isNew: boolean,
): Promise<ObjectHead> {
  const { key: from } = object
  const copying = copyObject(object, target, key, { headers, isNew }, timeOf(c))
  const etag = await copying.catch(async (error: unknown) => {
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
  // returned the ETag of the copy, since some servers only claim to have copied. Some ignore the
  // condition on the source.
  if (stored.etag !== seen.etag) {
    const isOlder = there?.size === stored.size && isSameObject(stored, there)
    if (etag === null || isOlder) throw incomplete()
    await requireUnchanged(c, source, from, seen)
  }
  return stored
}

/** AWS stores `binary/octet-stream` for a form without a type. */
const typeOf = ({ mimetype }: ObjectHead): string => mimetype.replace(/^binary\//, 'application/')

/** Asks the app whether the source may be read, and deleted by a move. */
async function askAboutSource(
  c: AppContext,
  { kind, source }: CopyCall,
  from: ObjectKey,
): Promise<void> {
  await askToDownload(c, source, from, 'copy')
  if (kind === 'move') await askToDelete(c, { type: 'delete', bucket: source.alias, key: from })
}

/** The call itself records the copy. Without other metadata from the app, it keeps the source's. */
function withoutProof(file: UploadFields): UploadFields {
  const { [UPLOAD_MARK]: proof, ...metadata } = file.metadata ?? {}
  if (proof === undefined) return file
  return { ...file, metadata: Object.keys(metadata).length > 0 ? metadata : undefined }
}

/** Continues a copy in parts. The call that began it has asked about the upload. */
async function continueCopy(
  c: AppContext,
  call: CopyCall,
  file: FileToCopy,
  seen: ObjectHead,
  cursor: string,
): Promise<Copied | Unfinished> {
  const copy = await openCopy(c.get('settings'), scopeOf(c, call, file), cursor, timeOf(c))
  requireUpload(c.get('principal'), file.to, copy)
  // Parts of two objects must not become one, and another object must not be deleted.
  if (seen.etag !== copy.etag) {
    await dropParts(call.target, file.to, copy, timeOf(c))
    throw sourceReplaced()
  }
  const { kind, source, target } = call
  const step = { type: 'parts', bucket: target.alias, key: file.to, size: copy.size } as const
  // Days may have passed.
  const upload = { key: file.to, fileName: copy.name, mimetype: typeOf(seen), size: seen.size }
  newUpload(target, upload, '', MAX_OBJECT_BYTES, timeOf(c))
  await askAboutSource(c, call, file.from)
  await askAboutStep(c, step)
  const known = await recordOf(c, source, file.from, seen)
  return advance(c, call, file, copy, ownerOf(c, kind, known), 1)
}

/** Copies parts, `taken` of which have their requests, and records the object after the last one. */
async function advance(
  c: AppContext,
  call: CopyCall,
  { from, to }: Pick<FileToCopy, 'from' | 'to'>,
  copy: CopyInParts,
  owner: string,
  taken = 0,
): Promise<Copied | Unfinished> {
  const { source, target, allowance } = call
  const object = { bucket: source, key: from, etag: copy.etag }
  const { next: first } = copy
  const mayCopy = (partNumber: number) => partNumber < first + taken || allowance.take(1)
  const done = await copyParts(c, object, target, to, copy, mayCopy)
  if ('next' in done) {
    const { size, partSize, next } = done
    const scope = scopeOf(c, call, { from, to })
    const cursor = await sealCopy(c.get('settings'), scope, done, timeOf(c))
    return { cursor, copied: Math.min((next - 1) * partSize, size), size }
  }
  const recorded = await recordCopy(c, call, from, to, { name: copy.name, owner }, done)
  return { ...recorded, wasVacant: false }
}

const scopeOf = (
  c: AppContext,
  { kind, source, target }: CopyCall,
  { from, to }: Pick<FileToCopy, 'from' | 'to'>,
): CopyScope => ({
  ...{ kind, principal: c.get('principal').id },
  ...{ from: [source.alias, from], to: [target.alias, to] },
})

/** Returns the record of this object, or null. */
async function recordOf(
  c: AppContext,
  { alias }: Bucket,
  key: ObjectKey,
  head: ObjectHead,
): Promise<FileRecord | null> {
  const known = await fileIndexOf(c).get(alias, key)
  return known !== null && isSameUpload(known, head) ? known : null
}

/** A moved file keeps its owner. A copy is the caller's. */
const ownerOf = (c: AppContext, kind: CopyScope['kind'], known: FileRecord | null): string =>
  (kind === 'move' ? known?.owner : null) ?? c.get('principal').id

/**
 * Tells whether the object under the target's key is what an earlier call with the same request
 * stored, whose response got lost: the same object, which nobody else has recorded.
 */
async function isEarlierCopy(
  c: AppContext,
  { target }: CopyCall,
  key: ObjectKey,
  owner: string,
  seen: ObjectHead,
  there: ObjectHead,
): Promise<boolean> {
  const { etag, size, mimetype } = there
  if (etag !== seen.etag || size !== seen.size || mimetype !== seen.mimetype) return false
  // It was there before its source, so it is another file with the same bytes.
  if (there.lastModified < seen.lastModified) return false
  const known = await fileIndexOf(c).get(target.alias, key)
  // A notification of the bucket, or the upkeep, may have found the copy meanwhile.
  if (known === null || !isConfirmed(known)) return true
  return known.owner === owner && isSameUpload(known, there)
}

/**
 * Records the copy, and announces it with its source, unless it `isTold` already. Throws `file_replaced` for
 * another object.
 */
function recordCopy(
  c: AppContext,
  { kind, source, target }: Pick<CopyCall, 'kind' | 'source' | 'target'>,
  from: ObjectKey,
  key: ObjectKey,
  { name, owner }: { readonly name: string; readonly owner: string },
  stored: ObjectHead,
  isTold = false,
): Promise<Recorded> {
  const announce = announcerOf(c)
  const type = kind === 'move' ? 'moved' : 'copied'
  const tell: Announce | null =
    announce &&
    (async (change, ...about) => {
      const isCopy = change.type === 'recorded' || change.type === 'replaced'
      if (!isCopy || change.file.owner === null) return announce(change, ...about)
      if (isTold) return undefined
      const copied = { type, file: change.file, from: { bucket: source.alias, key: from } } as const
      return announce(copied, ...about)
    })
  const isExpected = (head: ObjectHead) => isSameObject(head, stored)
  const request = { key, name, owner, isExpected }
  return recordUpload(placeOf(c, target, tell), request)
}

const incomplete = (): ApiError =>
  new ApiError('storage_error', 'The bucket does not have the complete copy.')

const isSameObject = (one: ObjectHead, other: ObjectHead): boolean =>
  one.etag === other.etag && one.lastModified.getTime() === other.lastModified.getTime()

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
 * Deletes the source of a move like `DELETE /files/:key`. First looks whether it still is what was
 * copied: `seen`, or null if it was gone already. `replaced` is the record of a target that was not
 * vacant, which may be the source itself.
 */
async function dropSource(
  c: AppContext,
  source: Bucket,
  from: ObjectKey,
  seen: ObjectHead | null,
  replaced: FileRecord | null,
): Promise<void> {
  const head = await headObject(source, from, timeOf(c), true)
  if (head !== null && !(seen !== null && isSameObject(head, seen))) throw sourceReplaced()
  if (head !== null && replaced !== null && mayBeOne(from, head, replaced))
    throw new ApiError(
      'object_exists',
      'Both keys may name one object on this server, so the source was not deleted.',
    )
  const failures = await removeAll(c, source, [{ key: from }], { isAsked: true })
  if (failures.has(from)) throw failures.get(from)
}

/**
 * Finishes a move whose source is gone: the target has it, recorded before the source was deleted.
 * Removes what is left of the source. Throws `object_not_found` if the target has another object.
 */
async function finishMove(c: AppContext, call: CopyCall, file: FileToCopy): Promise<Recorded> {
  const { source, target } = call
  const { from, to, etag, cursor } = file
  const index = fileIndexOf(c)
  const [head, left, moved] = await Promise.all([
    headObject(target, to, timeOf(c)),
    index.get(source.alias, from),
    index.get(target.alias, to),
  ])
  if (head === null) throw objectNotFound()
  const isRecorded =
    index === noFileIndex || (moved !== null && isConfirmed(moved) && isSameUpload(moved, head))
  const isOther = (known: string) => !known.includes('-') && unquoted(known) !== unquoted(head.etag)
  const copy =
    cursor === undefined
      ? null
      : await openCopy(c.get('settings'), scopeOf(c, call, file), cursor, timeOf(c))
  const isThis =
    copy === null
      ? isRecorded && !(etag && isOther(etag)) && (left === null || left.size === head.size)
      : copy.mark === head.mark
  if (!isThis) throw objectNotFound()
  await askToDelete(c, { type: 'delete', bucket: source.alias, key: from })
  const names = {
    name: moved?.name ?? copy?.name ?? nameInKey(to),
    owner: moved?.owner ?? left?.owner,
  }
  const owner = names.owner ?? c.get('principal').id
  // A move is announced before its source is deleted, and maybe this source never was there.
  const isTold = copy === null
  const recorded = await recordCopy(c, call, from, to, { name: names.name, owner }, head, isTold)
  await dropSource(c, source, from, null, null)
  return recorded
}
