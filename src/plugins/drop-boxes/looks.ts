import { NO_LIMITS, narrowBucket } from '../../access/limits.ts'
import type { Principal } from '../../access/principal.ts'
import { provesUpload } from '../../access/upload-proof.ts'
import { sixAtOnce } from '../../bucket/at-once.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { openBucket } from '../../bucket/credential-source.ts'
import { findBucket } from '../../bucket/find-bucket.ts'
import { requireAllowedType } from '../../core/content-type.ts'
import { type Announce, isSameUpload, recordUpload, toRecord } from '../../core/record.ts'
import { removeFiles } from '../../core/remove.ts'
import { asApiError } from '../../errors/api-error.ts'
import { inTime } from '../../errors/deadline.ts'
import { describe } from '../../errors/describe.ts'
import { logWarning } from '../../errors/warnings.ts'
import type { Instance } from '../../http/app-env.ts'
import { isNewObjectKey, nameInKey } from '../../keys/new-key.ts'
import { parseObjectKey } from '../../keys/object-key.ts'
import { actorOf } from '../../records/file-event.ts'
import { timedIndex } from '../../records/file-index.ts'
import { type FileRecord, isConfirmed } from '../../records/file-record.ts'
import { requireSettings } from '../../settings/define.ts'
import { headObject, type ObjectHead } from '../../storage/object.ts'
import { principalOf, type Settled, type StoredBox } from './box.ts'
import type { Hold, Ledger } from './ledger.ts'

/** Where background work of an object runs. */
export type Context = Parameters<Instance['objects']>[0]

/** Each needs up to eight requests. Cloudflare's free plan allows 50 in one run. */
const LOOKS_AT_ONCE = 5

/**
 * Asks the bucket about the keys that are due: what arrived is counted and recorded, what is over the
 * limit is deleted with its record and copies, and what is absent is freed. An object that no sender
 * of this box uploaded counts as absent. A failure only postpones.
 */
export async function look(
  ledger: Ledger,
  box: StoredBox,
  instance: Instance,
  context: Context,
  now: Date,
): Promise<void> {
  await sixAtOnce(ledger.due(LOOKS_AT_ONCE, now.getTime()), async (hold) => {
    try {
      const found = await lookAt(ledger, box, hold, instance, context, now)
      if (found !== 'counted') ledger.looked(hold, found, now.getTime())
    } catch (error) {
      logWarning('files not recorded', { principal: principalOf(box.id), reason: describe(error) })
      ledger.looked(hold, 'failed', now.getTime())
    }
  })
}

async function lookAt(
  ledger: Ledger,
  box: StoredBox,
  hold: Hold,
  instance: Instance,
  context: Context,
  now: Date,
): Promise<'absent' | 'deleted' | 'counted'> {
  const settings = requireSettings(await instance.ready(instance.settings))
  if (settings.signingSecrets[0].name !== box.instance)
    throw new Error(`No presigner of dropBoxesObject() has the name "${box.instance}".`)
  const { maxBytes, allowedTypes } = box
  const limits = { maxBytes, allowedTypes, maxExpiresIn: null }
  const configured = narrowBucket(findBucket(settings, box.bucket), limits)
  const bucket = await openBucket(configured, now, context)
  const index = timedIndex(instance.fileIndex, now, instance.appMilliseconds)
  const key = parseObjectKey(hold.key)
  const after = instance.after
  const owner = principalOf(box.id)
  // An event that fails must not stop the record. It is sent by the next look.
  let unsent: unknown
  const principal: Principal = {
    ...{ kind: 'token', id: owner, scopes: [], prefix: '', expiresAt: now.getTime() },
    ...{ limits: NO_LIMITS, context: null },
  }
  const announce: Announce | null =
    (after ?? instance.settles[0])
      ? async (change, about, at = new Date()) => {
          const by = { principal, index }
          for (const settle of instance.settles)
            await inTime(instance.appMilliseconds, now, () => settle(change, by))
          try {
            return await after?.(
              { ...change, ...actorOf({ id: owner, context: null }) },
              ...([about, at, context] as const),
            )
          } catch (error) {
            unsent = error
            return undefined
          }
        }
      : null
  const discard = async (): Promise<'deleted'> => {
    const purge = (keys: Parameters<ReturnType<Instance['objects']>['purge']>[1]) =>
      instance.objects(context).purge(configured, keys)
    const failures = await removeFiles(bucket, [key], { index, purge, announce }, now)
    if (failures.has(key)) throw failures.get(key)
    return 'deleted'
  }
  const head = await headObject(bucket, key, now)
  // The app may choose a key that has somebody else's object, or gets one.
  const upload = { bucket: bucket.alias, key, owner }
  const isOfBox = isNewObjectKey(key)
    ? head !== null && !ledger.isChanged(hold.key, head.size)
    : await provesUpload(settings, upload, head?.mark)
  if (hold.state === 'over' && (head === null || isOfBox)) return discard()
  if (head === null || !isOfBox) return 'absent'
  const file = toRecord(bucket, key, nameInKey(key), owner, head)
  const settled = isAllowed(head, bucket)
    ? ledger.settle({ ...file, at: head.lastModified.getTime() }, now.getTime())
    : null
  // The next run deletes it.
  if (settled?.ok === false) return 'counted'
  if (settled === null) return discard()
  // Counting has changed it.
  const kept = ledger.hold(hold.key)
  const { etag } = head
  const known = await index.get(bucket.alias, key)
  const isRecorded = known !== null && isConfirmed(known) && isSameUpload(known, head)
  if (!isRecorded || settled.isLost) {
    const isExpected = (seen: ObjectHead) => seen.etag === etag
    const request = { key, name: file.name, owner, isExpected }
    await recordUpload(bucket, index, request, now, announce)
    ledger.lost(hold.key, etag, unsent !== undefined)
  }
  if (settled.isNew) {
    await tell(box, file, settled, instance, context)
    ledger.told(hold.key, etag)
  }
  if (unsent !== undefined) throw unsent
  if (kept !== undefined) ledger.looked(kept, 'done', now.getTime())
  return 'counted'
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
