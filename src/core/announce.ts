import type { Bucket } from '../bucket/bucket.ts'
import type { AppContext } from '../http/app-env.ts'
import { afterOf, askInTime, fileIndexOf, timeOf, uploadSeams } from '../http/deadline.ts'
import { actorOf, type FileChange, NOBODY } from '../records/file-event.ts'
import type { FileRecord } from '../records/file-record.ts'
import { requireNothing } from './change.ts'
import type { Announce, Place } from './reconcile.ts'
import type { Recorded } from './record.ts'

/**
 * Returns how this request announces changes to files, or null if nobody listens. Asks the plugins'
 * `settle` first.
 */
export function announcerOf(c: AppContext): Announce | null {
  const after = afterOf(c)
  if (after === null && uploadSeams(c).settle.length === 0) return null
  const principal = c.get('principal')
  return async (change, about, at = new Date(), isRepeat) => {
    await askToSettle(c, change)
    // The presigner itself makes a provisional record.
    const { type } = change
    const isProvisional = (type === 'recorded' || type === 'replaced') && change.file.owner === null
    const event = { ...change, ...(isProvisional ? NOBODY : actorOf(principal)) }
    return after?.(event, about, at, c.executionCtx, isRepeat)
  }
}

/** Returns where this request reconciles keys of a bucket. It purges by itself, and after the change. */
export const placeOf = (c: AppContext, bucket: Bucket, announce = announcerOf(c)): Place => ({
  bucket,
  index: fileIndexOf(c),
  announce,
  purge: null,
  now: timeOf(c),
})

/** Asks the plugins' `settle` about a change, which they may refuse. */
export async function askToSettle(c: AppContext, change: FileChange): Promise<void> {
  const by = { principal: c.get('principal'), index: fileIndexOf(c) }
  for (const settle of uploadSeams(c).settle)
    requireNothing('settle', await askInTime(c, 'settle', () => settle(change, by)))
}

/** Returns the body of a 201: the record, with what the app returned as `data`. JSON has no undefined one. */
export const recordBody = ({ record, data }: Recorded): FileRecord & { data?: unknown } => ({
  ...record,
  data,
})
