import { requireKey, requireUpload } from '../../access/principal.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { bucketsAt, bucketUrl, serverUrl } from '../../bucket/bucket-url.ts'
import { requireSpelling } from '../../bucket/key-spelling.ts'
import { MAX_OBJECT_BYTES, UPLOAD_MARK } from '../../bucket/limits.ts'
import type { UploadFields } from '../../bucket/upload-fields.ts'
import type { Allowance } from '../../core/allowance.ts'
import { announcerOf, placeOf } from '../../core/announce.ts'
import { askToDelete, askToDownload } from '../../core/ask-app.ts'
import { KeyHold } from '../../core/key-hold.ts'
import { purgeCopies, purgeReplaced } from '../../core/purge.ts'
import { type Announce, isSameFile, isSameUpload, keptRecord } from '../../core/reconcile.ts'
import { fileReplaced, objectNotFound, type Recorded, recordUpload } from '../../core/record.ts'
import { removeAll } from '../../core/remove.ts'
import { planUpload, startUpload } from '../../core/uploads.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { extendDeadline, fileIndexOf, timeOf } from '../../http/deadline.ts'
import { nameInKey } from '../../keys/new-key.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { type FileRecord, isConfirmed } from '../../records/file-record.ts'
import { headObject, type ObjectHead } from '../../storage/object.ts'
import { objectExists, unquoted } from '../../storage/s3.ts'
import { mayHaveHappened } from '../../storage/storage-failure.ts'
import { copyHeaders, hasTypeOf, plainType } from './copy-headers.ts'
import { type CopiedBuckets, type Journal, Journals } from './journal.ts'
import { copyObject, sourceReplaced } from './s3.ts'
import {
  folded,
  isSameObject,
  type ObjectIdentity,
  requireOneServer,
  requireOther,
} from './same-object.ts'

/** What all files of a call have in common. The buckets have the limits of the caller. */
export interface CopyCall extends CopiedBuckets {
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
const REQUESTS = { copy: 10, move: 15 } as const

/** S3 and R2 copy up to 5 GB in one request. */
const MAX_COPY_BYTES = 5_000_000_000

/** In this time, a call sends all requests for the keys that it holds. CopyObject may take 120 seconds. */
const SENDING_SECONDS = 140

/** A file of a call whose source is there. */
interface Found {
  readonly file: FileToCopy
  readonly seen: ObjectHead
  /** What was noted about an earlier request for the same. */
  readonly earlier: Journal | null
}

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

interface Names {
  readonly name: string
  readonly owner: string
}

/** What became of a file. */
export type Outcome = { readonly recorded: Recorded } | { readonly error: unknown }

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
  const copying = new Copying(c, call)
  const admitted = await copying.each(files, async (file) => {
    await admit(c, call, file)
    return file
  })
  // Even if the client disconnects, since others wait for these keys.
  const working = copying.copyAll(admitted)
  c.executionCtx.waitUntil(working)
  await working
  return copying.outcomes
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
  requireOneServer(source, target)
  requireOther(source, from, target, to)
  if (kind === 'move') requireLocks(c)
  // A webhook without a queue is a request too. A move has two events.
  const events = (c.env.instance.after?.requests ?? 0) * (kind === 'move' ? 2 : 1)
  if (!allowance.take(REQUESTS[kind] + events))
    throw new ApiError('unavailable', 'This call had no time left for this file. Send it again.', {
      reason: 'storage',
      retryAfterSeconds: 1,
    })
  // Counts only a file that is started. The client sends the others again.
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

/** The files of a call that are copied at once. */
class Copying {
  readonly outcomes = new Map<FileToCopy, Outcome>()
  readonly #c: AppContext
  readonly #call: CopyCall
  readonly #hold: KeyHold
  readonly #journals: Journals
  /** Targets that may have edge copies of another object. */
  readonly #stale = new Set<ObjectKey>()

  constructor(c: AppContext, call: CopyCall) {
    this.#c = c
    this.#call = call
    this.#hold = new KeyHold(c)
    this.#journals = new Journals(this.#hold, call)
  }

  /** Returns the results of a step for each file, without those that fail. */
  async each<T>(
    files: readonly FileToCopy[],
    step: (file: FileToCopy) => Promise<T>,
  ): Promise<T[]> {
    const results: T[] = []
    const steps = files.map(async (file) => {
      try {
        results.push(await step(file))
      } catch (error) {
        this.#fail(file, error)
      }
    })
    await Promise.all(steps)
    return results
  }

  #fail(file: FileToCopy, error: unknown): void {
    this.outcomes.set(file, { error })
    this.#hold.keepAfter(error, [file.from, file.to])
  }

  /** Copies, and for a move deletes the sources. Never rejects: `outcomes` has the errors. */
  async copyAll(files: readonly FileToCopy[]): Promise<void> {
    const { kind, source, target } = this.#call
    try {
      extendDeadline(this.#c, SENDING_SECONDS)
      await this.#hold.take(
        files.flatMap(({ from, to }) => [[source, from] as const, [target, to] as const]),
      )
      const copied = await this.each(files, (file) => this.#copy(file))
      if (kind === 'move') await this.#dropSources(copied)
      for (const { file, recorded } of copied)
        if (!this.outcomes.has(file)) this.outcomes.set(file, { recorded })
      if (this.#stale.size > 0) await purgeReplaced(this.#c, target, [...this.#stale])
    } catch (error) {
      for (const file of files) if (!this.outcomes.has(file)) this.#fail(file, error)
    } finally {
      await this.#hold.release()
    }
  }

  get #now(): Date {
    return timeOf(this.#c)
  }

  /** Copies an object, unless an earlier request has done that, and records it. */
  async #copy(file: FileToCopy): Promise<Copied> {
    const { source, target } = this.#call
    this.#hold.require(source, file.from)
    this.#hold.require(target, file.to)
    const seen = await headObject(source, file.from, this.#now)
    const earlier = await this.#journals.earlier(file, seen)
    if (seen === null) return this.#finish(file, earlier)
    if (file.etag !== undefined && unquoted(file.etag) !== unquoted(seen.etag))
      throw sourceReplaced()
    await askToDownload(this.#c, source, file.from, 'copy')
    await this.#askToDelete(file)
    const names = await this.#namesOf(file, seen)
    if (seen.size > MAX_COPY_BYTES) throw tooLarge(this.#call, file, names.name)
    const upload = {
      key: file.to,
      overwrite: file.overwrite,
      fileName: names.name,
      size: seen.size,
      mimetype: plainType(seen.mimetype),
    }
    const ready = await planUpload(this.#c, target, upload, MAX_OBJECT_BYTES)
    return startUpload(this.#c, ready, async ({ key, file: changed }) => {
      // A repeat names the client's own key.
      if (key !== file.to)
        throw new ApiError('forbidden', 'This app chooses the key of a file. Upload it instead.')
      const wanted = { ...names, name: changed.fileName }
      const allowed = { ...withoutProof(changed), overwrite: changed.overwrite ?? false }
      return this.#copyAndRecord({ file, seen, earlier }, allowed, wanted)
    })
  }

  async #askToDelete({ from: key }: FileToCopy): Promise<void> {
    const { kind, source } = this.#call
    if (kind === 'move') await askToDelete(this.#c, { type: 'delete', bucket: source.alias, key })
  }

  /** A moved file keeps its owner. A copy is the caller's. */
  async #namesOf(file: FileToCopy, object: Pick<ObjectHead, 'etag' | 'size'>): Promise<Names> {
    const { kind, source } = this.#call
    const known = await this.#fileOf(source.alias, file.from, object)
    const owner = (kind === 'move' ? known?.owner : null) ?? this.#c.get('principal').id
    return { name: file.name ?? known?.name ?? nameInKey(file.to), owner }
  }

  /** Returns the record of an object, or its kept one, or null. One that was copied in place has another date. */
  async #fileOf(
    alias: string,
    key: ObjectKey,
    object: Pick<ObjectHead, 'etag' | 'size'>,
  ): Promise<FileRecord | null> {
    const index = fileIndexOf(this.#c)
    const known = await index.get(alias, key)
    const own = known !== null && isSameFile(known, object) ? known : null
    if (own !== null && isConfirmed(own)) return own
    const kept = await keptRecord(index, alias, key, this.#now)
    return kept !== null && isSameFile(kept.record, object) ? kept.record : own
  }

  /** Returns the record of this object, or null. */
  async #recordOf(
    { alias }: Bucket,
    key: ObjectKey,
    object: ObjectIdentity,
  ): Promise<FileRecord | null> {
    const known = await fileIndexOf(this.#c).get(alias, key)
    return known !== null && isSameUpload(known, object) ? known : null
  }

  /** Looks at the target, and copies unless an earlier request has done that. */
  async #copyAndRecord(
    found: Found,
    changed: UploadFields & { readonly overwrite: boolean },
    names: Names,
  ): Promise<Copied> {
    const { file, seen, earlier } = found
    const { source, target } = this.#call
    const { from, to } = file
    // In the bucket that has just shown the source, a missing object needs no second request.
    const there = await headObject(target, to, this.#now, source === target)
    if (there !== null && earlier?.target && isSameObject(earlier.target, there)) {
      const { wasVacant } = earlier
      if (!wasVacant) this.#stale.add(to)
      const recorded = await this.#recordEarlier(file, names, there)
      return { file, recorded, seen, stored: there, wasVacant }
    }
    const isUnanswered = there !== null && (await this.#mayBeUnanswered(found, there))
    if (there !== null && !changed.overwrite && !isUnanswered) throw objectExists()
    const wasVacant = there === null || isUnanswered
    const object = { bucket: source, key: from, etag: seen.etag }
    const headers = await copyHeaders({ ...object, ...seen }, target, changed, this.#now)
    await this.#journals.note(file, { source: seen, wasVacant, target: null })
    if (there !== null || changed.overwrite) this.#stale.add(to)
    const isNew = !changed.overwrite && !isUnanswered
    const stored = await this.#copyOnce(found, there, { headers, isNew })
    await this.#journals.note(file, { source: seen, wasVacant, target: stored })
    const recorded = await this.#record(file, names, stored)
    // The record of an object that is gone.
    if (recorded.replaces) this.#stale.add(to)
    return { file, recorded, seen, stored, wasVacant }
  }

  /**
   * Tells whether the object under the target's key is that of an earlier request for the same, which found
   * no object there, and got no answer to its copy. It may be an upload that nobody has recorded yet: so it
   * is copied again, not taken for the copy.
   */
  async #mayBeUnanswered({ file, seen, earlier }: Found, there: ObjectHead): Promise<boolean> {
    if (earlier === null || !earlier.wasVacant || earlier.target !== null) return false
    if (there.size !== seen.size || !hasTypeOf(seen, there.mimetype)) return false
    return !(await this.#isSomebodys(file.to))
  }

  /** Tells whether an alias of the bucket has a record of a person under the target's key, also a kept one. */
  async #isSomebodys(key: ObjectKey): Promise<boolean> {
    const index = fileIndexOf(this.#c)
    const { buckets } = this.#c.get('settings')
    for (const bucket of bucketsAt(buckets, bucketUrl(this.#call.target))) {
      const known = await index.get(bucket.alias, key)
      if (known !== null && isConfirmed(known)) return true
      if ((await keptRecord(index, bucket.alias, key, this.#now)) !== null) return true
    }
    return false
  }

  /** Records what an earlier request has copied, unless it has recorded it already. */
  async #recordEarlier(file: FileToCopy, names: Names, stored: ObjectIdentity): Promise<Recorded> {
    const { kind, target } = this.#call
    const known = await this.#recordOf(target, file.to, stored)
    if (known === null || !isConfirmed(known)) return this.#record(file, names, stored)
    if (kind === 'copy' && known.owner !== names.owner) throw objectExists()
    return { record: known, replaces: false, data: undefined }
  }

  /**
   * Finishes a request whose source is gone, as an earlier one has noted it: records the target, unless
   * that is done. Throws `object_not_found` without such a note, or if the target is another object by now.
   */
  async #finish(file: FileToCopy, earlier: Journal | null): Promise<Copied> {
    if (!earlier?.target) throw objectNotFound()
    const { source, target, wasVacant } = earlier
    const there = await headObject(this.#call.target, file.to, this.#now)
    const isAsked = file.etag === undefined || unquoted(file.etag) === unquoted(source.etag)
    if (!isAsked || there === null || !isSameObject(there, target)) throw objectNotFound()
    await this.#askToDelete(file)
    const of = { etag: source.etag, size: there.size }
    const recorded = await this.#recordEarlier(file, await this.#namesOf(file, of), there)
    return { file, recorded, seen: null, stored: there, wasVacant }
  }

  /**
   * Copies an object in one request. Resolves with the copy after the bucket has shown all of it. `there`
   * was under its key before. Throws `file_replaced` if the source or the copy is replaced meanwhile.
   */
  async #copyOnce(
    { file: { from, to }, seen }: Found,
    there: ObjectHead | null,
    options: { readonly headers: Readonly<Record<string, string>>; readonly isNew: boolean },
  ): Promise<ObjectHead> {
    const { source, target } = this.#call
    const object = { bucket: source, key: from, etag: seen.etag }
    const etag = await copyObject(object, target, to, options, this.#now).catch(
      async (error: unknown) => {
        if (mayHaveHappened(error)) this.#stale.add(to)
        // The condition on the source may be what failed.
        if (error instanceof ApiError && error.code === 'object_exists')
          await this.#requireUnchanged(from, seen)
        throw error
      },
    )
    const stored = await headObject(target, to, this.#now)
    if (stored === null) throw incomplete()
    if (stored.size !== seen.size || !hasTypeOf(seen, stored.mimetype)) {
      // One object under two spellings must not be deleted.
      const mayBeSource = source.name === target.name && folded(from) === folded(to)
      if (etag !== stored.etag || mayBeSource) throw incomplete()
      return this.#dropCopy(to)
    }
    if (etag !== null && etag !== stored.etag) throw fileReplaced()
    // ETags of encrypted objects, and of those in parts, can't be compared. The server must then have
    // returned the ETag of a new object, since some servers only claim to have copied. Some ignore the
    // condition on the source.
    if (stored.etag !== seen.etag) {
      if (etag === null || (there !== null && isSameObject(stored, there))) throw incomplete()
      await this.#requireUnchanged(from, seen)
    }
    return stored
  }

  /** Records the copy, and announces it with its source. Throws `file_replaced` for another object. */
  #record({ from, to }: FileToCopy, names: Names, stored: ObjectIdentity): Promise<Recorded> {
    const { kind, source, target } = this.#call
    const announce = announcerOf(this.#c)
    const type = kind === 'move' ? 'moved' : 'copied'
    const tell: Announce | null =
      announce &&
      ((change, ...about) => {
        const isCopy = change.type === 'recorded' || change.type === 'replaced'
        if (!isCopy || change.file.owner === null) return announce(change, ...about)
        const place = { bucket: source.alias, key: from }
        return announce({ type, file: change.file, from: place }, ...about)
      })
    const isExpected = (head: ObjectHead) => isSameObject(head, stored)
    return recordUpload(placeOf(this.#c, target, tell), { key: to, ...names, isExpected })
  }

  /**
   * Deletes a copy whose size and type nobody has checked: the source was replaced meanwhile, and the
   * condition on its ETag doesn't cover its type.
   */
  async #dropCopy(key: ObjectKey): Promise<never> {
    const how = { isAsked: true, isOne: true, isHeld: true }
    const failures = await removeAll(this.#c, this.#call.target, [{ key }], how)
    if (failures.has(key)) throw failures.get(key)
    const message = 'The source was replaced, so its copy was deleted. Send it again.'
    throw new ApiError('file_replaced', message)
  }

  /** Throws `file_replaced` unless the source still is what was seen. */
  async #requireUnchanged(from: ObjectKey, seen: ObjectHead): Promise<void> {
    const head = await headObject(this.#call.source, from, this.#now)
    if (head === null || !isSameObject(head, seen)) throw sourceReplaced()
  }

  /**
   * Deletes the sources of moves, with their records. Right before that, looks once more at sources and
   * targets. A source that is gone by now gets no DELETE.
   */
  async #dropSources(copied: readonly Copied[]): Promise<void> {
    const { source, target } = this.#call
    const byFile = new Map(copied.map((copy) => [copy.file, copy]))
    const gone = new Set<ObjectKey>()
    const looked = await this.each([...byFile.keys()], async (file) => {
      const copy = byFile.get(file)
      if (copy !== undefined && (await this.#lookAgain(copy)) === null) gone.add(file.from)
      return file
    })
    const purge = async (keys: readonly ObjectKey[]): Promise<void> => {
      const isOneBucket = source.alias === target.alias
      await purgeCopies(
        this.#c,
        source,
        isOneBucket ? [...new Set([...keys, ...this.#stale])] : keys,
      )
      if (isOneBucket) this.#stale.clear()
    }
    const files = looked.map((file) => {
      const etag = source.conditionalDelete ? byFile.get(file)?.seen?.etag : undefined
      return { key: file.from, etag }
    })
    const how = { isAsked: true, isOne: true, isHeld: true, gone, purge }
    const refused = await removeAll(this.#c, source, files, how)
    for (const file of looked) {
      const error = refused.get(file.from)
      const isOther = error instanceof ApiError && error.code === 'precondition_failed'
      if (refused.has(file.from)) this.#fail(file, isOther ? sourceReplaced() : error)
    }
  }

  /** Returns the source, or null if it is gone. Throws unless it may be deleted. */
  async #lookAgain({ file, seen, stored, wasVacant }: Copied): Promise<ObjectHead | null> {
    const { source, target } = this.#call
    const head = await headObject(source, file.from, this.#now, true)
    const there = await headObject(target, file.to, this.#now, true)
    if (head !== null && !(seen !== null && isSameObject(head, seen))) throw sourceReplaced()
    if (there === null || !isSameObject(there, stored)) throw fileReplaced()
    // A server may take two keys for one, and two names for one bucket.
    const isOne =
      folded(file.from) === folded(file.to) && head !== null && isSameObject(head, there)
    if (isOne && !wasVacant)
      throw new ApiError(
        'object_exists',
        'Both keys may name one object on this server, so the source was not deleted.',
      )
    return head
  }
}

/** The call itself records the copy. Without other metadata from the app, it keeps the source's. */
function withoutProof<File extends UploadFields>(file: File): File {
  const { [UPLOAD_MARK]: proof, ...metadata } = file.metadata ?? {}
  if (proof === undefined) return file
  return { ...file, metadata: Object.keys(metadata).length > 0 ? metadata : undefined }
}

const incomplete = (): ApiError =>
  new ApiError('storage_error', 'The bucket does not have the complete copy.')

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
