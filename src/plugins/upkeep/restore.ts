import { sixAtOnce } from '../../bucket/at-once.ts'
import { infer, type Place } from '../../core/reconcile.ts'
import { asApiError } from '../../errors/api-error.ts'
import { type RefusedKey, refusedKey } from '../../http/fields.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { DroppedName, DroppedRecord } from './walk-object.ts'

/**
 * What happened to a key: `kept` if the index has a record of the object that somebody has confirmed, `gone` without
 * an object, `different` if the object is not the one of a dropped record, `unknown` if no dropped record is kept.
 */
export interface Restored {
  readonly key: string
  readonly outcome: 'restored' | 'kept' | 'gone' | 'different' | 'unknown'
}

/**
 * Puts dropped records of distinct keys back whose objects are in the bucket again: with their names and
 * owners, and the object's date. Throws what `infer` throws. It can be repeated.
 */
export async function restoreRecords(
  place: Place,
  dropped: readonly DroppedRecord[],
  keys: readonly ObjectKey[],
  forgetDropped: (names: readonly DroppedName[]) => Promise<void>,
): Promise<(Restored | RefusedKey)[]> {
  return sixAtOnce(keys, async (key) => {
    const ofKey = dropped.filter(({ record }) => record.key === key).map(({ record }) => record)
    if (ofKey.length === 0) return { key, outcome: 'unknown' }
    try {
      for (const record of ofKey) {
        await place.index.kept?.put({ record, keptAt: place.now.toISOString(), expiresAt: null })
        const { outcome } = await infer(place, key, { may: (change) => change === 'returned' })
        if (outcome === 'missing' || outcome === 'removed') return { key, outcome: 'gone' }
        if (outcome !== 'returned' && outcome !== 'same') continue
        await forgetDropped([{ key, etag: record.etag }])
        return { key, outcome: outcome === 'same' ? 'kept' : 'restored' }
      }
      return { key, outcome: 'different' }
    } catch (error) {
      const { code = '' } = asApiError(error) ?? {}
      if (/^(?:key_not_indexable|object_not_found)$/.test(code)) return refusedKey(key, error)
      throw error
    }
  })
}
