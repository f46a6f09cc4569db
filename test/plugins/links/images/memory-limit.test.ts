import { afterEach, expect, it, vi } from 'vitest'
import { asApiError } from '../../../../src/errors/api-error.ts'
import { RequestTime } from '../../../../src/errors/deadline.ts'
import { withinMemory } from '../../../../src/plugins/links/images/memory-limit.ts'
import { FAKE_CLOCK, fakeSeconds } from '../../../support/fake-seconds.ts'

const MIB = 1024 ** 2
const CAP = 40 * MIB
const BUSY = { code: 'unavailable', reason: 'images', retryAfterSeconds: 5 }

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const sleep = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds))
const within = (seconds: number) => new RequestTime(Date.now() + seconds * 1000)

/** Room for work that counts how much runs at once. */
function counting(milliseconds = 1000) {
  const counts = { bytes: 0, peak: 0, done: 0, order: [] as number[] }
  const works: Promise<unknown>[] = []
  const waitUntil = (work: Promise<unknown>) => works.push(work)
  const hold = (bytes: number, now = within(25), id = 0) =>
    withinMemory(bytes, now, waitUntil, async () => {
      counts.order.push(id)
      counts.bytes += bytes
      counts.peak = Math.max(counts.peak, counts.bytes)
      await sleep(milliseconds)
      counts.bytes -= bytes
      counts.done += 1
    })
  return { counts, hold, waitUntil, works }
}

/** The room is shared by all tests: each one leaves it empty. */
const leftEmpty = async () => {
  const { counts, hold } = counting(0)
  await fakeSeconds(hold(CAP, within(0.001)))
  expect(counts.done).toBe(1)
}

it('holds at most 40 MiB at a time, in order of arrival', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, hold } = counting()
  const sizes = [15, 15, 15, 1, 40, 1, 20, 20]
  const all = Promise.all(sizes.map((size, id) => hold(size * MIB, within(25), id)))
  const [, seconds] = await fakeSeconds(all)
  expect(counts).toEqual({
    bytes: 0,
    peak: 40 * MIB,
    done: sizes.length,
    order: sizes.map((_, id) => id),
  })
  expect(seconds).toBe(5)
  await leftEmpty()
})

// @threat image-bomb
it('never exceeds that for a crowd that waits: 503 with Retry-After, in time', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, hold } = counting(60_000)
  const crowd = Array.from({ length: 40 }, () => hold(20 * MIB).catch(asApiError))
  const [results, seconds] = await fakeSeconds(Promise.all(crowd.slice(2)))
  for (const result of results) expect(result).toMatchObject(BUSY)
  // Five seconds are left for a call.
  expect([counts.peak, counts.done, seconds]).toEqual([CAP, 0, 20])
  await fakeSeconds(Promise.all(crowd))
  await leftEmpty()
})

// @threat image-bomb
it('lets at most 1,000 wait, and refuses others at once', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, hold } = counting(1)
  // All of the queue begins at once, when the first one ends.
  const crowd = [hold(CAP), ...Array.from({ length: 1000 }, () => hold(CAP / 1000))]
  const [error, seconds] = await fakeSeconds(hold(1).catch(asApiError))
  expect([error, seconds]).toEqual([expect.objectContaining(BUSY), 0])
  await fakeSeconds(Promise.all(crowd))
  expect(counts.done).toBe(1001)
  await leftEmpty()
})

it('gives the turn of a request that gives up to the next one', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, hold } = counting(3000)
  const first = hold(30 * MIB, within(25), 0)
  const givesUp = hold(CAP, within(6), 1).catch(asApiError)
  const next = hold(10 * MIB, within(25), 2)
  const [[error], seconds] = await fakeSeconds(Promise.all([givesUp, first, next]))
  expect(error).toMatchObject(BUSY)
  // The next one begins when the second one has given up.
  expect([counts.order, seconds]).toEqual([[0, 2], 4])
  await leftEmpty()
})

it('makes room again when the work fails', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { waitUntil } = counting()
  const failing = () => Promise.reject(new Error('broken'))
  for (let i = 0; i < 4; i++)
    await expect(withinMemory(20 * MIB, within(25), waitUntil, failing)).rejects.toThrow('broken')
  await leftEmpty()
})

it('keeps the room for what goes on after the work, and keeps the request running', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, hold, waitUntil, works } = counting(0)
  await withinMemory(CAP, within(25), waitUntil, async (during) => {
    during(sleep(3000))
    during(sleep(2000).then(() => Promise.reject(new Error('broken'))))
  })
  expect(works).toHaveLength(1)
  const [, seconds] = await fakeSeconds(hold(CAP))
  expect([counts.done, seconds]).toEqual([1, 3])
  await leftEmpty()
})

// @threat image-bomb
it('gets the room of a lost request back, without anyone who frees it', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, hold, waitUntil } = counting(0)
  void withinMemory(CAP, within(6), waitUntil, () => new Promise(() => {}))
  const [, seconds] = await fakeSeconds(Promise.all([hold(20 * MIB), hold(20 * MIB)]))
  // A call that began just before the deadline has ten seconds.
  expect([counts.done, seconds]).toEqual([2, 16])
  await leftEmpty()
})

// @threat image-bomb
it('gets the places in the queue back from requests that were lost while they waited', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, hold, waitUntil } = counting(0)
  const lost = () => new Promise<never>(() => {})
  for (let i = 0; i < 1001; i++) void withinMemory(CAP, within(6), waitUntil, lost).catch(() => {})
  await expect(hold(1)).rejects.toMatchObject(BUSY)
  await vi.advanceTimersByTimeAsync(16_000)
  await fakeSeconds(hold(1))
  expect(counts.done).toBe(1)
  await leftEmpty()
})
