import { within } from '../../errors/deadline.ts'
import { describe } from '../../errors/describe.ts'
import { retryDelay } from '../../errors/retry-delay.ts'
import type { WarningText } from '../../errors/warnings.ts'
import type { Instance, Seams } from '../../http/app-env.ts'
import { handlerFor } from '../../http/queues.ts'
import { sha256 } from '../../keys/encodings.ts'
import type { QueueBatch, QueueMessage } from '../../records/job.ts'
import { requireSettings, whyInvalid } from '../../settings/define.ts'
import { stateObjectIn } from '../../state/object.ts'
import type { Upkeep } from './cloudflare.ts'
import { DEAD_LETTERS, type DeadLetter, type NewLetter } from './dead-letters.ts'

const STORE_MILLISECONDS = 10_000
/** After this time, a handler has already waited for an endpoint and the index. */
const REPLAY_MILLISECONDS = 15_000
const MAX_REASON_LENGTH = 300

/**
 * Keeps the messages of a batch from a dead-letter queue. Acknowledges only those that are stored, and
 * retries the others. Logs one line, without keys.
 */
export async function keepDeadLetters(
  batch: QueueBatch,
  instance: Instance,
  context: object,
  now: Date,
): Promise<void> {
  const { messages, queue } = batch
  const origin = queue.slice(0, queue.lastIndexOf('-'))
  const letters = await Promise.all(messages.map(({ body }) => letterFor(origin, body)))
  let kept: ReadonlySet<string> = new Set()
  let failure: string | undefined
  try {
    const settings = requireSettings(instance.settings)
    const object = stateObjectIn<Upkeep>(context, settings, 'Upkeep', DEAD_LETTERS)
    const storable = letters.filter((letter) => letter !== null)
    const call = object.addDeadLetters(storable, now.getTime())
    kept = new Set(await within(STORE_MILLISECONDS, call))
  } catch (error) {
    failure = describe(error)
  }
  let count = 0
  for (const [i, message] of messages.entries()) {
    if (kept.has(letters[i]?.id ?? '')) {
      count += 1
      message.ack()
    } else message.retry({ delaySeconds: retryDelay(message.attempts, 0, Math.random()) })
  }
  const { settings, log } = instance
  log({
    method: 'QUEUE',
    route: queue,
    status: count === messages.length ? 200 : 503,
    milliseconds: Date.now() - now.getTime(),
    warning: warningFor(count, messages.length - count),
    reason: settings.ok ? failure : whyInvalid(settings),
  })
}

const warningFor = (kept: number, others: number): WarningText =>
  others === 0
    ? `dead letters kept: ${kept}`
    : `dead letters not kept: ${others} of ${kept + others}`

/** Returns a message as a letter, or null if its body is not JSON. */
async function letterFor(queue: string, given: unknown): Promise<NewLetter | null> {
  try {
    const body: unknown = JSON.stringify(given)
    if (typeof body !== 'string') return null
    return { id: (await sha256(`${queue}\n${body}`)).slice(0, 32), queue, body }
  } catch {
    return null
  }
}

/**
 * Hands a letter, as a single message, to what handles its queue. Resolves with null if that acknowledges
 * it, or with the reason why it stays, even if it is given up, since other settings may help.
 */
export async function replay(
  letter: DeadLetter,
  instance: Instance,
  context: Parameters<Seams['deadLetters']>[2],
): Promise<string | null> {
  const handle = handlerFor(instance, letter.queue)
  if (handle === undefined) return 'No plugin handles this queue.'
  const decisions: (string | null)[] = []
  const message: QueueMessage = {
    body: JSON.parse(letter.body),
    // Not the first one: whoever waits before the first look has waited.
    attempts: letter.replays + 2,
    ack: (lost) => void decisions.push(lost ?? null),
    retry: (options) => void decisions.push(options?.reason ?? 'It failed again.'),
  }
  try {
    const work = handle({ queue: letter.queue, messages: [message] }, instance, context)
    await within(REPLAY_MILLISECONDS, work)
  } catch (error) {
    decisions.push(describe(error))
  }
  // As in Cloudflare Queues, the first decision counts, and a message without one is done.
  return decisions[0]?.slice(0, MAX_REASON_LENGTH) ?? null
}
