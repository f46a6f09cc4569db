import { NO_LIMITS } from '../../access/limits.ts'
import type { Principal } from '../../access/principal.ts'
import { provesUpload } from '../../access/upload-proof.ts'
import { sixAtOnce } from '../../bucket/at-once.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { openBucket } from '../../bucket/credential-source.ts'
import { findBucket } from '../../bucket/find-bucket.ts'
import { type Announce, isSameUpload, toRecord } from '../../core/reconcile.ts'
import { recordUpload } from '../../core/record.ts'
import { removeFiles } from '../../core/remove.ts'
import { asApiError } from '../../errors/api-error.ts'
import { inTime } from '../../errors/deadline.ts'
import { describe } from '../../errors/describe.ts'
import { logWarning } from '../../errors/warnings.ts'
import type { Instance } from '../../http/app-env.ts'
import { nameInKey } from '../../keys/new-key.ts'
import { type ObjectKey, parseObjectKey } from '../../keys/object-key.ts'
import { actorOf } from '../../records/file-event.ts'
import { type FileIndex, timedIndex } from '../../records/file-index.ts'
import { type FileRecord, isConfirmed } from '../../records/file-record.ts'
import { requireSettings } from '../../settings/define.ts'
import type { Ledger, Upload } from '../../state/ledger.ts'
import { type Received, senderIn } from '../../state/reservation.ts'
import {
  abortMultipartUpload,
  completeMultipartUpload,
  listParts,
  listUploads,
} from '../../storage/multipart.ts'
import { headObject, type ObjectHead } from '../../storage/object.ts'
import { principalOf, type StoredBox } from './box.ts'

/** Where background work of an object runs. */
export type Context = Parameters<Instance['objects']>[0]

/** Each needs up to ten requests. Cloudflare's free plan allows 50 in one run. */
const RECHECKS_AT_ONCE = 5
/** How often a recheck tries to complete an upload before it aborts it. */
const COMPLETE_TRIES = 10

/** One run of the alarm. */
interface Run {
  readonly instance: Instance
  readonly context: Context
  readonly now: Date
}

/**
 * Asks the bucket about the keys that are due: unfinished uploads are aborted, and what arrived is counted and
 * recorded, or deleted if there is no room for it. An object that no sender of this box uploaded counts as
 * absent. A failure only postpones.
 */
export async function recheck(
  ledger: Ledger<StoredBox>,
  box: StoredBox,
  instance: Instance,
  context: Context,
  now: Date,
): Promise<void> {
  await sixAtOnce(ledger.due(RECHECKS_AT_ONCE, now.getTime()), async (due) => {
    try {
      await recheckKey(ledger, box, due, { instance, context, now })
    } catch (error) {
      logWarning('files not recorded', { principal: principalOf(box.id), reason: describe(error) })
      ledger.failed(due, now.getTime())
    }
  })
}

/**
 * Aborts every upload in parts of a key, which the bucket keeps and counts until then: those that it
 * lists, and the one that is known, since not every server lists them. Returns the object of the key: one
 * of them may be complete. Throws `storage_error`, `unavailable` and `not_supported`.
 */
export async function abortUploads(
  bucket: Bucket,
  key: ObjectKey,
  known: string | null,
  now: Date,
): Promise<ObjectHead | null> {
  const listed = await listUploads(bucket, key, now).catch((error: unknown) => {
    if (asApiError(error)?.code !== 'not_supported') throw error
    return []
  })
  for (const s3UploadId of new Set([...listed, ...(known === null ? [] : [known])]))
    await abortMultipartUpload({ bucket, key, s3UploadId }, now)
  return headObject(bucket, key, now)
}

/** Completes an upload whose sender has sent all parts, and has gone. */
async function finish(bucket: Bucket, key: ObjectKey, hold: Upload, now: Date): Promise<void> {
  const { s3_upload: s3UploadId, size } = hold
  if (s3UploadId === null) return
  const upload = { bucket, key, s3UploadId }
  const parts = await listParts(upload, now).catch((error: unknown) => {
    if (!/^(?:not_supported|upload_not_found)$/.test(asApiError(error)?.code ?? '')) throw error
    return []
  })
  if (parts.reduce((sum, part) => sum + part.size, 0) === size)
    await completeMultipartUpload(upload, parts, now)
}

/** Looks at one key, and tells the ledger. */
async function recheckKey(
  ledger: Ledger<StoredBox>,
  box: StoredBox,
  hold: Upload,
  { instance, context, now }: Run,
): Promise<void> {
  const settings = requireSettings(await instance.ready(instance.settings))
  if (settings.signingSecrets[0].name !== box.instance)
    throw new Error(`No presigner of dropBoxesObject() has the name "${box.instance}".`)
  const configured = findBucket(settings, box.bucket)
  const bucket = await openBucket(configured, now, context)
  const index = timedIndex(instance.fileIndex, now, instance.appMilliseconds)
  const key = parseObjectKey(hold.key)
  const owner = principalOf(box.id)
  const announce = announcerOf(owner, index, { instance, context, now })
  if (/^(?:open|rechecking)$/.test(hold.state) && hold.tries < COMPLETE_TRIES)
    await finish(bucket, key, hold, now)
  // Also after a file has arrived: another start of it may have begun in that moment.
  const head = await abortUploads(bucket, key, hold.s3_upload, now)
  const isProven = await provesUpload(settings, { bucket: box.bucket, key, owner }, head?.mark)
  // The app may have changed a file in place.
  if (head === null || !isProven || head.size !== hold.size)
    return ledger.rechecked(hold, now.getTime())
  const file = toRecord(bucket, key, nameInKey(key), owner, head)
  const isRefused =
    (hold.state !== 'kept' || box.isErased) &&
    !(await ledger.settle({ ...file, at: head.lastModified.getTime() }, now.getTime())).ok
  const kept = ledger.upload(hold.key) ?? hold
  if (isRefused) {
    const purge = (keys: readonly ObjectKey[]) => instance.objects(context).purge(configured, keys)
    const failures = await removeFiles(bucket, [{ key }], { index, purge, announce }, now)
    if (failures.has(key)) throw failures.get(key)
    return ledger.rechecked(kept, now.getTime())
  }
  const known = await index.get(bucket.alias, key)
  if (known === null || !isConfirmed(known) || !isSameUpload(known, head)) {
    const isExpected = (seen: ObjectHead) => seen.etag === head.etag
    const request = { key, name: file.name, owner, isExpected }
    await recordUpload({ bucket, index, announce, purge: null, now }, request)
  }
  if (kept.told === 0) {
    const { country } = kept
    await tell(box, file, { sender: senderIn(kept.sender), country }, instance, context)
    ledger.told(key)
  }
  ledger.rechecked(kept, now.getTime())
}

/** Returns what tells the app, or null if nobody listens. */
function announcerOf(
  id: string,
  index: FileIndex,
  { instance, context, now }: Run,
): Announce | null {
  const { after, seams, appMilliseconds } = instance
  if (after === null && seams.settle.length === 0) return null
  const principal: Principal = {
    kind: 'token',
    id,
    scopes: [],
    prefix: '',
    expiresAt: now.getTime(),
    limits: NO_LIMITS,
    context: null,
  }
  return async (change, about, at = new Date()) => {
    for (const settle of seams.settle)
      await inTime(appMilliseconds, now, () => settle(change, { principal, index }))
    return after?.({ ...change, ...actorOf({ id, context: null }) }, about, at, context)
  }
}

/** Sends the event of a file that a box has received. Its actor is the creator of the box. */
export async function tell(
  { id, title, owner }: StoredBox,
  file: FileRecord,
  { sender, country }: Pick<Received, 'sender' | 'country'>,
  { after }: Instance,
  context: Context,
): Promise<void> {
  const received = {
    type: 'received',
    file,
    dropBox: { id, label: title },
    sender,
    country,
  } as const
  await after?.({ ...received, ...actorOf(owner) }, file, new Date(), context)
}
