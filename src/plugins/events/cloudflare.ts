import { sixAtOnce } from '../../bucket/at-once.ts'
import { asApiError } from '../../errors/api-error.ts'
import { describe } from '../../errors/describe.ts'
import { retryDelay } from '../../errors/retry-delay.ts'
import { logWarning } from '../../errors/warnings.ts'
import { parseObjectKey } from '../../keys/object-key.ts'
import { type Job, jobIn, type QueueBatch, type QueueMessage } from '../../records/job.ts'
import { type LoadedSettings, whyInvalid } from '../../settings/define.ts'
import type { Settings } from '../../settings/settings.ts'
import type { ObjectSource } from '../../storage/object-source.ts'
import { deliver, endpointId, logWebhook, type Webhook } from './webhook.ts'

/**
 * Runs a batch's jobs, and acknowledges or retries each alone. Drops a message that no version can
 * read. The queue ends the retries: `max_retries` and `dead_letter_queue` in wrangler.toml.
 */
export async function runJobs(
  { messages }: QueueBatch,
  loaded: LoadedSettings,
  webhooks: readonly Webhook[],
  objects: ObjectSource,
): Promise<void> {
  await sixAtOnce(messages, (message) => runJob(message, loaded, webhooks, objects))
}

async function runJob(
  message: QueueMessage,
  loaded: LoadedSettings,
  webhooks: readonly Webhook[],
  objects: ObjectSource,
): Promise<void> {
  const { attempts } = message
  const retry = (reason: string, askedSeconds = 0) => {
    const delaySeconds = retryDelay(attempts, askedSeconds, Math.random())
    message.retry({ delaySeconds })
    return { reason, attempt: attempts, retryInSeconds: delaySeconds }
  }
  const job = jobIn(message.body)
  if (job === 'malformed') {
    message.ack()
    return logWarning('job lost', { reason: 'the message is malformed' })
  }
  if (typeof job === 'string' || !loaded.ok) {
    const reason =
      loaded.ok || typeof job === 'string'
        ? `the message is ${job}`
        : `the settings are not valid: ${whyInvalid(loaded)}`
    return logWarning('job not done', retry(reason))
  }
  const { settings } = loaded
  if (job.kind === 'purge') {
    try {
      await purge(job, settings, objects)
      message.ack()
    } catch (error) {
      const asked = asApiError(error)?.retryAfterSeconds
      logWarning('edge copy not purged', retry(describe(error), asked))
    }
    return
  }
  const webhook = await endpointOf(job.endpoint, webhooks)
  if (webhook === null) {
    const reason = 'the endpoint is no longer configured'
    message.ack()
    return logWarning('webhook lost', { event: job.id, reason })
  }
  const attempt = await deliver(webhook, job, new Date())
  if (attempt.outcome === 'failed')
    return logWebhook('webhook not delivered', webhook, {
      event: job.id,
      ...retry(attempt.reason, attempt.askedSeconds),
    })
  message.ack()
  if (attempt.outcome === 'delivered') return
  logWebhook('webhook lost', webhook, { event: job.id, reason: attempt.reason })
}

async function endpointOf(id: string, webhooks: readonly Webhook[]) {
  for (const webhook of webhooks) if ((await endpointId(webhook.url)) === id) return webhook
  return null
}

/** Purges the copies of all keys. A bucket that is no longer configured has no links. */
async function purge(
  { bucket: alias, keys }: Extract<Job, { kind: 'purge' }>,
  { buckets }: Settings,
  objects: ObjectSource,
): Promise<void> {
  const bucket = buckets.find((one) => one.alias === alias)
  if (bucket === undefined) return
  await objects.purge(bucket, keys.map(parseObjectKey))
}
