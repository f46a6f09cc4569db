import type { RefusedKey } from '../answers/files.ts'
import { type Erasure, isErasure } from '../answers/server.ts'
import type { Call, CallOptions } from '../call.ts'
import { sleep } from './retry.ts'

/** What was deleted below a prefix. */
export type DeletedAll = Omit<Erasure, 'cursor'>

export interface DeleteAllOptions extends CallOptions {
  /** Ends with `/`. */
  readonly prefix: string
  /** Only what is older. Default: now. */
  readonly before?: Date | string | undefined
  /** Called after each request, with what was deleted until then. */
  readonly onProgress?: ((progress: DeletedAll) => void) | undefined
}

/** How many passes try to delete everything. */
const MAX_PASSES = 3
const PAUSE_MILLISECONDS = 5000

/**
 * Deletes everything below a prefix, one request after the other. Starts again, up to twice, if a temporary
 * error has left something.
 */
export async function deleteAll(
  api: Call,
  bucket: string | undefined,
  { prefix, before = new Date(), onProgress, signal }: DeleteAllOptions,
  pauseMilliseconds = PAUSE_MILLISECONDS,
): Promise<DeletedAll> {
  const request = { prefix, before: new Date(before).toISOString(), bucket }
  let sum: DeletedAll | undefined
  for (let pass = 1; ; pass += 1) {
    const failures = new Map<string, RefusedKey>()
    let cursor: string | undefined
    let unreadable = 0
    do {
      const body = { ...request, cursor }
      const answer = await api(isErasure, 'POST', '/files/delete-all', { body, signal })
      for (const failure of answer.failures) failures.set(failure.key, failure)
      unreadable += answer.unreadable
      sum = {
        shares: answer.shares + (sum?.shares ?? 0),
        deleted: answer.deleted + (sum?.deleted ?? 0),
        versions: add(answer.versions, sum?.versions),
        uploads: add(answer.uploads, sum?.uploads),
        records: answer.records + (sum?.records ?? 0),
        unreadable,
        failures: [...failures.values()],
        repeatAfter: answer.repeatAfter,
      }
      onProgress?.(sum)
      cursor = answer.cursor
    } while (cursor !== undefined)
    if (pass === MAX_PASSES || !sum.failures.some(isTemporary)) return sum
    await sleep(pauseMilliseconds * pass, signal)
  }
}

const add = (one: number | null, other: number | null = 0): number | null =>
  one === null || other === null ? null : one + other

/** Tells whether another pass may delete this. */
const isTemporary = ({ error }: RefusedKey): boolean =>
  error.code === 'storage_error' || error.code === 'unavailable'
