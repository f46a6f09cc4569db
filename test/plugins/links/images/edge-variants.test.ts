import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Objects } from '../../../../examples/everything/src/worker.ts'
import { findBucket } from '../../../../src/bucket/find-bucket.ts'
import { sizeOf, type VariantSpec } from '../../../../src/bucket/image-size.ts'
import { ApiError, asApiError } from '../../../../src/errors/api-error.ts'
import { RequestTime } from '../../../../src/errors/deadline.ts'
import { parseObjectKey } from '../../../../src/keys/object-key.ts'
import { objectRequest } from '../../../../src/plugins/links/edge-objects.ts'
import {
  forgetVariants,
  type MadeImage,
  makeOnce,
} from '../../../../src/plugins/links/images/edge-variants.ts'
import {
  crowded,
  type ImageResizer,
  type KeptImage,
} from '../../../../src/plugins/links/images/variant.ts'
import { deleteObject } from '../../../../src/storage/object.ts'
import { loadEnvironment } from '../../../../src/worker/environment.ts'
import { FAKE_CLOCK, fakeSeconds } from '../../../support/fake-seconds.ts'
import { twoColorPng } from '../../../support/images.ts'
import { putChosen, putObject, putUnder, requestsFor } from '../../../support/links.ts'
import { PATIENCE } from '../../../support/patience.ts'

afterEach(() => void vi.useRealTimers())

const loaded = loadEnvironment(env)
if (!loaded.ok) throw new Error('The test configuration is malformed.')
const counted = findBucket(loaded.settings, 'counted')
const VARIANT: VariantSpec = { ...sizeOf(64), format: 'png', quality: 80 }
const NOW = new Date()

/** A promise, and the function that resolves it. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

/** The real resizer. Counts its calls, and runs `before` ahead of each result. */
function countingResizer(before: () => Promise<unknown> = async () => {}) {
  const calls: number[] = []
  const resizer: ImageResizer = {
    input: (image) => ({
      transform: (size) => ({
        async output(options) {
          calls.push(size.width)
          const made = await env.IMAGES.input(image).transform(size).output(options)
          await before()
          return made
        },
      }),
    }),
  }
  return { calls, resizer }
}

/** `Objects` with this resizer, with the Cache API or behind a stand-in for Workers Caching. */
function objectsWith(resizer: ImageResizer, behindCache = false) {
  const purged: unknown[] = []
  const cache = {
    purge: async (options: unknown) => {
      purged.push(options)
      return { success: true, errors: [] }
    },
  }
  const run = async <T>(work: (objects: Objects) => Promise<T>): Promise<T> => {
    const context = createExecutionContext()
    const ctx = behindCache ? Object.assign(context, { cache, exports: {} }) : context
    const result = await work(new Objects(ctx, { ...env, IMAGES: resizer } as unknown as Env))
    await waitOnExecutionContext(context)
    return result
  }
  return {
    purged,
    lifetime: (key: string) =>
      run(async (objects) => {
        const asked = await objectRequest('GET', counted, parseObjectKey(key), null, VARIANT)
        const answer = await objects.fetch(asked)
        await answer.arrayBuffer()
        return answer.headers.get('Cache-Control')
      }),
    original: (key: string) =>
      run(async (objects) => {
        const asked = await objectRequest('GET', counted, parseObjectKey(key), null)
        const { status, body } = await objects.fetch(asked)
        await new Response(body).arrayBuffer()
        return status
      }),
    show: (key: string, variant = VARIANT) =>
      run(async (objects) => {
        const asked = await objectRequest('GET', counted, parseObjectKey(key), null, variant)
        const answer = await objects.fetch(asked)
        const { body } = new Response(await answer.arrayBuffer())
        if (answer.status !== 200 || body === null) return answer.status
        const info = await env.IMAGES.info(body)
        return 'height' in info ? info.height : info.format
      }),
    purge: (key: string) => run((objects) => objects.purge('counted', [key])),
  }
}

describe.each([
  ['with the Cache API', false],
  ['behind Workers Caching', true],
])('an image that is being made while its object is replaced, %s,', (_, behindCache) => {
  // @threat image-outdated
  it('is not shown to later requests', async () => {
    const key = await putObject('a.png', await twoColorPng(300, 300))
    const { open, opened } = gate()
    const { calls, resizer } = countingResizer(async () => {
      if (calls.length === 1) await opened
    })
    const { show, purge } = objectsWith(resizer, behindCache)
    const before = show(key)
    await vi.waitFor(() => expect(calls).toHaveLength(1), PATIENCE)
    await putUnder(key, await twoColorPng(300, 100))
    expect(await purge(key)).toBeNull()
    expect(await show(key)).toBe(21)
    open()
    expect(await before).toBe(64)
    expect(await show(key)).toBe(21)
  })
})

describe.each([
  ['with the Cache API', false],
  ['behind Workers Caching', true],
])('a copy of an image that takes six seconds to make, %s,', (_, behindCache) => {
  // @threat image-outdated
  it('ends with a copy of the original that was fetched for it', async () => {
    const [chosen, generated] = [putChosen, putObject]
    for (const [put, seconds] of [
      [chosen, 60],
      [generated, 86_400],
    ] as const) {
      const key = await put('a.png', await twoColorPng(300, 300))
      vi.useFakeTimers({ toFake: ['Date'] })
      const { resizer } = countingResizer(async () => {
        vi.setSystemTime(Date.now() + 6000)
      })
      const lifetime = await objectsWith(resizer, behindCache).lifetime(key)
      expect(lifetime).toBe(`public, max-age=${seconds - 6}, must-revalidate`)
      vi.useRealTimers()
    }
  })
})

it('several sizes that begin at the same time are each made once', async () => {
  const key = await putObject('a.png', await twoColorPng(300, 300))
  const { calls, resizer } = countingResizer()
  const { show } = objectsWith(resizer)
  const showAll = () =>
    Promise.all([32, 64, 96].map((width) => show(key, { ...VARIANT, ...sizeOf(width) })))
  expect(await showAll()).toEqual([32, 64, 96])
  expect(await showAll()).toEqual([32, 64, 96])
  expect(calls).toHaveLength(3)
})

// @threat image-outdated
it('stays purged if it is made from the old copy during the purge', async () => {
  const key = await putObject('a.png', await twoColorPng(300, 300))
  const { open, opened } = gate()
  const { calls, resizer } = countingResizer(async () => {
    if (calls.length === 3) await opened
  })
  const { show, purge } = objectsWith(resizer)
  const other = { ...VARIANT, ...sizeOf(32) }
  expect(await show(key)).toBe(64)
  await putUnder(key, await twoColorPng(300, 100))
  const drop = caches.default.delete.bind(caches.default)
  let slower: Promise<unknown> | undefined
  const spy = vi.spyOn(caches.default, 'delete').mockImplementation(async (url) => {
    expect(await show(key, other)).toBe(32)
    slower = show(key, { ...VARIANT, ...sizeOf(16) })
    await vi.waitFor(() => expect(calls).toHaveLength(3), PATIENCE)
    return drop(url)
  })
  expect(await purge(key)).toBeNull()
  spy.mockRestore()
  // Later requests get neither the image that was made, nor the one that is still being made.
  expect(await show(key, other)).toBe(11)
  expect(await show(key, { ...VARIANT, ...sizeOf(16) })).toBe(5)
  open()
  expect(await slower).toBe(16)
})

// @threat image-outdated
it.each(['show', 'original'] as const)(
  'stays purged if `%s` brings an old copy back for a moment',
  async (method) => {
    const key = await putObject('a.png', await twoColorPng(300, 300))
    const objects = objectsWith(countingResizer().resizer)
    const { show, purge } = objects
    const other = { ...VARIANT, ...sizeOf(32) }
    const put = caches.default.put.bind(caches.default)
    const during: unknown[] = []
    const spy = vi.spyOn(caches.default, 'put').mockImplementation(async (url, response) => {
      const isMark = !String(url).includes('?') && during.length === 0
      if (!isMark) return put(url, response)
      await putUnder(key, await twoColorPng(300, 100))
      during.push(await purge(key))
      await put(url, response)
      during.push(await show(key, other))
    })
    expect(await objects[method](key)).toBe(method === 'show' ? 64 : 200)
    spy.mockRestore()
    expect(during).toEqual([null, 32])
    expect([await show(key, other), await show(key)]).toEqual([11, 21])
  },
)

// @threat image-outdated
it('stays purged when a size that began at the same time is slower', async () => {
  const key = await putObject('a.png', await twoColorPng(300, 300))
  const { calls, resizer } = countingResizer()
  const { show, purge } = objectsWith(resizer)
  const put = caches.default.put.bind(caches.default)
  const { open, opened } = gate()
  let generations = 0
  const spy = vi.spyOn(caches.default, 'put').mockImplementation(async (url, response) => {
    const isSecond = String(url).endsWith('?generation') && ++generations === 2
    if (isSecond && calls.length < 2) await opened
    return put(url, response)
  })
  const first = show(key)
  const slower = show(key, { ...VARIANT, ...sizeOf(32) })
  expect(await first).toBe(64)
  await putUnder(key, await twoColorPng(300, 100))
  expect(await purge(key)).toBeNull()
  open()
  await slower
  expect(await show(key)).toBe(21)
  spy.mockRestore()
})

// @threat image-outdated
it('stays purged if its first generation is still being stored then', async () => {
  const key = await putObject('a.png', await twoColorPng(300, 300))
  const { open, opened } = gate()
  const { calls, resizer } = countingResizer(async () => {
    if (calls.length === 1) await opened
  })
  const { show, purge } = objectsWith(resizer)
  const other = { ...VARIANT, ...sizeOf(32) }
  const put = caches.default.put.bind(caches.default)
  const drop = caches.default.delete.bind(caches.default)
  const begun: Promise<unknown>[] = []
  const puts = vi.spyOn(caches.default, 'put').mockImplementation(async (url, response) => {
    await put(url, response)
    if (!String(url).endsWith('?generation') || begun.length > 0) return
    begun.push(show(key, other))
    await vi.waitFor(() => expect(calls).toHaveLength(1))
    await putUnder(key, await twoColorPng(300, 100))
    const dropped = new Promise<void>((resolve) => {
      vi.spyOn(caches.default, 'delete').mockImplementationOnce(async (name) => {
        setTimeout(resolve)
        return drop(name)
      })
    })
    begun.push(purge(key))
    await dropped
  })
  expect(await show(key)).toBe(21)
  open()
  expect(await Promise.all(begun)).toEqual([32, null])
  puts.mockRestore()
  expect(await show(key, other)).toBe(11)
})

// @threat image-outdated
it('behind Workers Caching, purges an image whose object was deleted while it was made', async () => {
  const key = await putObject('a.png', await twoColorPng(300, 300))
  const { resizer } = countingResizer(() => deleteObject(counted, parseObjectKey(key), new Date()))
  const { show, purged } = objectsWith(resizer, true)
  expect(await show(key)).toBe(64)
  expect(purged).toHaveLength(1)
})

// @threat image-costs
it('a crowd costs one call and one request to the bucket, also if the call fails', async () => {
  for (const fails of [false, true]) {
    const key = await putObject('a.png', await twoColorPng(300, 300))
    const { calls, resizer } = countingResizer(() =>
      fails ? Promise.reject(new Error('down')) : Promise.resolve(),
    )
    const { show } = objectsWith(resizer)
    const crowd = await Promise.all(Array.from({ length: 30 }, () => show(key)))
    expect(new Set(crowd)).toEqual(new Set([fails ? 503 : 64]))
    expect([calls.length, await requestsFor(key)]).toEqual([1, 1])
  }
})

const DOWN = new ApiError('image_unavailable', "The image can't be resized at the moment.")

describe('making an image', () => {
  const newName = () => `https://objects.invalid/made/${crypto.randomUUID()}?w=1`
  const image = (): KeptImage => ({ bytes: new Uint8Array(1), headers: [] })
  const made = (): MadeImage => [image(), Promise.resolve()]

  // @threat image-costs
  it('is not tried again for ten seconds after an error', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const name = newName()
    const make = vi.fn(() => Promise.reject<MadeImage>(DOWN))
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
    const make = vi.fn(() => Promise.reject<MadeImage>(new Error('begun')))
    const late = makeOnce(name, make, new RequestTime(Date.now() + 2000)).catch(asApiError)
    const [error, seconds] = await fakeSeconds(late)
    expect([error, seconds]).toEqual([
      expect.objectContaining({ code: 'image_unavailable', retryAfterSeconds: 5 }),
      2,
    ])
    expect(make).not.toHaveBeenCalled()
    // A later request waits no longer than the first one may take, and its error.
    const next = makeOnce(name, make, new RequestTime(Date.now() + 14_000)).catch(String)
    expect(await fakeSeconds(next)).toEqual(['Error: begun', 1.5])
  })

  it('is tried again after a purge', async () => {
    const name = newName()
    const make = vi.fn(() => Promise.reject<MadeImage>(DOWN))
    const ask = () => makeOnce(name, make, NOW).catch((error: unknown) => error)
    await ask()
    forgetVariants(name.replace('?w=1', '').slice(0, -1))
    await ask()
    expect(make).toHaveBeenCalledTimes(1)
    forgetVariants(name.replace('?w=1', ''))
    await ask()
    expect(make).toHaveBeenCalledTimes(2)
  })

  it('remembers at most 100 results', async () => {
    const names = Array.from({ length: 101 }, newName)
    const make = vi.fn(() => Promise.reject<MadeImage>(DOWN))
    for (const name of names) await makeOnce(name, make, NOW).catch(String)
    for (const name of names.slice(1)) await makeOnce(name, make, NOW).catch(String)
    expect(make).toHaveBeenCalledTimes(101)
    await makeOnce(names[0] ?? '', make, NOW).catch(String)
    expect(make).toHaveBeenCalledTimes(102)
  })

  it('forgets the oldest result first', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const [first = '', ...others] = Array.from({ length: 100 }, newName)
    const make = vi.fn(() => Promise.reject<MadeImage>(DOWN))
    const ask = (name: string) => makeOnce(name, make, NOW).catch(String)
    for (const name of [first, ...others]) await ask(name)
    vi.advanceTimersByTime(10_000)
    for (const name of [first, newName(), first]) await ask(name)
    expect(make).toHaveBeenCalledTimes(102)
  })

  it('shares the image until it is stored, and no longer', async () => {
    const name = newName()
    const { open, opened } = gate()
    const first = await makeOnce(name, async () => [image(), opened], NOW)
    const make = vi.fn(async () => made())
    expect(await makeOnce(name, make, NOW)).toBe(first)
    expect(make).not.toHaveBeenCalled()
    open()
    await opened
    await vi.waitFor(async () => expect(await makeOnce(name, make, NOW)).not.toBe(first), PATIENCE)
    expect(make).toHaveBeenCalledTimes(1)
  })

  // @threat image-costs
  it.each([
    ['an image', async () => made()],
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
    const late = new ApiError('storage_busy', 'late')
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
      return made()
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
      return made()
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
    expect(results).toEqual([...Array(10).fill('image_unavailable'), ...Array(14).fill(last)])
    expect([make.mock.calls.length, seconds]).toEqual([1, 27.5])
  })

  it('is tried again after there was no room for it', async () => {
    const name = newName()
    const full = vi.fn(() => Promise.reject<MadeImage>(crowded()))
    for (let i = 0; i < 2; i++)
      expect(asApiError(await makeOnce(name, full, NOW).catch(asApiError))).toMatchObject({
        code: 'image_unavailable',
        retryAfterSeconds: 5,
      })
    expect(full).toHaveBeenCalledTimes(2)
  })
})
