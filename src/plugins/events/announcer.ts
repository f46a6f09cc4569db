import type { Background } from '../../bucket/bucket.ts'
import type { Json } from '../../keys/encodings.ts'
import {
  type After,
  eventBody,
  eventId,
  eventTypeOf,
  type FileEvent,
} from '../../records/file-event.ts'
import type { Enqueue } from '../../records/job.ts'
import { deliver, endpointId, logWebhook, type Webhook } from './webhook.ts'

interface Listeners {
  readonly onEvent: ((event: FileEvent, background: Background) => unknown) | null
  readonly webhooks: readonly Webhook[]
  /** Without a queue, each webhook gets one attempt in the background. */
  readonly enqueue: Enqueue | null
}

/** Returns the function that announces changes to `listeners`, or null if nobody listens. */
export function announcerTo({ onEvent, webhooks, enqueue }: Listeners): After | null {
  if (onEvent === null && webhooks.length === 0) return null
  const announce: After = async (change, about, at, background, isRepeat = false) => {
    const event: FileEvent = { ...change, timestamp: at.toISOString() }
    const data = onEvent === null ? undefined : dataIn(await onEvent(event, background))
    const type = eventTypeOf(event)
    const interested = isRepeat ? [] : webhooks.filter(({ events }) => events.includes(type))
    if (interested.length === 0) return data
    const sent = { id: await eventId(event, about), body: eventBody(event) }
    if (enqueue === null)
      for (const webhook of interested) background.waitUntil(deliverOnce(webhook, sent))
    else
      await enqueue(
        ...(await Promise.all(
          interested.map(async ({ url }) => {
            const endpoint = await endpointId(url)
            return { kind: 'webhook' as const, endpoint, ...sent }
          }),
        )),
      )
    return data
  }
  return Object.assign(announce, { requests: enqueue === null ? Math.max(1, webhooks.length) : 0 })
}

/**
 * Returns `{ data }` as the response will have it, or undefined: a function often returns what it
 * happens to call last, such as a database row. Throws TypeError for data that JSON can't express.
 */
function dataIn(returned: unknown): Json | undefined {
  const object = Object(returned)
  if (Object.keys(object).join() !== 'data') return undefined
  try {
    const text: string | undefined = JSON.stringify(object.data)
    return text === undefined ? undefined : JSON.parse(text)
  } catch (cause) {
    throw new TypeError("onEvent returned data that JSON can't express.", { cause })
  }
}

async function deliverOnce(
  webhook: Webhook,
  sent: { readonly id: string; readonly body: string },
): Promise<void> {
  const attempt = await deliver(webhook, sent, new Date())
  if (attempt.outcome !== 'delivered')
    logWebhook('webhook lost', webhook, { event: sent.id, reason: attempt.reason })
}
