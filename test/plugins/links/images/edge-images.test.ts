import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { findBucket } from '../../../../src/bucket/find-bucket.ts'
import { DEFAULT_IMAGE_SIZES, sizeOf, type VariantSpec } from '../../../../src/bucket/image-size.ts'
import { createPresigner } from '../../../../src/index.ts'
import { newObjectKey } from '../../../../src/keys/new-key.ts'
import { type ObjectKey, parseObjectKey } from '../../../../src/keys/object-key.ts'
import { objectsEntrypoint } from '../../../../src/plugins/links/cloudflare.ts'
import { objectRequest } from '../../../../src/plugins/links/edge-objects.ts'
import type { ImageResizer } from '../../../../src/plugins/links/images/variant.ts'
import { FAILURE } from '../../../../src/plugins/links/objects-protocol.ts'
import { environmentSettings, loadEnvironment } from '../../../../src/worker/environment.ts'
import { captureLog } from '../../../support/capture-log.ts'
import { inWords } from '../../../support/errors.ts'
import { credentials, everyPlugin } from '../../../support/every-plugin.ts'
import { joined, PNG_START, pngChunk, pngHeader, twoColorPng } from '../../../support/images.ts'
import { type Answer, found, scriptedBucket } from '../../../support/scripted-bucket.ts'

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

const loaded = loadEnvironment(env)
if (!loaded.ok) throw new Error('The test configuration is malformed.')
const bucket = findBucket(loaded.settings, 'counted')
const VARIANT: VariantSpec = { ...sizeOf(64), format: 'png', quality: 80 }
const PNG = await twoColorPng(30, 20)
const SMALL = await twoColorPng(15, 10)

const codeOf = ({ headers }: Response) =>
  inWords(JSON.parse(decodeURIComponent(headers.get(FAILURE) ?? '{}')))

const newKey = () => newObjectKey({ fileName: 'a.png', prefix: 'images/', now: new Date() })
const chosenKey = () => parseObjectKey(`images/${crypto.randomUUID()}/a.png`)

/** Answers with an object of these bytes. */
const objectOf =
  (bytes: Uint8Array<ArrayBuffer>, statesLength = true): Answer =>
  () => {
    const headers = { ETag: '"e"', 'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT' }
    if (statesLength)
      return new Response(bytes, { headers: { ...headers, 'Content-Length': `${bytes.length}` } })
    const pipe = new IdentityTransformStream()
    const writer = pipe.writable.getWriter()
    void writer.write(bytes).then(() => writer.close())
    return new Response(pipe.readable, { headers })
  }

/**
 * `Objects` in front of a bucket that answers `GetObject`, with the Cache API or behind a stand-in
 * for Workers Caching. Counts calls of a resizer that runs `during` each, and requests for the object.
 */
function objectsOf(
  GetObject: Answer,
  behindCache = false,
  during = async () => {},
  entrypoint: string | null = 'Objects',
  result = SMALL,
) {
  const sent = scriptedBucket({ GetObject, HeadObject: found(1) })
  const counts = { calls: 0, gets: 0 }
  const binding: ImageResizer = {
    input: () => ({
      transform: () => ({
        async output() {
          counts.calls += 1
          await during()
          return { response: () => new Response(result) }
        },
      }),
    }),
  }
  const plugins = [...everyPlugin({ images: { binding }, links: { entrypoint } }), ...credentials()]
  const Objects = objectsEntrypoint(createPresigner(environmentSettings, { plugins }))
  const cached = new Map<string, Response>()
  const cache = {
    async purge() {
      cached.clear()
      return { success: true, errors: [] }
    },
  }
  async function run<T>(work: (objects: InstanceType<typeof Objects>) => Promise<T>): Promise<T> {
    const context = createExecutionContext()
    const ctx = behindCache
      ? Object.assign(context, { cache, exports: { Objects: stub } })
      : context
    const result = await work(new Objects(ctx, env))
    await waitOnExecutionContext(context)
    return result
  }
  const stub = {
    async fetch(request: Request): Promise<Response> {
      const name = `${request.method} ${request.url}`
      const kept = behindCache ? cached.get(name) : undefined
      if (kept !== undefined) return kept.clone()
      const answer = await run(async (objects) => {
        const { status, headers, body } = await objects.fetch(request)
        return new Response(body && (await new Response(body).arrayBuffer()), { status, headers })
      })
      if (answer.headers.get('Cache-Control') !== 'no-store') cached.set(name, answer.clone())
      return answer
    },
  }
  return {
    counts,
    async show(key: ObjectKey, variant: VariantSpec | null = VARIANT, range: string | null = null) {
      const request = await objectRequest('GET', bucket, key, range, variant)
      const answer = await stub.fetch(request)
      counts.gets = sent.filter(({ operation }) => operation === 'GetObject').length
      return answer
    },
    purge: (key: ObjectKey) => run((objects) => objects.purge('counted', [key])),
  }
}

const CACHES = [
  ['with the Cache API', false],
  ['behind Workers Caching', true],
] as const

describe.each(CACHES)('%s,', (_, behindCache) => {
  // @threat image-costs copy-broken
  it('keeps an image from a bucket that sends no Content-Length, and not its original', async () => {
    const { counts, show } = objectsOf(objectOf(PNG, false), behindCache)
    const key = newKey()
    const puts = vi.spyOn(caches.default, 'put')
    for (let i = 0; i < 3; i++) expect((await show(key)).status).toBe(200)
    expect(counts).toEqual({ calls: 1, gets: 1 })
    for (const [, { headers }] of puts.mock.calls)
      expect(headers.get('Cache-Control')).not.toBe('no-store')
  })

  // @threat image-costs
  it('asks the bucket once for 16 widths in 4 formats', async () => {
    const { counts, show } = objectsOf(objectOf(PNG), behindCache)
    const key = newKey()
    for (const size of DEFAULT_IMAGE_SIZES)
      for (const format of ['avif', 'webp', 'jpeg', 'png'] as const)
        await show(key, { ...size, format, quality: 80 })
    expect(counts).toEqual({ calls: 64, gets: 1 })
    expect((await show(key, null)).status).toBe(200)
    expect(counts.gets).toBe(1)
  })

  // @threat image-costs
  it('asks the bucket once for all sizes of an original that many ask for at once', async () => {
    const { counts, show } = objectsOf(objectOf(PNG), behindCache)
    const key = newKey()
    if (behindCache) await show(key, null)
    await Promise.all(DEFAULT_IMAGE_SIZES.map((size) => show(key, { ...VARIANT, ...size })))
    expect(counts).toEqual({ calls: DEFAULT_IMAGE_SIZES.length, gets: 1 })
  })

  // @threat image-costs image-outdated
  it('keeps that an object is no image to resize, for every isolate, until a purge', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const { counts, show, purge } = objectsOf(objectOf(new Uint8Array(9), false), behindCache)
    const key = newKey()
    for (const range of [null, 'bytes=0-1', null]) {
      expect(codeOf(await show(key, VARIANT, range))).toBe('unsupported_image')
      // What this isolate itself remembers is over by then.
      vi.setSystemTime(Date.now() + 11_000)
    }
    expect(counts).toEqual({ calls: 0, gets: 1 })
    await purge(key)
    expect(codeOf(await show(key))).toBe('unsupported_image')
    expect(counts.gets).toBe(2)
  })

  // @threat image-costs
  it('keeps that Cloudflare Images can not read an image', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const broken = () => Promise.reject(Object.assign(new Error('broken'), { code: 9523 }))
    const { counts, show } = objectsOf(objectOf(PNG), behindCache, broken)
    const key = newKey()
    for (let i = 0; i < 3; i++) {
      expect(codeOf(await show(key))).toBe('unsupported_image')
      vi.setSystemTime(Date.now() + 11_000)
    }
    expect(counts).toEqual({ calls: 1, gets: 1 })
  })
})

// @threat image-costs
it('keeps for a minute that it could not read an original that may have been cut', async () => {
  for (const [, behindCache] of CACHES)
    for (const [statesLength, seconds] of [
      [true, 3600],
      [false, 60],
    ] as const) {
      const { show } = objectsOf(objectOf(PNG.slice(0, 9), statesLength), behindCache)
      const lifetime = `public, max-age=${seconds}, must-revalidate`
      expect((await show(newKey())).headers.get('Cache-Control')).toBe(lifetime)
    }
})

// @threat image-outdated
it.each([
  [9412, 3600],
  [9516, 60],
  [9523, 60],
])('keeps error %i of Cloudflare Images for %i seconds', async (code, seconds) => {
  for (const [, behindCache] of CACHES) {
    const failing = () => Promise.reject(Object.assign(new Error('no'), { code }))
    const { show } = objectsOf(objectOf(PNG), behindCache, failing)
    const lifetime = `public, max-age=${seconds}, must-revalidate`
    expect((await show(newKey())).headers.get('Cache-Control')).toBe(lifetime)
  }
})

it('keeps no failure of Cloudflare Images that will pass', async () => {
  for (const [, behindCache] of CACHES) {
    const failing = () =>
      Promise.reject(
        Object.assign(new Error('Unexpected error response 503: busy'), { code: 9523 }),
      )
    const { show } = objectsOf(objectOf(PNG), behindCache, failing)
    const answer = await show(newKey())
    expect([codeOf(answer), answer.headers.get('Cache-Control')]).toEqual([
      'unavailable images',
      'no-store',
    ])
  }
})

it('reads neither the original nor a copy of it if it is too large', async () => {
  const pull = () => Promise.reject(new Error('must not be read'))
  const huge: Answer = () =>
    new Response(new ReadableStream({ type: 'bytes', pull }, { highWaterMark: 0 }), {
      headers: {
        'Content-Length': `${21 * 1024 ** 2}`,
        ETag: '"e"',
        'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT',
      },
    })
  const { counts, show } = objectsOf(huge)
  const key = newKey()
  for (let i = 0; i < 2; i++) expect(codeOf(await show(key))).toBe('unsupported_image')
  expect(counts).toEqual({ calls: 0, gets: 1 })
})

// @threat copy-other-bucket
it('asks no entrypoint for the original that may have other settings', async () => {
  const { counts, show } = objectsOf(objectOf(PNG), true, undefined, null)
  const key = newKey()
  await show(key, null)
  expect((await show(key)).status).toBe(200)
  expect(counts.gets).toBe(2)
})

// @threat copy-outdated
it('keeps an image of a chosen key no longer than the copy that it comes from', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const key = chosenKey()
  const { counts, show } = objectsOf(objectOf(PNG), true)
  await show(key, null)
  vi.setSystemTime(Date.now() + 40_000)
  const image = await show(key)
  expect(image.headers.get('Cache-Control')).toMatch(/^public, max-age=(19|20), must-revalidate$/)
  expect(counts).toEqual({ calls: 1, gets: 1 })
})

// @threat image-costs
it.each(CACHES)('%s, makes no image that it could not keep', async (_, behindCache) => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const key = chosenKey()
  const slowly = async () => void vi.setSystemTime(Date.now() + 300)
  const { counts, show } = objectsOf(objectOf(PNG), behindCache, slowly)
  await show(key)
  // The copy of the original lives for another half second, and that of the image does not.
  vi.setSystemTime(Date.now() + 59_200)
  const other = { ...VARIANT, ...sizeOf(32) }
  for (let i = 0; i < 3; i++) expect((await show(key, other)).status).toBe(200)
  expect(counts).toEqual({ calls: 2, gets: 2 })
})

// @threat copy-outdated
it('counts the time to make an image as part of that minute', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const slowly = async () => void vi.setSystemTime(Date.now() + 6000)
  for (const [, behindCache] of CACHES) {
    const put = vi.spyOn(caches.default, 'put')
    const { show } = objectsOf(objectOf(PNG), behindCache, slowly)
    const image = await show(chosenKey())
    const stored = put.mock.calls.find(([url]) => String(url).includes('fmt='))?.[1]
    const { headers } = behindCache ? image : (stored ?? new Response())
    expect(headers.get('Cache-Control')).toMatch(/^public, max-age=5[34], must-revalidate$/)
    put.mockRestore()
  }
})

// @threat image-bomb
it.each([
  ['sends a large image from its copy, also to those who waited for it', 300, 2],
  ['sends a small image at once', 200, 0],
])('%s', async (_, kibibytes, copies) => {
  const pixels = pngChunk('IDAT', new Uint8Array(kibibytes * 1024))
  const end = pngChunk('IEND', new Uint8Array())
  const image = joined(PNG_START, pngHeader(15, 10), pixels, end)
  const { counts, show } = objectsOf(objectOf(PNG), false, undefined, undefined, image)
  const match = vi.spyOn(caches.default, 'match')
  const key = newKey()
  const crowd = await Promise.all([show(key), show(key)])
  for (const answer of crowd) expect((await answer.arrayBuffer()).byteLength).toBe(image.length)
  const found = await Promise.all(match.mock.results.map(({ value }) => value))
  const isImage = (one: Response | undefined) => one?.headers.get('Content-Type') === 'image/png'
  expect([counts.calls, found.filter(isImage).length]).toEqual([1, copies])
})

// @threat image-bomb
it('sends a large image where the Cache API keeps nothing', async () => {
  vi.spyOn(caches.default, 'put').mockResolvedValue()
  const pixels = pngChunk('IDAT', new Uint8Array(300 * 1024))
  const image = joined(PNG_START, pngHeader(15, 10), pixels, pngChunk('IEND', new Uint8Array()))
  const { show } = objectsOf(objectOf(PNG), false, undefined, undefined, image)
  expect((await (await show(newKey())).arrayBuffer()).byteLength).toBe(image.length)
})

// @threat copy-undeleted
it('keeps no copy of an original that was deleted while it was resized', async () => {
  const key = newKey()
  const { counts, show, purge } = objectsOf(async (sent) => {
    const answer = await objectOf(PNG)(sent)
    if (counts.gets === 0) await purge(key)
    counts.gets = 1
    return answer
  }, false)
  expect((await show(key)).status).toBe(200)
  await show(key, { ...VARIANT, ...sizeOf(32) })
  expect(counts.gets).toBe(2)
})

/** Loads the module as a new isolate would. */
function newIsolate(
  name: string,
): Promise<typeof import('../../../../src/plugins/links/images/edge-variants.ts')> {
  const path = `../../../../src/plugins/links/images/edge-variants.ts?isolate=${name}`
  return import(/* @vite-ignore */ path)
}

// @threat image-costs
it('warns once where the Cache API keeps nothing', async () => {
  const { putVariant } = await newIsolate('without-copies')
  const lines = captureLog()
  vi.spyOn(caches.default, 'put').mockResolvedValue()
  const url = `https://objects.invalid/${crypto.randomUUID()}`
  for (const query of ['w=1', 'w=2'])
    await putVariant({ url, query }, 'generation', new Response('pixels'))
  expect(lines).toEqual(['{"warning":"resized images are not kept"}'])
})

it('does not warn where it keeps them', async () => {
  const { putVariant } = await newIsolate('with-copies')
  const lines = captureLog()
  const url = `https://objects.invalid/${crypto.randomUUID()}`
  const headers = { 'Cache-Control': 'max-age=60' }
  const expired = { 'Cache-Control': 'no-store' }
  for (const one of [expired, headers])
    await putVariant({ url, query: 'w=1' }, 'generation', new Response('pixels', { headers: one }))
  expect(lines).toEqual([])
})
