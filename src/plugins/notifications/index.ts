import type { Background } from '../../bucket/bucket.ts'
import { ApiError, asApiError } from '../../errors/api-error.ts'
import { retryDelay } from '../../errors/retry-delay.ts'
import type { Instance } from '../../http/app-env.ts'
import type { Option, Plugin } from '../../plugin.ts'
import { timedIndex } from '../../records/file-index.ts'
import type { QueueBatch, QueueMessage } from '../../records/job.ts'
import { whyInvalid } from '../../settings/define.ts'
import { notEmpty } from '../../settings/rules.ts'
import type { ObjectSource } from '../../storage/object-source.ts'
import { type Drop, type Notification, readR2Message } from './notification.ts'
import { notificationSecretsRule } from './notification-secret.ts'
import {
  QUIET_SECONDS,
  type Result,
  recordAllNotified,
  recorderOf,
  summarize,
} from './record-notified.ts'
import { notificationRoutes, SECRETS } from './routes.ts'

export interface NotificationsOptions<B> {
  /** `secret[,secret]` for `POST /notifications`. Without it, there is no such route. */
  readonly secrets?: Option<string | undefined, B>
  /** Start of the names of R2's queues. Default: `edge-presigner-notifications`. */
  readonly queueName?: string
}

/** What buckets report: `POST /notifications` of an S3 server, and R2's queue. */
export const notifications = <B = unknown>(options: NotificationsOptions<B> = {}): Plugin<B> => ({
  name: 'notifications',
  needs: ['files'],
  open: notificationRoutes,
  setup(setup) {
    setup.only('notifications', options, ['secrets', 'queueName'])
    const { read } = setup
    const rule = notificationSecretsRule
    const secrets = read('notifications.secrets', options.secrets, rule, 'NOTIFICATION_SECRETS')
    const queueName = read('notifications.queueName', options.queueName, notEmpty)
    SECRETS.keep(setup, secrets ?? [])
    return {
      queue: {
        name: queueName ?? 'edge-presigner-notifications',
        handle: (batch, instance, context) =>
          consumeNotifications(batch, instance, instance.objects(context), context, new Date()),
      },
    }
  },
})

/**
 * Records what R2 reports in a batch. Acknowledges or retries each message alone. A message that
 * can't be used is acknowledged, since a retry would not help. Logs one line, without keys.
 */
async function consumeNotifications(
  { queue, messages }: QueueBatch,
  { settings: loaded, fileIndex, appMilliseconds, after, log }: Instance,
  objects: ObjectSource,
  background: Background,
  now: Date,
): Promise<void> {
  const index = timedIndex(fileIndex, now, appMilliseconds)
  const recorder = loaded.ok
    ? recorderOf(loaded.settings.buckets, index, objects, after, background)
    : null
  const notifications = messages.map(({ body }) => readR2Message(body))
  // The first delivery may have come too early to ask the bucket, so the age counts too.
  const isFirstAttempt = ({ time }: Notification, i: number) =>
    (messages[i]?.attempts ?? 1) < 2 || Math.abs(now.getTime() - time) < 2000 * QUIET_SECONDS
  const results =
    recorder === null
      ? notifications.map(withoutSettings)
      : await recordAllNotified(recorder, notifications, now, isFirstAttempt)
  for (const [i, message] of messages.entries()) {
    const result = results[i]
    if (result?.status !== 'fulfilled') retryLater(message, result?.reason)
    else if (typeof result.value === 'number') message.retry({ delaySeconds: result.value })
    else message.ack()
  }
  const { counts, warnings } = summarize(results)
  log({
    method: 'QUEUE',
    route: queue,
    status: results.some(({ status }) => status === 'rejected') ? 503 : 200,
    milliseconds: Date.now() - now.getTime(),
    message: Object.entries(counts)
      .map(([kind, count]) => `${kind} ${count}`)
      .join(', '),
    warning: warnings.join('; ') || undefined,
    reason: loaded.ok ? undefined : whyInvalid(loaded),
  })
}

/** A notification is kept while the settings are not valid, unless no settings could help. */
const withoutSettings = (notification: Notification | Drop): Result =>
  typeof notification === 'string'
    ? { status: 'fulfilled', value: notification }
    : {
        status: 'rejected',
        reason: new ApiError('misconfigured', 'The settings are not valid.', {
          reason: 'settings',
        }),
      }

/** The queue itself ends the retries: `max_retries` and `dead_letter_queue` in wrangler.toml. */
function retryLater(message: QueueMessage, failure?: unknown): void {
  const asked = asApiError(failure)?.retryAfterSeconds ?? 0
  message.retry({ delaySeconds: retryDelay(message.attempts, asked, Math.random()) })
}
