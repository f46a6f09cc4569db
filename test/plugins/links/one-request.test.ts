import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Objects } from '../../../examples/everything/src/worker.ts'
import { findBucket } from '../../../src/bucket/find-bucket.ts'
import { sizeOf } from '../../../src/bucket/image-size.ts'
import { RequestTime } from '../../../src/errors/deadline.ts'
import { type ObjectKey, parseObjectKey } from '../../../src/keys/object-key.ts'
import { objectRequest } from '../../../src/plugins/links/edge-objects.ts'
import { FAILURE } from '../../../src/plugins/links/objects-protocol.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { captureLog } from '../../support/capture-log.ts'
import { FAKE_CLOCK, fakeSeconds } from '../../support/fake-seconds.ts'
import { textOf } from '../../support/links.ts'
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
  const ctx = behindCache ? Object.assign(context, { cache, exports: {} }) : context
  const asker = { now: new RequestTime(Date.now() + seconds * 1000), requestId: 'request-1' }
  const request = await objectRequest(method, bucket, key, range, variant, asker)
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

const PART = answer(206, '0123456789', {
  ...OBJECT,
  'Content-Range': 'bytes 0-9/1000000',
})

/** Returns bodies that arrive in pieces, one in each second of the fake clock. */
function slowBodies() {
  const bodies = {
    unfinished: 0,
    canceled: 0,
    next(pieces: number): Response {
      bodies.unfinished += 1
      let left = pieces
      const source: UnderlyingByteSource = {
        type: 'bytes',
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 1000))
          controller.enqueue(new Uint8Array(10_000))
          left -= 1
          if (left > 0) return
          controller.close()
          bodies.unfinished -= 1
        },
        cancel() {
          bodies.canceled += 1
        },
      }
      const headers = { ...OBJECT, 'Content-Length': String(pieces * 10_000) }
      return new Response(new ReadableStream(source), { headers })
    },
  }
  return bodies
}

describe('40 clients of one cold link', () => {
  // @threat bucket-busy
  it.each([
    ['with the Cache API', {}],
    ['behind Workers Caching', { behindCache: true }],
    ['of a range', { range: 'bytes=0-9' }],
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
      expect(failureIn(response)).toMatchObject({ code: 'storage_busy', retryAfterSeconds: 7 })
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

  it('wait for a slow bucket, and share its object', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    const sent = scriptedBucket({ GetObject: later(200, object('pixels')) })
    const key = newKey()
    const clients = Array.from({ length: 40 }, async () => textOf(await ask(key)))
    const [texts] = await fakeSeconds(Promise.all(clients))
    expect(new Set(texts)).toEqual(new Set(['pixels']))
    expect(sent).toHaveLength(1)
  })

  it('keep the first request running when its client disconnects', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    scriptedBucket({ GetObject: later(200, BUSY) })
    const context = createExecutionContext()
    const kept = vi.spyOn(context, 'waitUntil')
    const answered = new Objects(context, env).fetch(
      await objectRequest('GET', bucket, newKey(), null),
    )
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
    expect(failureIn(response)).toMatchObject({ code: 'storage_busy' })
    expect(seconds).toBeCloseTo(4, 1)
  })

  it('give a HEAD ten seconds, with the request for its code', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    scriptedBucket({ HeadObject: later(9000, answer(404)), GetObject: hanging })
    const [response, seconds] = await fakeSeconds(ask(newKey(), { method: 'HEAD' }))
    expect([failureIn(response).code, seconds]).toEqual(['object_not_found', 10])
  })

  // @threat request-slow
  it('ask for a range by itself when the whole object takes more than a second', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    const bodies = slowBodies()
    const requests = scriptedBucket({
      GetObject: (sent) => (sent.headers.has('Range') ? PART(sent) : bodies.next(100)),
    })
    const key = newKey()
    const [response, seconds] = await fakeSeconds(ask(key, { range: 'bytes=0-9' }))
    expect([response.status, await textOf(response)]).toEqual([206, '0123456789'])
    expect(seconds).toBe(1)
    expect(requests).toHaveLength(3)
    // The whole is stored for the next request anyway.
    while (bodies.unfinished > 0) await vi.advanceTimersByTimeAsync(1000)
    vi.useRealTimers()
    const next = await ask(key, { range: 'bytes=0-9' })
    expect([next.status, (await next.arrayBuffer()).byteLength]).toEqual([206, 10])
    expect(requests).toHaveLength(3)
  })

  it('wait for no original that is too large to be resized', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    const LENGTH = { 'Content-Length': String(21 * 1024 ** 2) }
    const requests = scriptedBucket({
      GetObject: [answer(200, '', { ...OBJECT, ...LENGTH }), object('pixels')],
    })
    const key = newKey()
    expect(failureIn(await ask(key, { variant: IMAGE })).code).toBe('unsupported_image')
    const [response, seconds] = await fakeSeconds(ask(key))
    expect([await textOf(response), seconds]).toEqual(['pixels', 0])
    expect(requests).toHaveLength(2)
  })

  // @threat bucket-busy
  it('read a slow object once for clients that leave', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    const bodies = slowBodies()
    const requests = scriptedBucket({
      GetObject: (sent) => (sent.headers.has('Range') ? PART(sent) : bodies.next(20)),
    })
    const key = newKey()
    const openAndLeave = async () => (await ask(key)).body?.cancel()
    await fakeSeconds(Promise.all(Array.from({ length: 20 }, openAndLeave)))
    expect(requests).toHaveLength(20)
    while (bodies.unfinished > bodies.canceled) await vi.advanceTimersByTimeAsync(1000)
    expect(bodies.canceled).toBe(19)
    // A part needs neither the whole object nor its copy.
    const [part, seconds] = await fakeSeconds(ask(key, { range: 'bytes=0-9' }))
    expect([part.status, seconds]).toEqual([206, 0])
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
