import type { Bucket } from '../../bucket/bucket.ts'
import { reserve, undo, undoing } from '../../core/change.ts'
import { purgeCopies } from '../../core/purge.ts'
import { announcerOf, askToDelete } from '../../core/uploads.ts'
import { asApiError } from '../../errors/api-error.ts'
import { describe } from '../../errors/describe.ts'
import type { AppContext } from '../../http/app-env.ts'
import { fileIndexOf, timeOf } from '../../http/deadline.ts'
import type { Deletion } from '../../http/host.ts'
import { countPrincipal } from '../../http/rate-limit.ts'
import { addWarning } from '../../http/request-log.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { removeFiles } from './remove.ts'

/**
 * Deletes the files of distinct keys with their edge copies and records, and tells the app about
 * each. First asks the app and the plugins' checks about all of them, counts each accepted one against
 * the principal, and lets the plugins reserve it. If the purge fails, a queue repeats it. Returns what
 * `removeFiles` returns, with the errors of these steps, such as `forbidden` and `rate_limited`.
 */
export async function removeAll(
  c: AppContext,
  bucket: Bucket,
  keys: readonly ObjectKey[],
): Promise<ReadonlyMap<string, unknown>> {
  const refused = new Map<string, unknown>()
  /** Returns the keys for which `step` throws no ApiError. */
  const pass = async (asked: readonly ObjectKey[], step: (key: ObjectKey) => unknown) => {
    const thrown: unknown[] = []
    const steps = asked.map(async (key) => {
      try {
        await step(key)
      } catch (error) {
        if (asApiError(error) === null) thrown.push(error)
        else refused.set(key, error)
      }
    })
    await Promise.all(steps)
    if (thrown.length > 0) throw thrown[0]
    return asked.filter((key) => !refused.has(key))
  }
  const deletion = (key: ObjectKey): Deletion => ({ type: 'delete', bucket: bucket.alias, key })
  const allowed = await pass(keys, (key) => askToDelete(c, deletion(key)))
  // The first one has already counted as the request.
  const counted = await pass(allowed, (key) =>
    key === allowed[0] ? undefined : countPrincipal(c, c.get('principal')),
  )
  const index = fileIndexOf(c)
  const purge = (purged: readonly ObjectKey[]) => purgeCopies(c, bucket, purged)
  const removal = { index, purge, announce: announcerOf(c) }
  const failures = await undoing(c, async (reserved) => {
    const accepted = await pass(counted, (key) => reserve(c, deletion(key), reserved))
    const failures = await removeFiles(bucket, accepted, removal, timeOf(c))
    await undo(
      c,
      reserved.filter(({ key }) => refused.has(key) || failures.has(key)),
    )
    return failures
  })
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
