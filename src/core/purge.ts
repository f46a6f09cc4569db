import type { ConfiguredBucket } from '../bucket/bucket.ts'
import { describe } from '../errors/describe.ts'
import type { AppContext } from '../http/app-env.ts'
import { byDeadline } from '../http/deadline.ts'
import { addWarning } from '../http/request-log.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import type { Job } from '../records/job.ts'

/** Purges edge copies. If that fails, warns and queues a retry, or throws `unavailable`. */
export async function purgeCopies(
  c: AppContext,
  bucket: ConfiguredBucket,
  keys: readonly ObjectKey[],
): Promise<void> {
  const { enqueue } = c.env.instance
  try {
    await purgeNow(c, bucket, keys)
  } catch (error) {
    addWarning(c, `edge copy not purged: ${describe(error)}`)
    if (enqueue === null) throw error
    await byDeadline(c, () => enqueue(...purgeJobs(bucket, keys))).catch((unqueued: unknown) => {
      addWarning(c, `edge copy not purged: ${describe(unqueued)}`)
      throw error
    })
  }
}

/** Purges the edge copies of these objects. Throws `unavailable`. */
export const purgeNow = (
  c: AppContext,
  bucket: ConfiguredBucket,
  keys: readonly ObjectKey[],
): Promise<void> => byDeadline(c, () => c.env.instance.objects(c.executionCtx).purge(bucket, keys))

/** Purges the copies of replaced objects. Only warns, since they stay at most `copySeconds`. */
export const purgeReplaced = (
  c: AppContext,
  bucket: ConfiguredBucket,
  keys: readonly ObjectKey[],
): Promise<void> => purgeCopies(c, bucket, keys).catch(() => undefined)

/** A message of Cloudflare Queues has at most 128 KB. A key has up to 2 KB in JSON. */
const KEYS_IN_JOB = 50

/** Returns the jobs that purge these objects later. */
export const purgeJobs = ({ alias }: ConfiguredBucket, keys: readonly ObjectKey[]): Job[] =>
  Array.from({ length: Math.ceil(keys.length / KEYS_IN_JOB) }, (_, i) => ({
    kind: 'purge',
    bucket: alias,
    keys: keys.slice(i * KEYS_IN_JOB, (i + 1) * KEYS_IN_JOB),
  }))
