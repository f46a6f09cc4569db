import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { NO_LIMITS, narrowBucket } from '../../src/access/limits.ts'
import type { ConfiguredBucket, Credentials } from '../../src/bucket/bucket.ts'
import { credentialSource, openBucket } from '../../src/bucket/credential-source.ts'
import { RequestTime } from '../../src/errors/deadline.ts'
import { FAKE_CLOCK, fakeSeconds } from '../support/fake-seconds.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const START = new Date('2026-11-24T12:00:00Z')
const HOUR = 3600

let log: unknown[]
beforeEach(() => {
  vi.useFakeTimers({ ...FAKE_CLOCK, now: START })
  log = []
  vi.spyOn(console, 'warn').mockImplementation((line: string) => void log.push(JSON.parse(line)))
})
afterEach(() => {
  // The other order would leave a fake timer, which a spy has replaced.
  vi.restoreAllMocks()
  vi.useRealTimers()
})

/** Credentials for an hour from now, with a number. */
const pair = (number: number, seconds = HOUR): Credentials => ({
  accessKeyId: `ASIA${number}`,
  secretAccessKey: `secret-${number}`,
  sessionToken: `token-${number}`,
  expiresAt: Date.now() + seconds * 1000,
})

/** A source whose calls the test answers, in any order. */
function heldSource() {
  const calls: {
    readonly resolve: (credentials: Credentials) => void
    readonly reject: (error: Error) => void
    readonly signal: AbortSignal
  }[] = []
  const kept: Promise<unknown>[] = []
  const source = credentialSource((signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<Credentials>()
    calls.push({ resolve, reject, signal })
    return promise
  })
  const current = (now = new Date()) =>
    source.current(now, { waitUntil: (work) => void kept.push(work) })
  return { source, calls, kept, current }
}

const wait = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000)
/** Lets continuations and the pollers of this source run. */
const settle = () => vi.advanceTimersByTimeAsync(100)

describe('a source of credentials', () => {
  it('is called once for all requests that wait, and its call outlives each of them', async () => {
    const { calls, kept, current } = heldSource()
    const all = Promise.all(Array.from({ length: 20 }, () => current()))
    await settle()
    expect([calls.length, kept.length]).toEqual([1, 1])
    const credentials = pair(1)
    calls[0]?.resolve(credentials)
    const [fetched] = await fakeSeconds(all)
    expect(new Set(fetched)).toEqual(new Set([credentials]))
    expect(calls).toHaveLength(1)
  })

  it('answers without a promise while its credentials are known', async () => {
    const { calls, current } = heldSource()
    const first = current()
    calls[0]?.resolve(pair(1))
    const credentials = await first
    wait(44 * 60)
    expect(current()).toBe(credentials)
    expect(calls).toHaveLength(1)
  })

  it('renews them before they expire, while the old ones serve, without a wait', async () => {
    const { calls, kept, current } = heldSource()
    const first = current()
    const [old, renewed] = [pair(1), pair(2, 2 * HOUR)]
    calls[0]?.resolve(old)
    await first
    wait(45 * 60)
    // The second call is held: nobody waits for it, and nobody makes a third one.
    for (let i = 0; i < 5; i++) expect(current()).toBe(old)
    expect([calls.length, kept.length]).toEqual([2, 2])
    calls[1]?.resolve(renewed)
    await settle()
    expect(current()).toBe(renewed)
  })

  it.each([
    [900, 450],
    [2 * HOUR, HOUR],
    [Number.POSITIVE_INFINITY, HOUR],
  ])('renews credentials for %d seconds after %d', async (lifetime, seconds) => {
    const { calls, current } = heldSource()
    const first = current()
    calls[0]?.resolve(pair(1, lifetime))
    await first
    wait(seconds - 1)
    current()
    expect(calls).toHaveLength(1)
    wait(1)
    current()
    expect(calls).toHaveLength(2)
  })

  it('keeps the object if a renewal returns the same credentials', async () => {
    const { calls, current } = heldSource()
    const first = current()
    const credentials = pair(1)
    calls[0]?.resolve(credentials)
    await first
    wait(46 * 60)
    current()
    calls[1]?.resolve({ ...credentials })
    await settle()
    expect(current()).toBe(credentials)
    // Half of what is left, so that an issuer that renews late is asked only a few times.
    wait(6 * 60)
    current()
    expect(calls).toHaveLength(2)
    wait(2 * 60)
    current()
    expect(calls).toHaveLength(3)
  })

  it('keeps the old ones until they expire if a renewal fails, and logs the reason', async () => {
    const { calls, current } = heldSource()
    const first = current()
    const old = pair(1)
    calls[0]?.resolve(old)
    await first
    wait(50 * 60)
    current()
    calls[1]?.reject(new Error('STS is down: https://sts.example/?secret'))
    await settle()
    expect(log).toEqual([
      { warning: 'credentials not renewed', reason: 'Error: STS is down: (URL)' },
    ])
    expect(current()).toBe(old)
    expect(calls).toHaveLength(2)
    wait(10)
    expect(current()).toBe(old)
    expect(calls).toHaveLength(3)
    calls[2]?.reject(new Error('still down'))
    await settle()
    wait(10 * 60)
    const late = current()
    calls[3]?.reject(new Error('still down'))
    await expect(late).rejects.toMatchObject({ code: 'unavailable', reason: 'credentials_source' })
  })

  it('fails for all that wait, and for others only for ten seconds', async () => {
    const { calls, current } = heldSource()
    const cause = new Error('no role')
    const all = Promise.allSettled([current(), current(), current()])
    calls[0]?.reject(cause)
    const [failed] = await fakeSeconds(all)
    for (const one of failed)
      expect(one).toMatchObject({
        reason: { code: 'unavailable', reason: 'credentials_source', retryAfterSeconds: 10, cause },
      })
    await expect(current()).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'credentials_source',
    })
    expect(calls).toHaveLength(1)
    wait(10)
    const again = current()
    expect(calls).toHaveLength(2)
    calls[1]?.resolve(pair(2))
    expect(await again).toMatchObject({ accessKeyId: 'ASIA2' })
  })

  // @threat credentials-crowd
  it('has only one that waits for a function that has just hung', async () => {
    const { calls, current } = heldSource()
    await fakeSeconds(Promise.allSettled([current(), current()]))
    wait(10)
    void current()
    expect(calls).toHaveLength(2)
    const [[other], seconds] = await fakeSeconds(Promise.allSettled([current()]))
    expect(other).toMatchObject({ reason: { code: 'unavailable', reason: 'credentials_source' } })
    expect(seconds).toBe(0)
    calls[1]?.resolve(pair(2))
    await settle()
    // A failure of long ago says nothing about the next call.
    wait(HOUR)
    const late = current()
    const waiting = current()
    calls[2]?.resolve(pair(3))
    expect(await fakeSeconds(Promise.all([late, waiting]))).toMatchObject([
      [{ accessKeyId: 'ASIA3' }, { accessKeyId: 'ASIA3' }],
      expect.anything(),
    ])
  })

  it('forgets a failure after a success, also if that serves only for seconds', async () => {
    const { calls, current } = heldSource()
    const failed = current()
    calls[0]?.reject(new Error('down'))
    await expect(failed).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'credentials_source',
    })
    wait(10)
    const first = current()
    calls[1]?.resolve(pair(1, 5))
    await first
    wait(5)
    const both = Promise.all([current(), current()])
    calls[2]?.resolve(pair(2))
    const [fetched] = await fakeSeconds(both)
    expect(fetched).toMatchObject([{ accessKeyId: 'ASIA2' }, { accessKeyId: 'ASIA2' }])
  })

  it.each(['a failure', 'a cancelled request'])(
    'is called again at once if the clock goes back after %s',
    async (what) => {
      const { calls, current } = heldSource()
      wait(24 * HOUR)
      if (what === 'a failure') {
        const first = current()
        calls[0]?.reject(new Error('denied'))
        await expect(first).rejects.toMatchObject({
          code: 'unavailable',
          reason: 'credentials_source',
        })
      } else {
        vi.spyOn(globalThis, 'setTimeout').mockReturnValueOnce(0 as never)
        void current()
      }
      wait(-24 * HOUR)
      const next = current()
      expect(calls).toHaveLength(2)
      calls[1]?.resolve(pair(2))
      expect(await next).toMatchObject({ accessKeyId: 'ASIA2' })
    },
  )

  it('refuses credentials that have already expired', async () => {
    const { calls, current } = heldSource()
    const first = current()
    calls[0]?.resolve(pair(1, 0))
    await expect(first).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'credentials_source',
      cause: { message: 'The function returned credentials that have expired.' },
    })
  })

  it('has ten seconds, and is told when they are over', async () => {
    const { calls, current } = heldSource()
    const [[failed], seconds] = await fakeSeconds(Promise.allSettled([current()]))
    expect(failed).toMatchObject({ reason: { code: 'unavailable', reason: 'credentials_source' } })
    expect(seconds).toBe(10)
    expect(calls[0]?.signal.aborted).toBe(true)
  })

  it('holds up no request beyond its deadline', async () => {
    const { calls, current } = heldSource()
    const late = () => current(new RequestTime(Date.now() + 3000))
    const [all, seconds] = await fakeSeconds(Promise.allSettled([late(), late()]))
    for (const one of all)
      expect(one).toMatchObject({ reason: { code: 'unavailable', reason: 'storage' } })
    expect([calls.length, seconds]).toEqual([1, 3])
  })

  it('is called again by a waiter if the runtime has ended the request that called it', async () => {
    const { calls, current } = heldSource()
    // workerd runs neither the timers nor the continuations of a request that it has cancelled.
    const timer = vi.spyOn(globalThis, 'setTimeout').mockReturnValueOnce(0 as never)
    const cancelled = current()
    expect(timer).toHaveBeenCalledOnce()
    void cancelled
    const waiting = Promise.all([current(), current()])
    await vi.advanceTimersByTimeAsync(10_400)
    expect(calls).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(200)
    expect(calls).toHaveLength(2)
    const credentials = pair(2)
    calls[1]?.resolve(credentials)
    expect(await fakeSeconds(waiting)).toEqual([[credentials, credentials], expect.anything()])
  })
})

describe('a bucket with fetched credentials', () => {
  const configured = (changes: Partial<ConfiguredBucket>): ConfiguredBucket => ({
    ...testBucket(),
    ...changes,
  })
  const background = { waitUntil: () => undefined }
  const open = async (bucket: ConfiguredBucket) => openBucket(bucket, new Date(), background)

  it('is itself if its credentials are values', () => {
    const bucket = configured({})
    expect(openBucket(bucket, new Date(), background)).toBe(bucket)
  })

  it('is the same object until its credentials change, also if it is narrowed', async () => {
    const { source, calls } = heldSource()
    const bucket = configured({ credentials: source, uploadCredentials: source })
    const limits = { ...NO_LIMITS, maxBytes: 1 }
    const first = open(bucket)
    calls[0]?.resolve(pair(1))
    const opened = await first
    expect(opened.credentials).toBe(opened.uploadCredentials)
    expect(await open(bucket)).toBe(opened)
    const narrow = narrowBucket(bucket, limits)
    const openedNarrow = await open(narrow)
    expect(await open(narrow)).toBe(openedNarrow)
    wait(46 * 60)
    await open(bucket)
    calls[1]?.resolve(pair(2))
    await settle()
    for (const [one, earlier] of [
      [bucket, opened],
      [narrow, openedNarrow],
    ] as const) {
      const renewed = await open(one)
      expect(renewed).not.toBe(earlier)
      expect(renewed.credentials.accessKeyId).toBe('ASIA2')
    }
  })

  it('uploads with new credentials when only these have changed', async () => {
    const { source, calls } = heldSource()
    const bucket = configured({ uploadCredentials: source })
    const first = open(bucket)
    calls[0]?.resolve(pair(1))
    const opened = await first
    wait(46 * 60)
    await open(bucket)
    calls[1]?.resolve(pair(2))
    await settle()
    const renewed = await open(bucket)
    expect(renewed.credentials).toBe(opened.credentials)
    expect(renewed.uploadCredentials.accessKeyId).toBe('ASIA2')
  })

  it('can read while the credentials for uploads fail, and the other way round', async () => {
    const failing = heldSource()
    const read = open(configured({ uploadCredentials: failing.source }))
    failing.calls[0]?.reject(new Error('denied'))
    const reading = await read
    expect(reading.credentials).toBe(EXAMPLE_CREDENTIALS)
    const unavailable = expect.objectContaining({
      code: 'unavailable',
      reason: 'credentials_source',
    })
    expect(() => reading.uploadCredentials).toThrow(unavailable)
    const writing = await open(configured({ credentials: failing.source }))
    expect(writing.uploadCredentials).toBe(EXAMPLE_CREDENTIALS)
    expect(() => writing.credentials).toThrow(unavailable)
  })
})
