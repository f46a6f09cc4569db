import { createExecutionContext } from 'cloudflare:test'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Instance } from '../../../src/http/app-env.ts'
import { keepDeadLetters, replay } from '../../../src/plugins/upkeep/dead-letter-queue.ts'
import type { QueueBatch } from '../../../src/records/job.ts'
import { PATIENCE } from '../../support/patience.ts'

const hang = () => new Promise<never>(() => {})
const LETTER = {
  ...{ id: '0'.repeat(32), queue: 'mail', body: '1', firstAt: 0, lastAt: 0 },
  ...{ arrivals: 1, replays: 0, reason: null },
}
const CONTEXT = createExecutionContext()

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** An instance with these members only. */
const instanceWith = (members: object) => members as Instance

const handledBy = (handle: (batch: QueueBatch) => Promise<void>) =>
  instanceWith({ queue: [{ name: 'mail', handle }] })

it('ends a replay that hangs after 15 seconds, and the message stays', async () => {
  const reason = replay(LETTER, handledBy(hang), CONTEXT)
  await vi.advanceTimersByTimeAsync(15_000)
  expect(await reason).toMatch(/\w/)
})

it('keeps the first 300 characters of a reason', async () => {
  const instance = handledBy(async ({ messages }) =>
    messages[0]?.retry({ reason: 'x'.repeat(400) }),
  )
  expect(await replay(LETTER, instance, CONTEXT)).toBe('x'.repeat(300))
})

// @threat dead-letter-lost
it('retries a batch that its object has not stored after 10 seconds', async () => {
  const decisions: string[] = []
  const message = {
    ...{ body: 1, attempts: 1 },
    ack: () => void decisions.push('ack'),
    retry: () => void decisions.push('retry'),
  }
  const settings = { signingSecrets: [{ name: 'k1' }], name: 'app' }
  const instance = instanceWith({ settings: { ok: true, settings }, log: () => undefined })
  const context = { exports: { Upkeep: { getByName: () => ({ addDeadLetters: hang }) } } }
  const batch = { queue: 'mail-dead', messages: [message] }
  const kept = keepDeadLetters(batch, instance, context, new Date())
  // Its id is a digest, which no timer ends.
  await vi.waitFor(() => expect(vi.getTimerCount()).toBe(1), PATIENCE)
  await vi.advanceTimersByTimeAsync(10_000)
  await kept
  expect(decisions).toEqual(['retry'])
})
