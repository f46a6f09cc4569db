import type { Bucket } from '../../bucket/bucket.ts'
import { purgeCopies } from '../../core/purge.ts'
import { announcerOf, askToDelete } from '../../core/uploads.ts'
import { asApiError } from '../../errors/api-error.ts'
import { describe } from '../../errors/describe.ts'
import type { AppContext } from '../../http/app-env.ts'
import { fileIndexOf, timeOf } from '../../http/deadline.ts'
import { countPrincipal } from '../../http/rate-limit.ts'
import { addWarning } from '../../http/request-log.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { removeFiles } from './remove.ts'

/**
 * Deletes the files of distinct keys with their edge copies and records, and tells the app about
 * each. First asks the app about all of them, and counts each accepted one against the principal.
 * If the purge fails, a queue repeats it. Returns what `removeFiles` returns, with the errors
 * `forbidden` and `rate_limited`.
 */
export async function removeAll(
  c: AppContext,
  bucket: Bucket,
  keys: readonly ObjectKey[],
): Promise<ReadonlyMap<string, unknown>> {
  const refused = new Map<string, unknown>()
  /** Returns the keys for which `check` throws no ApiError. */
  const pass = async (asked: readonly ObjectKey[], check: (key: ObjectKey) => unknown) => {
    const checks = asked.map(async (key) => {
      try {
        await check(key)
      } catch (error) {
        if (asApiError(error) === null) throw error
        refused.set(key, error)
      }
    })
    await Promise.all(checks)
    return asked.filter((key) => !refused.has(key))
  }
  const allowed = await pass(keys, (key) => askToDelete(c, bucket, key))
  // The first one has already counted as the request.
  const counted = await pass(allowed, (key) =>
    key === allowed[0] ? undefined : countPrincipal(c, c.get('principal')),
  )
  const index = fileIndexOf(c)
  const purge = (purged: readonly ObjectKey[]) => purgeCopies(c, bucket, purged)
  const removal = { index, purge, announce: announcerOf(c) }
  const failures = await removeFiles(bucket, counted, removal, timeOf(c))
  return new Map([...refused, ...failures])
}

/** Adds a warning with the number of files that were not `done`, by code, and the first reason. */
export function warnOfFailures(
  c: AppContext,
  done: 'deleted' | 'recorded',
  failures: readonly unknown[],
): void {
  const [first] = failures
  if (first === undefined) return
  const counts = new Map<string, number>()
  for (const failure of failures) {
    const code = asApiError(failure)?.code ?? 'internal'
    counts.set(code, (counts.get(code) ?? 0) + 1)
  }
  const codes = [...counts].map(([code, count]) => `${count} ${code}`).join(', ')
  addWarning(c, `files not ${done}: ${codes} (${describe(first)})`)
}
