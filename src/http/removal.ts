import type { Bucket } from '../bucket/bucket.ts'
import { asApiError } from '../errors/api-error.ts'
import { describe } from '../errors/describe.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { removeFiles } from '../uploads/remove.ts'
import type { AppContext } from './app-env.ts'
import { fileIndexOf, timeOf } from './deadline.ts'
import { purgeCopies } from './purge.ts'
import { addWarning } from './request-log.ts'
import { tellDeleted } from './uploads.ts'

/**
 * Deletes files with their edge copies and records, and tells the app about each. If the purge
 * fails, a queue repeats it. Returns what `removeFiles` returns.
 */
export function removeAll(
  c: AppContext,
  bucket: Bucket,
  keys: readonly ObjectKey[],
): Promise<ReadonlyMap<string, unknown>> {
  const index = fileIndexOf(c)
  const purge = (purged: readonly ObjectKey[]) => purgeCopies(c, bucket, purged)
  const tell = (key: ObjectKey) => tellDeleted(c, bucket, key)
  return removeFiles(bucket, keys, { index, purge, tell }, timeOf(c))
}

/** Adds a warning with the number of keys that were not deleted, by code, and the first reason. */
export function warnOfFailures(c: AppContext, failures: readonly unknown[]): void {
  const [first] = failures
  if (first === undefined) return
  const counts = new Map<string, number>()
  for (const failure of failures) {
    const code = asApiError(failure)?.code ?? 'internal'
    counts.set(code, (counts.get(code) ?? 0) + 1)
  }
  const codes = [...counts].map(([code, count]) => `${count} ${code}`).join(', ')
  addWarning(c, `files not deleted: ${codes} (${describe(first)})`)
}
