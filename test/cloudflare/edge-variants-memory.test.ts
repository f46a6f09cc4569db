import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, expect, it, vi } from 'vitest'
import { findBucket } from '../../src/bucket/find-bucket.ts'
import { sizeOf } from '../../src/bucket/image-size.ts'
import { objectRequest } from '../../src/cloudflare/edge-objects.ts'
import { withRoom } from '../../src/cloudflare/edge-variants.ts'
import { environmentSettings, loadEnvironment } from '../../src/cloudflare/environment.ts'
import { objectsEntrypoint } from '../../src/cloudflare/objects.ts'
import type { ImageResizer } from '../../src/delivery/variant.ts'
import { asApiError } from '../../src/errors/api-error.ts'
import { RequestTime } from '../../src/errors/deadline.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { FAKE_CLOCK, fakeSeconds } from '../support/fake-seconds.ts'
import { twoColorPng } from '../support/images.ts'
import { putObject } from '../support/links.ts'

const MIB = 1024 ** 2
const NOW = new Date()

afterEach(() => {
  vi.useRealTimers()
})

/** Returns work that counts how many run at once, and takes a while. */
function counting(milliseconds = 20) {
  const counts = { now: 0, most: 0, done: 0 }
  const work = async () => {
    counts.now += 1
    counts.most = Math.max(counts.most, counts.now)
    await new Promise((resolve) => setTimeout(resolve, milliseconds))
    counts.now -= 1
    counts.done += 1
  }
  return { counts, work }
}

it('holds at most 40 MiB of originals at a time', async () => {
  const { counts, work } = counting()
  await Promise.all(Array.from({ length: 6 }, () => withRoom(15 * MIB, NOW, work)))
  expect(counts).toEqual({ now: 0, most: 2, done: 6 })
})

// @threat image-bomb
it('never exceeds that for a crowd that waits for a slow bucket', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, work } = counting(60_000)
  const crowd = Array.from({ length: 40 }, () =>
    withRoom(20 * MIB, new RequestTime(Date.now() + 25_000), work).catch(asApiError),
  )
  const [results, seconds] = await fakeSeconds(Promise.all(crowd.slice(2)))
  for (const result of results) expect(result).toMatchObject({ code: 'storage_busy' })
  expect([counts.most, seconds]).toEqual([2, 25])
  await fakeSeconds(Promise.all(crowd))
})

it('makes room again when the work fails', async () => {
  const failing = () => Promise.reject(new Error('broken'))
  for (let i = 0; i < 4; i++)
    await expect(withRoom(20 * MIB, NOW, failing)).rejects.toThrow('broken')
  const { counts, work } = counting()
  await withRoom(20 * MIB, NOW, work)
  expect(counts.done).toBe(1)
})

it('forgets the original of a request that never ended', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  void withRoom(40 * MIB, NOW, () => new Promise(() => {}))
  await Promise.resolve()
  vi.advanceTimersByTime(61_000)
  const start = performance.now()
  const { counts, work } = counting()
  await withRoom(20 * MIB, NOW, work)
  expect(counts.done).toBe(1)
  expect(performance.now() - start).toBeLessThan(5000)
})

it('resizes large images of one page one after another', async () => {
  const loaded = loadEnvironment(env)
  if (!loaded.ok) throw new Error('The test configuration is malformed.')
  const bucket = findBucket(loaded.settings, 'counted')
  const small = await twoColorPng(30, 20)
  const large = new Uint8Array(15 * MIB)
  large.set(new Uint8Array(await new Response(small).arrayBuffer()))
  const keys = await Promise.all(Array.from({ length: 3 }, () => putObject('a.png', large)))
  const { counts, work } = counting(3000)
  const output = async () => {
    await work()
    return { response: () => new Response(small) }
  }
  const images: ImageResizer = { input: () => ({ transform: () => ({ output }) }) }
  const Objects = objectsEntrypoint(environmentSettings, { images: () => images })
  const variant = { ...sizeOf(64), format: 'png', quality: 80 } as const
  const statuses = await Promise.all(
    keys.map(async (key) => {
      const context = createExecutionContext()
      const request = await objectRequest('GET', bucket, parseObjectKey(key), null, variant)
      const { status } = await new Objects(context, env).fetch(request)
      await waitOnExecutionContext(context)
      return status
    }),
  )
  expect(statuses).toEqual([200, 200, 200])
  expect(counts.most).toBeLessThanOrEqual(2)
})
