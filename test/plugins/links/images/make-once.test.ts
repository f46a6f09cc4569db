import { afterEach, describe, expect, it, vi } from 'vitest'
import { ApiError, asApiError } from '../../../../src/errors/api-error.ts'
import { RequestTime } from '../../../../src/errors/deadline.ts'
import { forgetImages, makeOnce } from '../../../../src/plugins/links/images/edge-images.ts'
import { crowded } from '../../../../src/plugins/links/images/memory-limit.ts'
import type { KeptImage } from '../../../../src/plugins/links/images/variant.ts'
import { unavailable } from '../../../support/errors.ts'
import { FAKE_CLOCK, fakeSeconds } from '../../../support/fake-seconds.ts'

afterEach(() => void vi.useRealTimers())

const NOW = new Date()
const DOWN = unavailable('images', "The image can't be resized at the moment.")

describe('making an image', () => {
  const newName = () => `https://objects.invalid/made/${crypto.randomUUID()}?w=1`
  const image = (): KeptImage => ({ bytes: new Uint8Array(1), headers: [] })

  // @threat image-costs
  it('is not tried again for ten seconds after an error', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const name = newName()
    const make = vi.fn(() => Promise.reject<KeptImage>(DOWN))
    const ask = () => makeOnce(name, make, NOW).catch((error: unknown) => error)
    expect([await ask(), await ask()]).toEqual([DOWN, DOWN])
    vi.advanceTimersByTime(9999)
    await ask()
    expect(make).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(1)
    await ask()
    expect(make).toHaveBeenCalledTimes(2)
  })

  // @threat request-slow
  it('is not begun by a request that has waited until its deadline', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    const name = newName()
    void makeOnce(name, () => new Promise(() => {}), new RequestTime(Date.now() + 3000))
    const make = vi.fn(() => Promise.reject<KeptImage>(new Error('begun')))
    const late = makeOnce(name, make, new RequestTime(Date.now() + 2000)).catch(asApiError)
    const [error, seconds] = await fakeSeconds(late)
    expect([error, seconds]).toEqual([
      expect.objectContaining({ code: 'unavailable', reason: 'images', retryAfterSeconds: 5 }),
      2,
    ])
    expect(make).not.toHaveBeenCalled()
    // A later request waits no longer than the first one may take, and its error.
    const next = makeOnce(name, make, new RequestTime(Date.now() + 14_000)).catch(String)
    expect(await fakeSeconds(next)).toEqual(['Error: begun', 1.5])
  })

  it('is tried again after a purge', async () => {
    const name = newName()
    const make = vi.fn(() => Promise.reject<KeptImage>(DOWN))
    const ask = () => makeOnce(name, make, NOW).catch((error: unknown) => error)
    await ask()
    forgetImages(`${name.replace('?w=1', '').slice(0, -1)}?`)
    await ask()
    expect(make).toHaveBeenCalledTimes(1)
    forgetImages(name.replace('w=1', ''))
    await ask()
    expect(make).toHaveBeenCalledTimes(2)
  })

  it('remembers at most 100 results', async () => {
    const names = Array.from({ length: 101 }, newName)
    const make = vi.fn(() => Promise.reject<KeptImage>(DOWN))
    for (const name of names) await makeOnce(name, make, NOW).catch(String)
    for (const name of names.slice(1)) await makeOnce(name, make, NOW).catch(String)
    expect(make).toHaveBeenCalledTimes(101)
    await makeOnce(names[0] ?? '', make, NOW).catch(String)
    expect(make).toHaveBeenCalledTimes(102)
  })

  it('forgets the oldest result first', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const [first = '', ...others] = Array.from({ length: 100 }, newName)
    const make = vi.fn(() => Promise.reject<KeptImage>(DOWN))
    const ask = (name: string) => makeOnce(name, make, NOW).catch(String)
    for (const name of [first, ...others]) await ask(name)
    vi.advanceTimersByTime(10_000)
    for (const name of [first, newName(), first]) await ask(name)
    expect(make).toHaveBeenCalledTimes(102)
  })

  // @threat image-costs
  it.each([
    ['an image', async () => image()],
    ['an error of the bucket', () => Promise.reject(new ApiError('storage_error', 'broken'))],
    ['an error of Cloudflare Images', () => Promise.reject(DOWN)],
  ] as const)('takes 13 seconds once for 200 requests: %s', async (_, result) => {
    vi.useFakeTimers(FAKE_CLOCK)
    const name = newName()
    const make = vi.fn(async () => {
      await new Promise((resolve) => setTimeout(resolve, 13_000))
      return result()
    })
    const crowd = Array.from({ length: 200 }, async () => {
      const now = new RequestTime(Date.now() + 25_000)
      return makeOnce(name, make, now).catch((error: unknown) => error)
    })
    const [results, seconds] = await fakeSeconds(Promise.all(crowd))
    expect([new Set(results).size, make.mock.calls.length, seconds]).toEqual([1, 1, 13])
  })

  // @threat image-costs
  it('ends at the deadline of 200 requests with one call and one answer', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    const name = newName()
    const late = unavailable('storage', 'late')
    const make = vi.fn(async () => {
      await new Promise((resolve) => setTimeout(resolve, 25_000))
      throw late
    })
    const ask = async (after: number) => {
      await new Promise((resolve) => setTimeout(resolve, after))
      const now = new RequestTime(Date.now() + 25_000)
      return makeOnce(name, make, now).catch((error: unknown) => error)
    }
    const crowd = Array.from({ length: 200 }, (_, at) => ask(at % 4))
    const [results] = await fakeSeconds(Promise.all(crowd))
    expect([new Set(results), make.mock.calls.length]).toEqual([new Set([late]), 1])
  })

  // @threat image-costs
  it('is taken over by one request when the first one is lost', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    const name = newName()
    void makeOnce(name, () => new Promise(() => {}), new RequestTime(Date.now() + 5000))
    const make = vi.fn(async () => {
      await new Promise((resolve) => setTimeout(resolve, 1000))
      return image()
    })
    const crowd = Array.from({ length: 50 }, () =>
      makeOnce(name, make, new RequestTime(Date.now() + 25_000)),
    )
    const [images, seconds] = await fakeSeconds(Promise.all(crowd))
    expect([new Set(images).size, make.mock.calls.length, seconds]).toEqual([1, 1, 6.5])
  })

  // @threat image-costs
  it('is only taken over by a request that still has the time for a call', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    const name = newName()
    const now = () => new RequestTime(Date.now() + 25_000)
    void makeOnce(name, () => new Promise(() => {}), now())
    const make = vi.fn(async () => {
      await new Promise((resolve) => setTimeout(resolve, 2000))
      return image()
    })
    const ask = async (after: number) => {
      await new Promise((resolve) => setTimeout(resolve, after * 1000))
      return makeOnce(name, make, now()).catch((error: unknown) => asApiError(error)?.code)
    }
    const crowd = Array.from({ length: 24 }, (_, second) => ask(second + 1))
    const [results, seconds] = await fakeSeconds(Promise.all(crowd))
    const [last] = results.slice(-1)
    expect(last).toHaveProperty('bytes')
    // The first one is lost after 25.5 seconds.
    expect(results).toEqual([...Array(5).fill('unavailable'), ...Array(19).fill(last)])
    expect([make.mock.calls.length, seconds]).toEqual([1, 27.5])
  })

  it('is tried again after there was no room for it', async () => {
    const name = newName()
    const full = vi.fn(() => Promise.reject<KeptImage>(crowded()))
    for (let i = 0; i < 2; i++)
      expect(asApiError(await makeOnce(name, full, NOW).catch(asApiError))).toMatchObject({
        ...{ code: 'unavailable', reason: 'images' },
        retryAfterSeconds: 5,
      })
    expect(full).toHaveBeenCalledTimes(2)
  })
})
