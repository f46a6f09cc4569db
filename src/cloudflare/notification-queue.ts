import type { ObjectSource } from '../delivery/object-source.ts'
import type { WarningText } from '../errors/warnings.ts'
import type { Announcer, Background } from '../events/announcer.ts'
import { retryDelay } from '../events/retry-delay.ts'
import type { FileIndex } from '../file-index/file-index.ts'
import type { LoadedSettings } from '../settings/define.ts'
import { readR2Message } from '../uploads/notification.ts'
import { recordAllNotified, recorderOf, summarize } from '../uploads/record-notified.ts'
import type { QueueBatch, QueueMessage } from './job-queue.ts'

/** The parts of an instance that notifications need. */
interface Instance {
  readonly settings: LoadedSettings
  readonly fileIndex: FileIndex
  readonly events: Announcer | null
  readonly log: (line: {
    readonly method: string
    readonly route: string
    readonly status: number
    readonly milliseconds: number
    readonly message: string
    readonly warning?: WarningText | undefined
  }) => void
}

/**
 * Seconds after an event until its notification counts. By then, most clients have recorded their
 * upload, and the notification costs no write.
 */
const WAIT_SECONDS = 30
/** Notifications at a time. Each causes about five requests, and the free plan allows 50. */
const AT_ONCE = 10

/**
 * Records what R2 reports in a batch. Acknowledges or retries each message alone. A message that
 * can't be used is acknowledged, since a retry would not help. Logs one line, without keys.
 */
export async function consumeNotifications(
  { queue, messages }: QueueBatch,
  { settings: loaded, fileIndex, events, log }: Instance,
  objects: ObjectSource,
  background: Background,
  now: Date,
): Promise<void> {
  const counts: Record<string, number> = {}
  const warnings: WarningText[] = []
  const read = messages.map((message) => ({ message, notification: readR2Message(message.body) }))
  const due = read.filter(({ message, notification }) => {
    if (typeof notification === 'string') return true
    const age = (now.getTime() - notification.time) / 1000
    if (age >= WAIT_SECONDS) return true
    // The clock of the bucket may be ahead.
    message.retry({ delaySeconds: Math.min(Math.ceil(WAIT_SECONDS - age), WAIT_SECONDS) })
    counts.waiting = (counts.waiting ?? 0) + 1
    return false
  })
  let hasFailed = false
  if (!loaded.ok) {
    const dropped = due.flatMap(({ message, notification }) => {
      if (typeof notification !== 'string') return []
      message.ack()
      return [{ status: 'fulfilled' as const, value: notification }]
    })
    for (const { message, notification } of due)
      if (typeof notification !== 'string') retryLater(message)
    const summary = summarize(dropped)
    Object.assign(counts, summary.counts)
    hasFailed = true
    warnings.push(
      ...summary.warnings,
      `notifications failed: misconfigured ${due.length - dropped.length}`,
    )
  } else {
    const recorder = recorderOf(loaded.settings.buckets, fileIndex, objects, events, background)
    const results = []
    for (let start = 0; start < due.length; start += AT_ONCE) {
      const some = due.slice(start, start + AT_ONCE)
      const notifications = some.map(({ notification }) => notification)
      const settled = await recordAllNotified(recorder, notifications, now)
      for (const [i, { message }] of some.entries())
        if (settled[i]?.status === 'fulfilled') message.ack()
        else retryLater(message)
      results.push(...settled)
    }
    const summary = summarize(results)
    Object.assign(counts, summary.counts)
    warnings.push(...summary.warnings)
    hasFailed = results.some(({ status }) => status === 'rejected')
  }
  const [warning, ...others] = warnings
  log({
    method: 'QUEUE',
    route: queue,
    status: hasFailed ? 503 : 200,
    milliseconds: Date.now() - now.getTime(),
    message: Object.entries(counts)
      .map(([kind, count]) => `${kind} ${count}`)
      .join(', '),
    warning: warning && ([warning, ...others].join('; ') as WarningText),
  })
}

/** The queue itself ends the retries: `max_retries` and `dead_letter_queue` in wrangler.toml. */
const retryLater = (message: QueueMessage): void =>
  message.retry({ delaySeconds: retryDelay(message.attempts, 0, Math.random()) })
