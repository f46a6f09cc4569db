import * as z from 'zod/mini'
import { objectKeyError } from '../keys/object-key.ts'

/** Work for later, which a queue keeps until it is done. */
export type Job = z.infer<typeof webhookJob> | z.infer<typeof purgeJob>

/** One event for one endpoint. It contains no secret. */
const webhookJob = z.object({
  kind: z.enum(['webhook']),
  /** The id of the endpoint, from `endpointId`. */
  endpoint: z.string(),
  id: z.string(),
  body: z.string(),
})

const purgeJob = z.object({
  kind: z.enum(['purge']),
  /** Alias of the bucket. */
  bucket: z.string(),
  keys: z.array(z.string().check(z.refine((key) => objectKeyError(key) === null))),
})

/** A job as a message. Messages outlive a deploy, so they have a version. */
export type JobMessage = { readonly version: 1 } & Job

export const jobMessage = (job: Job): JobMessage => ({ version: 1, ...job })

/**
 * Returns the job in a message, or why there is none. A later version of the Worker may send jobs
 * while this one still runs. No version can read any other message.
 */
export function jobIn(message: unknown): Job | 'malformed' | 'of a later version' {
  const version: unknown = Reflect.get(Object(message), 'version')
  if (typeof version === 'number' && version > 1) return 'of a later version'
  const jobs = [webhookJob.safeParse(message), purgeJob.safeParse(message)]
  return (version === 1 && jobs.find(({ success }) => success)?.data) || 'malformed'
}

/** Queues jobs, all or none. */
export type Enqueue = (...jobs: readonly Job[]) => Promise<void>

/** A batch of Cloudflare Queues. */
export interface QueueBatch {
  readonly queue: string
  readonly messages: readonly QueueMessage[]
}

export interface QueueMessage {
  readonly body: unknown
  /** Counts from 1. */
  readonly attempts: number
  ack(): void
  retry(options?: { delaySeconds?: number }): void
}
