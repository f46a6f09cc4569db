import type { Background } from '../../bucket/bucket.ts'
import { within } from '../../errors/deadline.ts'
import { logWarning } from '../../errors/warnings.ts'
import { fetchIsPublic } from '../../http/runtime.ts'
import type { Falsy, Option, Plugin } from '../../plugin.ts'
import type { FileEvent } from '../../records/file-event.ts'
import { type Enqueue, type JobMessage, jobMessage } from '../../records/job.ts'
import { deepFreeze, notEmpty } from '../../settings/rules.ts'
import { announcerTo } from './announcer.ts'
import { runJobs } from './cloudflare.ts'
import { type WebhookInput, webhooksRule } from './options.ts'

export interface EventsOptions<B> {
  /**
   * Called for a change to a file: after the bucket has stored or deleted its object, and before the
   * index changes. The response waits for it. If it throws, the response is 503
   * `unavailable`, the index stays as it is, and a repeat calls it again. If it returns
   * `{ data }` for a file of the response, and nothing else, the response has `data`, as JSON.
   */
  readonly onEvent?: (event: FileEvent, context: EventContext<B>) => unknown
  /** Endpoints that receive events (docs/events.md). */
  readonly webhooks?: Option<readonly WebhookInput[] | undefined, B>
  /**
   * The queue for webhooks and purges, such as `env.EVENTS`, or a falsy value for none. A function is
   * called once for each environment object. Call `presigner.queue` from your Worker's `queue` handler.
   */
  readonly queue?: Option<Falsy<JobQueue>, B>
  /** Start of the names of queues that `presigner.queue` handles. Default: `edge-presigner-jobs`. */
  readonly queueName?: string
}

export interface EventContext<out B = unknown> {
  readonly env: B
  /** Keeps work running after the response. */
  waitUntil(work: Promise<unknown>): void
}

/** A queue of Cloudflare Queues. */
export interface JobQueue {
  sendBatch(messages: { body: JobMessage }[]): Promise<unknown>
}

const QUEUE_MILLISECONDS = 10_000

/** Tells your app, your webhooks, or both about each change to a file. */
export function events<B = unknown>(options: EventsOptions<B>): Plugin<B> {
  // On Node, each request has its own environment.
  let hasWarned = false
  return {
    name: 'events',
    setup(setup) {
      setup.only('events', options, ['onEvent', 'webhooks', 'queue', 'queueName'])
      const { onEvent } = options
      const queueName = setup.read('events.queueName', options.queueName, notEmpty)
      const webhooks =
        setup.read('events.webhooks', options.webhooks, webhooksRule, 'WEBHOOKS') ?? []
      const queue = setup.bind<JobQueue>('events.queue', options.queue, 'sendBatch')
      const enqueue: Enqueue | null =
        queue &&
        (async (...jobs) => {
          const messages = jobs.map((job) => ({ body: jobMessage(job) }))
          await within(QUEUE_MILLISECONDS, queue.sendBatch(messages))
        })
      if (webhooks.length > 0 && setup.settings !== null) {
        if (!fetchIsPublic()) setup.warn('fetch is not strictly public')
        if (enqueue === null) {
          setup.warn('webhooks are not queued')
          if (!hasWarned) logWarning('webhooks are not queued', { reason: 'each has one attempt' })
          hasWarned = true
        }
      }
      const tell = (event: FileEvent, background: Background) =>
        // A copy, since the index stores the file of the event next.
        onEvent?.(deepFreeze(structuredClone(event)), {
          env: setup.env,
          waitUntil: (work) => background.waitUntil(work),
        })
      const after = announcerTo({ onEvent: onEvent ? tell : null, webhooks, enqueue })
      return {
        ...(after && { after }),
        ...(enqueue && { enqueue }),
        queue: {
          name: queueName ?? 'edge-presigner-jobs',
          handle: (batch, { settings, objects }, context) =>
            runJobs(batch, settings, webhooks, objects(context)),
        },
      }
    },
  }
}
