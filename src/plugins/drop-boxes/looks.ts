import { NO_LIMITS, narrowBucket } from '../../access/limits.ts'
import type { Principal } from '../../access/principal.ts'
import { provesUpload } from '../../access/upload-proof.ts'
import { sixAtOnce } from '../../bucket/at-once.ts'
import type { Bucket, ConfiguredBucket } from '../../bucket/bucket.ts'
import { openBucket } from '../../bucket/credential-source.ts'
import { findBucket } from '../../bucket/find-bucket.ts'
import { requireAllowedType } from '../../core/content-type.ts'
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
import type { Settings } from '../../settings/settings.ts'
import type { Ledger, Upload } from '../../state/ledger.ts'
import type { Settled } from '../../state/reservation.ts'
import { abortMultipartUpload, listUploads } from '../../storage/multipart.ts'
import { headObject, type ObjectHead } from '../../storage/object.ts'
import { principalOf, type StoredBox } from './box.ts'

/** Where background work of an object runs. */
export type Context = Parameters<Instance['objects']>[0]

/** Each needs up to eight requests. Cloudflare's free plan allows 50 in one run. */
const LOOKS_AT_ONCE = 5

const DAY = 86_400_000

/**
 * Asks the bucket about the keys that are due: what arrived is counted and recorded, what is over the
 * limit is deleted with its record and copies, and what is absent is freed. An object that no sender
 * of this box uploaded counts as absent. A failure only postpones.
 */
export async function look(
  ledger: Ledger<StoredBox>,
  box: StoredBox,
  instance: Instance,
  context: Context,
  now: Date,
): Promise<void> {
  await sixAtOnce(ledger.due(LOOKS_AT_ONCE, now.getTime()), async (due) => {
    const hold = ledger.looking(due)
    if (hold === undefined) return
    try {
      const found = await lookAt(ledger, box, hold, instance, context, now)
      if (found !== null) ledger.looked(hold, found, now.getTime())
    } catch (error) {
      logWarning('files not recorded', { principal: principalOf(box.id), reason: describe(error) })
      ledger.looked(hold, 'failed', now.getTime())
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

/** A look at one key, and what it needs. */
interface Look {
  readonly ledger: Ledger<StoredBox>
  readonly box: StoredBox
  readonly hold: Upload
  readonly key: ObjectKey
  readonly settings: Settings
  /** With the limits of the box. */
  readonly configured: ConfiguredBucket
  readonly bucket: Bucket
  readonly index: FileIndex
  readonly instance: Instance
  readonly context: Context
  readonly now: Date
}

/** Returns what happened, or null if the ledger already has that. */
async function lookAt(
  ledger: Ledger<StoredBox>,
  box: StoredBox,
  hold: Upload,
  instance: Instance,
  context: Context,
  now: Date,
): Promise<'absent' | 'deleted' | null> {
  const settings = requireSettings(await instance.ready(instance.settings))
  if (settings.signingSecrets[0].name !== box.instance)
    throw new Error(`No presigner of dropBoxesObject() has the name "${box.instance}".`)
  const { maxBytes, allowedTypes } = box
  const limits = { maxBytes, allowedTypes, maxExpiresIn: null }
  const configured = narrowBucket(findBucket(settings, box.bucket), limits)
  const bucket = await openBucket(configured, now, context)
  const index = timedIndex(instance.fileIndex, now, instance.appMilliseconds)
  const key = parseObjectKey(hold.key)
  const at = { settings, configured, bucket, index, instance, context, now }
  const look: Look = { ledger, box, hold, key, ...at }
  const head =
    hold.parts === 1
      ? await abortUploads(bucket, key, hold.s3_upload, now)
      : await headObject(bucket, key, now)
  const isOfBox = head !== null && (await isOfSenders(look, head))
  if (hold.state === 'over' && (head === null || isOfBox)) return discard(look)
  if (head === null || !isOfBox) return 'absent'
  return isAllowed(head, bucket) ? keep(look, head) : discard(look)
}

/** Tells whether a sender has uploaded an object, and the app has not changed it since. */
async function isOfSenders(
  { ledger, box, key, settings }: Look,
  head: ObjectHead,
): Promise<boolean> {
  if (ledger.isChanged(key, head.size)) return false
  const upload = { bucket: box.bucket, key, owner: principalOf(box.id) }
  return provesUpload(settings, upload, head.mark)
}

/** Deletes the object with its record and its copies. */
async function discard(look: Look): Promise<'deleted'> {
  const { key, configured, bucket, index, instance, context, now } = look
  const purge = (keys: readonly ObjectKey[]) => instance.objects(context).purge(configured, keys)
  const announce = announcerOf(look)
  const failures = await removeFiles(bucket, [{ key }], { index, purge, announce }, now)
  if (failures.has(key)) throw failures.get(key)
  return 'deleted'
}

/** Counts an object, and records it unless that is done. Sends the events that are still to be sent. */
async function keep(look: Look, head: ObjectHead): Promise<null> {
  const { ledger, box, key, bucket, index, instance, context, now } = look
  const owner = principalOf(box.id)
  const file = toRecord(bucket, key, nameInKey(key), owner, head)
  const settled = await ledger.settle({ ...file, at: head.lastModified.getTime() }, now.getTime())
  // The next run deletes it.
  if (!settled.ok) return null
  // Counting has changed it.
  const kept = ledger.upload(key)
  const { etag } = head
  const known = await index.get(bucket.alias, key)
  const isRecorded = known !== null && isConfirmed(known) && isSameUpload(known, head)
  if (!isRecorded) {
    const isExpected = (seen: ObjectHead) => seen.etag === etag
    const request = { key, name: file.name, owner, isExpected }
    const place = { bucket, index, announce: announcerOf(look), purge: null, now }
    await recordUpload(place, request)
  }
  if (settled.isNew) {
    await tell(box, file, settled, instance, context)
    ledger.told(key, etag)
  }
  // Where the bucket lets a URL replace its object, a slow PUT may still end.
  const isFinal =
    bucket.conditionalPut || kept?.parts === 1 || now.getTime() - (kept?.at ?? 0) > DAY
  if (kept !== undefined) ledger.looked(kept, isFinal ? 'done' : 'again', now.getTime())
  return null
}

/** Returns what tells the app, or null if nobody listens. */
function announcerOf({ box, index, instance, context, now }: Look): Announce | null {
  const { after, seams, appMilliseconds } = instance
  const id = principalOf(box.id)
  if (after === null && seams.settle.length === 0) return null
  const principal: Principal = {
    ...{ kind: 'token', id, scopes: [], prefix: '', expiresAt: now.getTime() },
    ...{ limits: NO_LIMITS, context: null },
  }
  return async (change, about, at = new Date()) => {
    for (const settle of seams.settle)
      await inTime(appMilliseconds, now, () => settle(change, { principal, index }))
    return after?.({ ...change, ...actorOf({ id, context: null }) }, about, at, context)
  }
}

function isAllowed({ mimetype }: ObjectHead, bucket: Bucket): boolean {
  try {
    requireAllowedType(mimetype.replace(/^binary\//, 'application/'), bucket)
    return true
  } catch (error) {
    if (asApiError(error) === null) throw error
    return false
  }
}

/** Sends the event of a file that a box has received. Its actor is the creator of the box. */
export async function tell(
  { id, title, owner }: StoredBox,
  file: FileRecord,
  { sender, country }: Settled & { readonly ok: true },
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
