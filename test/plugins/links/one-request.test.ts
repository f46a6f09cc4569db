import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Objects } from '../../../examples/everything/src/worker.ts'
import { findBucket } from '../../../src/bucket/find-bucket.ts'
import { sizeOf } from '../../../src/bucket/image-size.ts'
import { RequestTime } from '../../../src/errors/deadline.ts'
import { type ObjectKey, parseObjectKey } from '../../../src/keys/object-key.ts'
import { FAILURE } from '../../../src/plugins/links/objects-protocol.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { captureLog } from '../../support/capture-log.ts'
import { FAKE_CLOCK, fakeSeconds } from '../../support/fake-seconds.ts'
import { askObjects, textOf } from '../../support/links.ts'
import { PATIENCE } from '../../support/patience.ts'
import { answer, found, hanging, later, scriptedBucket } from '../../support/scripted-bucket.ts'

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

const loaded = loadEnvironment(env)
if (!loaded.ok) throw new Error('The test configuration is malformed.')
const bucket = findBucket(loaded.settings, 'counted')
const IMAGE = { ...sizeOf(64), format: 'png', quality: 80 } as const
const BUSY = answer(503, null, { 'Retry-After': '7' })
const newKey = () => parseObjectKey(`crowd/${crypto.randomUUID()}.png`)

interface Asked {
  readonly range?: string
  readonly variant?: typeof IMAGE
  readonly behindCache?: boolean
  readonly seconds?: number
  readonly method?: 'GET' | 'HEAD'
}

/** Asks `Objects` for an object, with the Cache API or behind a stand-in for Workers Caching. */
async function ask(key: ObjectKey, asked: Asked = {}): Promise<Response> {
  const { range = null, variant = null, behindCache = false, seconds = 25, method = 'GET' } = asked
  const context = createExecutionContext()
  const cache = { purge: async () => ({ success: true, errors: [] }) }
  const ctx = Object.assign(context, { exports: {} }, behindCache && { cache })
  const asker = { now: new RequestTime(Date.now() + seconds * 1000), requestId: 'request-1' }
  const request = await askObjects(bucket, key, { method, range, variant, asker })
  const response = await new Objects(ctx, env).fetch(request)
  return response
}

const failureIn = ({ headers }: Response) =>
  JSON.parse(decodeURIComponent(headers.get(FAILURE) ?? 'null'))

const OBJECT = { ETag: '"e"', 'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT' }

const object = (body: string) =>
  answer(200, body, {
    ...OBJECT,
    'Content-Length': String(body.length),
    'Content-Type': 'image/png',
  })

describe('40 clients of one cold link', () => {
  // @threat bucket-busy
  it.each([
    ['with the Cache API', {}],
    ['behind Workers Caching', { behindCache: true }],
    ['of a resized image', { variant: IMAGE }],
    ['of a resized image behind Workers Caching', { variant: IMAGE, behindCache: true }],
  ] as const)('%s, are one request to a bucket that is busy', async (_, asked) => {
    vi.useFakeTimers(FAKE_CLOCK)
    const sent = scriptedBucket({ GetObject: later(200, BUSY) })
    const key = newKey()
    const clients = Array.from({ length: 40 }, () => ask(key, asked))
    const [responses] = await fakeSeconds(Promise.all(clients))
    expect(sent).toHaveLength(1)
    for (const response of responses)
      expect(failureIn(response)).toMatchObject({
        code: 'unavailable',
        reason: 'storage',
        retryAfterSeconds: 7,
      })
    // Nobody who comes later gets an old answer.
    await fakeSeconds(ask(key, asked))
    expect(sent).toHaveLength(2)
  })

  // @threat bucket-stalls
  it.each([
    ['with the Cache API', false],
    ['behind Workers Caching', true],
  ])('of a resized image %s, are one request when its body stalls', async (_, behindCache) => {
    vi.useFakeTimers(FAKE_CLOCK)
    const source: UnderlyingByteSource = { type: 'bytes', pull: () => new Promise(() => {}) }
    const sent = scriptedBucket({
      GetObject: () =>
        new Response(new ReadableStream(source), {
          headers: {
            'Content-Length': '10',
            ETag: '"e"',
            'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT',
          },
        }),
    })
    const key = newKey()
    const asked = { variant: IMAGE, behindCache }
    const clients = Array.from({ length: 40 }, () => ask(key, asked))
    const [responses, seconds] = await fakeSeconds(Promise.all(clients))
    expect(sent).toHaveLength(1)
    expect(seconds).toBeLessThan(21)
    for (const response of responses)
      expect(failureIn(response)).toMatchObject({ code: 'storage_error' })
  })

  it('keep the first request running when its client disconnects', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    scriptedBucket({ GetObject: later(200, BUSY) })
    const context = createExecutionContext()
    const kept = vi.spyOn(context, 'waitUntil')
    const answered = new Objects(context, env).fetch(await askObjects(bucket, newKey()))
    expect(kept).toHaveBeenCalledTimes(1)
    const [response] = await fakeSeconds(Promise.resolve(kept.mock.calls[0]?.[0]))
    expect(response).toBe(await answered)
  })

  it('do not wait for a request that the runtime has cancelled', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    const sent = scriptedBucket({ GetObject: [hanging, object('pixels')] })
    // Never aborts, as if its request was gone.
    vi.spyOn(AbortController.prototype, 'abort').mockImplementationOnce(() => {})
    const key = newKey()
    const gone = ask(key, { seconds: 1 })
    const [text, seconds] = await fakeSeconds(ask(key).then(textOf))
    expect([text, seconds >= 1 && seconds < 2]).toEqual(['pixels', true])
    expect(sent).toHaveLength(2)
    void gone
  })
})

describe('Objects', () => {
  // @threat request-slow
  it.each([
    ['an object', {}],
    ['a range', { range: 'bytes=0-9' }],
    ['behind Workers Caching', { behindCache: true }],
    ['a HEAD', { method: 'HEAD' }],
    ['a resized image', { variant: IMAGE }],
  ] as const)('keep the deadline of the request that asks: %s', async (_, asked) => {
    vi.useFakeTimers(FAKE_CLOCK)
    scriptedBucket({ GetObject: hanging, HeadObject: hanging })
    const [response, seconds] = await fakeSeconds(ask(newKey(), { ...asked, seconds: 4 }))
    expect(failureIn(response)).toMatchObject({ code: 'unavailable', reason: 'storage' })
    expect(seconds).toBeCloseTo(4, 1)
  })

  it('give a HEAD ten seconds, with the request for its code', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    scriptedBucket({ HeadObject: later(9000, answer(404)), GetObject: hanging })
    const [response, seconds] = await fakeSeconds(ask(newKey(), { method: 'HEAD' }))
    expect([failureIn(response).code, seconds]).toEqual(['object_not_found', 10])
  })
})

describe('a delivery that the bucket cuts', () => {
  // @threat delivery-cut
  it.each([
    ['fewer', 5],
    ['more', 15],
  ])('is logged when the bucket sends %s bytes than its Content-Range says', async (_, bytes) => {
    const lines = captureLog()
    scriptedBucket({
      GetObject: answer(206, 'x'.repeat(bytes), {
        'Content-Range': 'bytes 0-9/100000000',
        ETag: '"e"',
        'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT',
      }),
    })
    const response = await ask(newKey(), { range: 'bytes=0-9' })
    await expect(response.arrayBuffer()).rejects.toThrow()
    await vi.waitUntil(() => lines.some((text) => text.includes('delivery cut')), PATIENCE)
  })

  // @threat delivery-cut
  it.each([
    ['with the Cache API', {}],
    ['behind Workers Caching', { behindCache: true }],
    ['of a large range', { range: 'bytes=0-9' }],
  ] as const)('is logged as cut, with the id of the request: %s', async (_, asked) => {
    const lines = captureLog()
    const cut = () => {
      let sent = 0
      const source: UnderlyingByteSource = {
        type: 'bytes',
        pull(controller) {
          sent += 1
          if (sent === 1) controller.enqueue(new Uint8Array(5))
          else controller.error(new Error('Network connection lost.'))
        },
      }
      const isPart = 'range' in asked
      return new Response(new ReadableStream(source), {
        status: isPart ? 206 : 200,
        headers: {
          'Content-Length': '10',
          'Content-Range': 'bytes 0-9/100000000',
          ETag: '"e"',
          'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT',
        },
      })
    }
    scriptedBucket({ GetObject: cut, HeadObject: found(10) })
    const response = await ask(newKey(), asked)
    await expect(response.arrayBuffer()).rejects.toThrow()
    const line = await vi.waitUntil(
      () => lines.find((text) => text.includes('delivery cut')),
      PATIENCE,
    )
    expect(JSON.parse(line)).toEqual({
      warning: 'delivery cut',
      requestId: 'request-1',
      bucket: 'counted',
      reason: expect.stringContaining('Network connection lost.'),
    })
  })
})
