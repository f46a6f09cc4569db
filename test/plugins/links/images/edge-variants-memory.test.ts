import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, expect, it, vi } from 'vitest'
import { findBucket } from '../../../../src/bucket/find-bucket.ts'
import { sizeOf, type VariantSpec } from '../../../../src/bucket/image-size.ts'
import { asApiError } from '../../../../src/errors/api-error.ts'
import { RequestTime } from '../../../../src/errors/deadline.ts'
import { createPresigner } from '../../../../src/index.ts'
import { parseObjectKey } from '../../../../src/keys/object-key.ts'
import { objectsEntrypoint } from '../../../../src/plugins/links/cloudflare.ts'
import { objectRequest } from '../../../../src/plugins/links/edge-objects.ts'
import { withRoom } from '../../../../src/plugins/links/images/room.ts'
import type { ImageResizer } from '../../../../src/plugins/links/images/variant.ts'
import { FAILURE } from '../../../../src/plugins/links/objects-protocol.ts'
import { environmentSettings, loadEnvironment } from '../../../../src/worker/environment.ts'
import { credentials, everyPlugin } from '../../../support/every-plugin.ts'
import { FAKE_CLOCK, fakeSeconds } from '../../../support/fake-seconds.ts'
import { joined, PNG_START, pngChunk, pngHeader, twoColorPng } from '../../../support/images.ts'
import {
  type Answer,
  found,
  later,
  s3Error,
  scriptedBucket,
} from '../../../support/scripted-bucket.ts'

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
    withRoom(
      now,
      waitUntil,
      async () => [bytes, id],
      async () => {
        counts.order.push(id)
        counts.bytes += bytes
        counts.peak = Math.max(counts.peak, counts.bytes)
        await sleep(milliseconds)
        counts.bytes -= bytes
        counts.done += 1
      },
    )
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
  expect([counts.peak, counts.done, seconds]).toEqual([CAP, 0, 15])
  await fakeSeconds(Promise.all(crowd))
  await leftEmpty()
})

// @threat image-bomb
it('lets at most 64 wait, and refuses others at once', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, hold } = counting(100)
  const crowd = Array.from({ length: 64 }, () => hold(CAP))
  const [error, seconds] = await fakeSeconds(hold(1).catch(asApiError))
  expect([error, seconds]).toEqual([expect.objectContaining(BUSY), 0])
  await fakeSeconds(Promise.all(crowd))
  expect(counts.done).toBe(64)
  await leftEmpty()
})

it('gives the turn of a request that gives up to the next one', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, hold } = counting(3000)
  const first = hold(30 * MIB, within(25), 0)
  const givesUp = hold(CAP, within(11), 1).catch(asApiError)
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
    await expect(
      withRoom(within(25), waitUntil, async () => [20 * MIB, null], failing),
    ).rejects.toThrow('broken')
  await leftEmpty()
})

it('keeps the room for what goes on after the work, and keeps the request running', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, hold, waitUntil, works } = counting(0)
  await withRoom(
    within(25),
    waitUntil,
    async () => [CAP, null],
    async (_, during) => {
      during(sleep(3000))
      during(sleep(2000).then(() => Promise.reject(new Error('broken'))))
    },
  )
  expect(works).toHaveLength(1)
  const [, seconds] = await fakeSeconds(hold(CAP))
  expect([counts.done, seconds]).toEqual([1, 3])
  await leftEmpty()
})

// @threat image-bomb
it('gets the room of a lost request back, without anyone who frees it', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, hold, waitUntil } = counting(0)
  void withRoom(
    within(2),
    waitUntil,
    async () => [CAP, null],
    () => new Promise(() => {}),
  )
  const [, seconds] = await fakeSeconds(Promise.all([hold(20 * MIB), hold(20 * MIB)]))
  // A call that began just before the deadline has ten seconds.
  expect([counts.done, seconds]).toEqual([2, 12])
  await leftEmpty()
})

it('lets nobody wait for a request that is still opening its image', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, hold, waitUntil } = counting(0)
  const slow = async () => {
    await sleep(5000)
    return [CAP, null] as const
  }
  const opening = withRoom(within(25), waitUntil, slow, async () => 'opened')
  const [, seconds] = await fakeSeconds(hold(CAP))
  expect([counts.done, seconds]).toEqual([1, 0])
  expect((await fakeSeconds(opening))[0]).toBe('opened')
  await leftEmpty()
})

// @threat image-bomb
it('gets the places in the queue back from requests that were lost while they opened', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, hold, waitUntil } = counting(0)
  const lost = () => new Promise<never>(() => {})
  for (let i = 0; i < 64; i++) void withRoom(within(2), waitUntil, lost, lost)
  await expect(hold(1)).rejects.toMatchObject(BUSY)
  await vi.advanceTimersByTimeAsync(12_000)
  await fakeSeconds(hold(1))
  expect(counts.done).toBe(1)
  await leftEmpty()
})

const loaded = loadEnvironment(env)
if (!loaded.ok) throw new Error('The test configuration is malformed.')
const bucket = findBucket(loaded.settings, 'counted')
const VARIANT: VariantSpec = { ...sizeOf(64), format: 'png', quality: 80 }

/** Counts the bytes of originals that come from a bucket and are held by a resizer. */
async function counted(size: number, statesLength: boolean, milliseconds: number) {
  const small = await twoColorPng(30, 20)
  const pixels = pngChunk('IDAT', new Uint8Array(size - 45))
  const large = joined(PNG_START, pngHeader(300, 200), pixels)
  const counts = { calls: 0, gets: 0, cancelled: 0, bytes: 0, peak: 0 }
  const begin = () => {
    counts.bytes += size
    counts.peak = Math.max(counts.peak, counts.bytes)
  }
  const GetObject: Answer = () => {
    counts.gets += 1
    let at = 0
    const source: UnderlyingByteSource = {
      type: 'bytes',
      pull(controller) {
        if (at === 0) begin()
        controller.enqueue(large.slice(at, at + 256 * 1024))
        at += 256 * 1024
        if (at >= size) controller.close()
      },
      cancel() {
        counts.cancelled += 1
      },
    }
    const headers = new Headers({ ETag: '"e"', 'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT' })
    if (statesLength) headers.set('Content-Length', String(size))
    return new Response(new ReadableStream(source, { highWaterMark: 0 }), { headers })
  }
  scriptedBucket({ GetObject, HeadObject: found(1) })
  const output = async () => {
    counts.calls += 1
    await sleep(milliseconds)
    counts.bytes -= size
    return { response: () => new Response(small) }
  }
  const binding: ImageResizer = { input: () => ({ transform: () => ({ output }) }) }
  const plugins = [...everyPlugin({ images: { binding } }), ...credentials()]
  const Objects = objectsEntrypoint(createPresigner(environmentSettings, { plugins }))
  const show = async (key = `uploads/${crypto.randomUUID()}.png`) => {
    const context = createExecutionContext()
    const ctx = Object.assign(context, { cache: {}, exports: {} })
    const asker = { now: within(25), requestId: 'request-1' }
    const name = parseObjectKey(key)
    const request = await objectRequest('GET', bucket, name, null, VARIANT, asker)
    const answer = await new Objects(ctx, env).fetch(request)
    void waitOnExecutionContext(context)
    const failure: unknown = JSON.parse(decodeURIComponent(answer.headers.get(FAILURE) ?? 'null'))
    return { status: answer.status, failure }
  }
  return { counts, show }
}

// @threat image-bomb
it.each([
  ['20 MiB', 20 * MIB, true, 1],
  ['15 MiB', 15 * MIB, true, 2],
  ['3 MiB', 3 * MIB, true, 5],
  ['3 MiB without Content-Length', 3 * MIB, false, 1],
])('reads at most 40 MiB of originals for a crowd: %s', async (_, size, statesLength, most) => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, show } = await counted(size, statesLength, 100)
  const crowd = Promise.all(Array.from({ length: 6 }, () => show()))
  const [answers] = await fakeSeconds(crowd)
  expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200))
  expect(counts).toEqual({ calls: 6, gets: 6, cancelled: 0, bytes: 0, peak: most * size })
  await leftEmpty()
})

// @threat image-bomb
it('holds room for a call of Cloudflare Images that it has given up', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, show } = await counted(15 * MIB, true, 13_000)
  const [answers] = await fakeSeconds(Promise.all(Array.from({ length: 3 }, () => show())))
  expect(answers.map(({ status }) => status)).toEqual([503, 503, 503])
  expect([counts.calls, counts.peak]).toEqual([3, 30 * MIB])
  await fakeSeconds(sleep(13_000))
  await leftEmpty()
})

// @threat image-costs
it('asks neither the bucket nor Cloudflare Images while 64 requests do or wait', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, show } = await counted(20 * MIB, true, 7000)
  const crowd = Array.from({ length: 70 }, () => show())
  const [answers] = await fakeSeconds(Promise.all(crowd))
  const failures = answers.filter(({ status }) => status === 503)
  for (const { failure } of failures) expect(failure).toMatchObject(BUSY)
  // The third call begins after 14 seconds.
  expect([counts.calls, failures.length, counts.peak]).toEqual([3, 67, 20 * MIB])
  // The others end their requests to the bucket, without reading them.
  expect([counts.gets, counts.cancelled]).toEqual([64, 61])
  await leftEmpty()
})

// @threat image-costs
it('costs one call and one request for 200 clients of an image that takes 13 seconds', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, show } = await counted(MIB, true, 13_000)
  const crowd = Array.from({ length: 200 }, () => show('uploads/crowd.png'))
  const [answers, seconds] = await fakeSeconds(Promise.all(crowd))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]))
  expect([counts.calls, counts.gets, seconds]).toEqual([1, 1, 10])
  await fakeSeconds(sleep(3000))
  await leftEmpty()
})

// @threat image-costs
it('costs one request for 200 clients of a bucket that fails after 9 seconds', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, show } = await counted(MIB, true, 0)
  const sent = scriptedBucket({ GetObject: later(9000, s3Error(503, 'SlowDown')) })
  const crowd = Array.from({ length: 200 }, () => show('uploads/fails.png'))
  const [answers, seconds] = await fakeSeconds(Promise.all(crowd))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]))
  for (const { failure } of answers)
    expect(failure).toMatchObject({ code: 'unavailable', reason: 'storage' })
  expect([counts.calls, sent.length, seconds]).toEqual([0, 1, 9])
  await leftEmpty()
})
