import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { findBucket } from '../../../../src/bucket/find-bucket.ts'
import { sizeOf, type VariantSpec } from '../../../../src/bucket/image-size.ts'
import { RequestTime } from '../../../../src/errors/deadline.ts'
import { createPresigner } from '../../../../src/index.ts'
import { parseObjectKey } from '../../../../src/keys/object-key.ts'
import { objectsEntrypoint } from '../../../../src/plugins/links/cloudflare.ts'
import type { ImageResizer } from '../../../../src/plugins/links/images/variant.ts'
import { FAILURE } from '../../../../src/plugins/links/objects-protocol.ts'
import { loadEnvironment } from '../../../../src/worker/environment.ts'
import { environmentSettings } from '../../../support/environment-settings.ts'
import { credentials, everyPlugin } from '../../../support/every-plugin.ts'
import { FAKE_CLOCK, fakeSeconds } from '../../../support/fake-seconds.ts'
import {
  gifOf,
  joined,
  PNG_START,
  pngChunk,
  pngHeader,
  twoColorPng,
} from '../../../support/images.ts'
import { askObjects } from '../../../support/links.ts'
import { behindCaching } from '../../../support/objects-behind-caching.ts'
import {
  type Answer,
  found,
  later,
  s3Error,
  scriptedBucket,
} from '../../../support/scripted-bucket.ts'

const MIB = 1024 ** 2
const CAP = 40 * MIB
const PIECE = MIB

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const sleep = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds))

const loaded = loadEnvironment(env)
if (!loaded.ok) throw new Error('The test configuration is malformed.')
const bucket = findBucket(loaded.settings, 'counted')
const VARIANT: VariantSpec = { ...sizeOf(64), format: 'png', quality: 80 }

/** The start of a PNG, which passes through, and of a GIF, which is whole in memory. */
const PNG = joined(PNG_START, pngHeader(300, 200), pngChunk('IDAT', new Uint8Array(9)))
const GIF = gifOf(300, 200, 1)

interface Setup {
  readonly start?: Uint8Array
  readonly bytes?: number
  readonly statesLength?: boolean
  /** How long a call takes, and a response of the bucket. */
  readonly callMilliseconds?: number
  readonly bucketMilliseconds?: number
}

/**
 * `Objects` for originals of which each has `bytes`. Counts those that have come from the bucket, until the
 * resizer has read them, or for a whole image has answered.
 */
async function objectsFor(setup: Setup) {
  const { start = PNG, bytes = MIB, statesLength = true } = setup
  const { callMilliseconds = 0, bucketMilliseconds = 0 } = setup
  const small = await twoColorPng(30, 20)
  const passes = start === PNG && statesLength
  const counts = { calls: 0, gets: 0, held: 0, peak: 0 }
  const hold = (more: number) => {
    counts.held += more
    counts.peak = Math.max(counts.peak, counts.held)
  }
  const GetObject: Answer = async () => {
    counts.gets += 1
    await sleep(bucketMilliseconds)
    let at = 0
    const source: UnderlyingByteSource = {
      type: 'bytes',
      pull(controller) {
        const piece = new Uint8Array(Math.min(PIECE, bytes - at))
        if (at === 0) piece.set(start.subarray(0, piece.length))
        at += piece.length
        hold(piece.length)
        controller.enqueue(piece)
        if (at >= bytes) controller.close()
      },
      cancel() {
        counts.held -= at
      },
    }
    const headers = new Headers({ ETag: '"e"', 'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT' })
    if (statesLength) headers.set('Content-Length', String(bytes))
    return new Response(new ReadableStream(source, { highWaterMark: 0 }), { headers })
  }
  scriptedBucket({ GetObject, HeadObject: found(1) })
  const binding: ImageResizer = {
    input: (image) => ({
      transform: () => ({
        async output() {
          counts.calls += 1
          let size = 0
          for await (const piece of image) {
            size += piece.byteLength
            if (passes) counts.held -= piece.byteLength
          }
          await sleep(callMilliseconds)
          if (!passes) counts.held -= size
          return { response: () => new Response(small) }
        },
      }),
    }),
  }
  const plugins = [
    ...everyPlugin({ images: { binding }, links: { entrypoint: null } }),
    ...credentials(),
  ]
  const objects = behindCaching(
    objectsEntrypoint(createPresigner(environmentSettings, { plugins })),
  )
  const show = async (key = `uploads/${crypto.randomUUID()}.png`, fetch = objects.fetch) => {
    const begun = Date.now()
    const asker = { now: new RequestTime(begun + 25_000), requestId: 'request-1' }
    const name = parseObjectKey(key)
    const asked = await askObjects(bucket, name, { variant: VARIANT, asker })
    const answer = await fetch(asked)
    const failure: unknown = JSON.parse(decodeURIComponent(answer.headers.get(FAILURE) ?? 'null'))
    await answer.arrayBuffer()
    return { status: answer.status, failure, seconds: (Date.now() - begun) / 1000 }
  }
  return { counts, show, run: objects.run, purge: objects.purge }
}

const crowd = <T>(count: number, show: () => Promise<T>) =>
  fakeSeconds(Promise.all(Array.from({ length: count }, () => show())))

// @threat image-bomb
it('shows 120 pictures on a page of 120 new thumbnails', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const times = { callMilliseconds: 400, bucketMilliseconds: 100 }
  const { counts, show } = await objectsFor({ bytes: 237, ...times })
  const [answers, seconds] = await crowd(120, show)
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect([counts.calls, counts.gets]).toEqual([120, 120])
  expect(seconds).toBeLessThan(15)
})

describe('30 originals of 20 MiB at once', () => {
  // @threat image-bomb
  it.each([
    ['that pass through', PNG, 1],
    ['that are whole in memory', GIF, 2],
  ])('%s are all served, and at most 40 MiB are in memory', async (_, start, gets) => {
    vi.useFakeTimers(FAKE_CLOCK)
    const { counts, show } = await objectsFor({ start, bytes: 20 * MIB, callMilliseconds: 300 })
    const [answers] = await crowd(30, show)
    expect(answers.map(({ status }) => status)).toEqual(Array(30).fill(200))
    expect([counts.calls, counts.gets, counts.held]).toEqual([30, 30 * gets, 0])
    expect(counts.peak).toBeLessThanOrEqual(CAP)
    expect(counts.peak).toBeGreaterThan(start === GIF ? 20 * MIB - 1 : 0)
  })

  // @threat image-bomb
  it('are refused only after 20 seconds, without a request to the bucket', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    const { counts, show } = await objectsFor({
      start: GIF,
      bytes: 20 * MIB,
      callMilliseconds: 900,
    })
    const [answers] = await crowd(30, show)
    const refused = answers.filter(({ status }) => status !== 200)
    expect([refused.length, counts.calls]).toEqual([7, 23])
    for (const { failure, seconds } of refused) {
      expect(failure).toMatchObject({ code: 'unavailable', reason: 'images', retryAfterSeconds: 5 })
      expect(seconds).toBeGreaterThanOrEqual(20)
    }
    expect(counts.peak).toBeLessThanOrEqual(CAP)
    expect(counts.gets).toBeLessThan(2 * 30)
  })
})

// @threat image-bomb
it.each([
  ['15 MiB', 15 * MIB, true, 2],
  ['3 MiB', 3 * MIB, true, 5],
  ['3 MiB without Content-Length', 3 * MIB, false, 1],
])(
  'holds at most 40 MiB of whole originals for a crowd: %s',
  async (_, bytes, statesLength, most) => {
    vi.useFakeTimers(FAKE_CLOCK)
    const setup = { start: GIF, bytes, statesLength, callMilliseconds: 100 }
    const { counts, show } = await objectsFor(setup)
    const [answers] = await crowd(6, show)
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(200))
    expect([counts.calls, counts.held]).toEqual([6, 0])
    expect(counts.peak).toBeGreaterThanOrEqual(most * bytes)
    expect(counts.peak).toBeLessThan((most + 1) * bytes)
  },
)

// @threat image-bomb
it('holds room for a call of Cloudflare Images that it has given up', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, show } = await objectsFor({
    start: GIF,
    bytes: 15 * MIB,
    callMilliseconds: 13_000,
  })
  const [answers] = await crowd(3, show)
  expect(answers.map(({ status }) => status)).toEqual([503, 503, 503])
  expect([counts.calls, counts.peak < 45 * MIB]).toEqual([3, true])
  await fakeSeconds(sleep(13_000))
})

// @threat image-outdated
it('makes an image again for those who ask after its object was deleted or replaced', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, show, run, purge } = await objectsFor({ bytes: 237, callMilliseconds: 1000 })
  const key = 'uploads/replaced.png'
  const later = async () => {
    await sleep(500)
    expect(await purge(bucket.alias, [key])).toBeNull()
    return show(key, run)
  }
  await fakeSeconds(Promise.all([show(key, run), later()]))
  expect([counts.calls, counts.gets]).toEqual([2, 2])
})

// @threat image-costs
it('costs one call and one request for 200 clients of an image that takes 13 seconds', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, show } = await objectsFor({ bytes: 237, callMilliseconds: 13_000 })
  const [answers, seconds] = await crowd(200, () => show('uploads/crowd.png'))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]))
  expect([counts.calls, counts.gets, seconds]).toEqual([1, 1, 10])
  await fakeSeconds(sleep(3000))
})

// @threat image-costs
it('costs one request for 200 clients of a bucket that fails after 9 seconds', async () => {
  vi.useFakeTimers(FAKE_CLOCK)
  const { counts, show, run } = await objectsFor({})
  const sent = scriptedBucket({ GetObject: later(9000, s3Error(503, 'SlowDown')) })
  const [answers, seconds] = await crowd(200, () => show('uploads/fails.png', run))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]))
  for (const { failure } of answers)
    expect(failure).toMatchObject({ code: 'unavailable', reason: 'storage' })
  expect([counts.calls, sent.length, seconds]).toEqual([0, 1, 9])
})
