import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { findBucket } from '../../../../src/bucket/find-bucket.ts'
import { DEFAULT_IMAGE_SIZES, sizeOf, type VariantSpec } from '../../../../src/bucket/image-size.ts'
import { createPresigner } from '../../../../src/index.ts'
import { newObjectKey } from '../../../../src/keys/new-key.ts'
import { type ObjectKey, parseObjectKey } from '../../../../src/keys/object-key.ts'
import { objectsEntrypoint } from '../../../../src/plugins/links/cloudflare.ts'
import type { ImageResizer } from '../../../../src/plugins/links/images/variant.ts'
import { FAILURE } from '../../../../src/plugins/links/objects-protocol.ts'
import { deleteObject } from '../../../../src/storage/object.ts'
import { loadEnvironment } from '../../../../src/worker/environment.ts'
import { environmentSettings } from '../../../support/environment-settings.ts'
import { inWords } from '../../../support/errors.ts'
import { credentials, everyPlugin } from '../../../support/every-plugin.ts'
import { twoColorPng } from '../../../support/images.ts'
import { askObjects, putObject, putUnder, requestsFor } from '../../../support/links.ts'
import { behindCaching } from '../../../support/objects-behind-caching.ts'
import { PATIENCE } from '../../../support/patience.ts'
import { type Answer, answer, scriptedBucket } from '../../../support/scripted-bucket.ts'

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

/** The entrypoint with this resizer. */
const entrypointWith = (binding: ImageResizer, entrypoint: string | null = 'Objects') =>
  objectsEntrypoint(
    createPresigner(environmentSettings, {
      plugins: [...everyPlugin({ images: { binding }, links: { entrypoint } }), ...credentials()],
    }),
  )

/** What answers below `Objects`, and how. */
interface Setup {
  readonly isPlain?: boolean
  /** Runs in each call of the resizer. */
  readonly during?: () => Promise<unknown>
  readonly entrypoint?: string | null
}

/**
 * `Objects` in front of a bucket that answers `GetObject`, behind a model of Workers Caching, or without
 * it. Counts calls of a resizer, and requests for the object.
 */
function objectsOf(GetObject: Answer, { isPlain = false, during, entrypoint }: Setup = {}) {
  const sent = scriptedBucket({
    GetObject,
    HeadObject: answer(200, null, {
      'Content-Length': '1',
      ETag: '"e"',
      'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT',
    }),
  })
  const counts = { calls: 0, gets: 0 }
  const output = async () => {
    counts.calls += 1
    await during?.()
    return { response: () => new Response(SMALL) }
  }
  const binding = {
    input: (image: ReadableStream) => ({
      transform: () => ({
        async output() {
          await new Response(image).arrayBuffer()
          return output()
        },
      }),
    }),
  }
  const Objects = entrypointWith(binding, entrypoint)
  const cached = behindCaching(Objects)
  const plain = {
    async fetch(request: Request): Promise<Response> {
      const context = createExecutionContext()
      Object.assign(context, { exports: { Objects: plain } })
      const { status, headers, body } = await new Objects(context, env).fetch(request)
      const bytes = body && (await new Response(body).arrayBuffer())
      await waitOnExecutionContext(context)
      return new Response(bytes, { status, headers })
    },
    purge: (alias: string, keys: readonly string[]) =>
      new Objects(createExecutionContext(), env).purge(alias, keys),
  }
  const objects = isPlain ? plain : cached
  return {
    counts,
    async show(key: ObjectKey, variant: VariantSpec | null = VARIANT, range: string | null = null) {
      const answer = await objects.fetch(await askObjects(bucket, key, { range, variant }))
      const { status, headers } = answer
      const bytes = await answer.arrayBuffer()
      await cached.done()
      await cached.kept()
      counts.gets = sent.filter(({ operation }) => operation === 'GetObject').length
      return new Response(bytes.byteLength === 0 ? null : bytes, { status, headers })
    },
    purge: (key: ObjectKey) => objects.purge('counted', [key]),
  }
}

const CACHES = [
  ['behind Workers Caching', false],
  ['with the Cache API', true],
] as const

describe.each(CACHES)('%s,', (_, isPlain) => {
  // @threat image-costs copy-broken
  it('keeps an image from a bucket that sends no Content-Length, and not its original', async () => {
    const { counts, show } = objectsOf(objectOf(PNG, false), { isPlain })
    const key = newKey()
    for (let i = 0; i < 3; i++) expect((await show(key)).status).toBe(200)
    expect(counts).toEqual({ calls: 1, gets: 1 })
  })

  // @threat image-costs
  it('asks the bucket once for 16 widths in 4 formats', async () => {
    const { counts, show } = objectsOf(objectOf(PNG), { isPlain })
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
    const { counts, show } = objectsOf(objectOf(PNG), { isPlain })
    const key = newKey()
    if (isPlain) await show(key, null) // the Cache API joins no requests
    await Promise.all(DEFAULT_IMAGE_SIZES.map((size) => show(key, { ...VARIANT, ...size })))
    expect(counts).toEqual({ calls: DEFAULT_IMAGE_SIZES.length, gets: 1 })
  })

  // @threat image-costs image-outdated
  it('keeps that an object is no image to resize, for every isolate, until a purge or a minute', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const { counts, show, purge } = objectsOf(objectOf(new Uint8Array(9), false), { isPlain })
    const key = newKey()
    for (const range of [null, 'bytes=0-1', null])
      expect(codeOf(await show(key, VARIANT, range))).toBe('unsupported_image')
    expect(counts).toEqual({ calls: 0, gets: 1 })
    await purge(key)
    if (isPlain) vi.setSystemTime(Date.now() + 60_000)
    expect(codeOf(await show(key))).toBe('unsupported_image')
    expect(counts.gets).toBe(2)
  })

  // @threat image-costs
  it('keeps that Cloudflare Images can not read an image', async () => {
    const during = () => Promise.reject(Object.assign(new Error('broken'), { code: 9523 }))
    const { counts, show } = objectsOf(objectOf(PNG), { isPlain, during })
    const key = newKey()
    for (let i = 0; i < 3; i++) expect(codeOf(await show(key))).toBe('unsupported_image')
    expect(counts).toEqual({ calls: 1, gets: 1 })
  })

  it('keeps no failure of Cloudflare Images that will pass', async () => {
    const busy = Object.assign(new Error('Unexpected error response 503: busy'), { code: 9523 })
    const { show } = objectsOf(objectOf(PNG), { isPlain, during: () => Promise.reject(busy) })
    const answer = await show(newKey())
    expect([codeOf(answer), answer.headers.get('Cache-Control')]).toEqual([
      'unavailable images',
      'no-store',
    ])
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
    const { counts, show } = objectsOf(huge, { isPlain, entrypoint: null })
    const key = newKey()
    for (let i = 0; i < 2; i++) expect(codeOf(await show(key))).toBe('unsupported_image')
    expect(counts).toEqual({ calls: 0, gets: 1 })
  })

  // @threat copy-other-bucket
  it('asks no entrypoint for the original that may have other settings', async () => {
    const { counts, show } = objectsOf(objectOf(PNG), { isPlain, entrypoint: null })
    const key = newKey()
    await show(key, null)
    expect((await show(key)).status).toBe(200)
    expect(counts.gets).toBe(2)
  })

  // @threat copy-outdated
  it('keeps an image no longer than a minute after its original, of a key that was chosen or without Workers Caching', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const key = isPlain ? newKey() : chosenKey()
    const { counts, show } = objectsOf(objectOf(PNG), { isPlain })
    await show(key, null)
    vi.setSystemTime(Date.now() + 40_000)
    const image = await show(key)
    expect(image.headers.get('Cache-Control')).toMatch(/^public, max-age=(19|20), must-revalidate$/)
    vi.setSystemTime(Date.now() + 19_000)
    await show(key)
    expect(counts).toEqual({ calls: 1, gets: 1 })
    vi.setSystemTime(Date.now() + 1000)
    await show(key)
    expect(counts).toEqual({ calls: 2, gets: 2 })
  })

  // @threat image-costs
  it('makes no image that it could not keep', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const key = chosenKey()
    const during = async () => void vi.setSystemTime(Date.now() + 300)
    const { counts, show } = objectsOf(objectOf(PNG), { isPlain, during })
    await show(key)
    // The copy of the original lives for another half second, and that of the image does not.
    vi.setSystemTime(Date.now() + 59_200)
    const other = { ...VARIANT, ...sizeOf(32) }
    for (let i = 0; i < 3; i++) expect((await show(key, other)).status).toBe(200)
    expect(counts).toEqual({ calls: 2, gets: 2 })
  })

  // @threat copy-outdated
  it('counts the time to make an image as part of its lifetime', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const during = async () => void vi.setSystemTime(Date.now() + 6000)
    const { show } = objectsOf(objectOf(PNG), { isPlain, during })
    const image = await show(chosenKey())
    expect(image.headers.get('Cache-Control')).toMatch(/^public, max-age=5[34], must-revalidate$/)
  })
})

// @threat image-costs
it('keeps for a minute that it could not read an original that may have been cut', async () => {
  for (const [statesLength, seconds] of [
    [true, 3600],
    [false, 60],
  ] as const) {
    const { show } = objectsOf(objectOf(PNG.slice(0, 9), statesLength))
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
  const during = () => Promise.reject(Object.assign(new Error('no'), { code }))
  const { show } = objectsOf(objectOf(PNG), { during })
  const lifetime = `public, max-age=${seconds}, must-revalidate`
  expect((await show(newKey())).headers.get('Cache-Control')).toBe(lifetime)
})

// @threat copy-undeleted image-outdated
it('keeps no copy of an original that was deleted while it was resized, and no image of it', async () => {
  const key = parseObjectKey(await putObject('a.png', await twoColorPng(300, 300)))
  const { binding } = counting(() => deleteObject(bucket, key, new Date()))
  const objects = behindCaching(entrypointWith(binding))
  const asked = await askObjects(bucket, key, { variant: VARIANT })
  expect((await objects.fetch(asked)).status).toBe(200)
  await objects.done()
  expect(await objects.kept()).toEqual([])
  expect((await objects.fetch(asked)).status).toBe(404)
})

/** The real resizer. Counts its calls, and runs `before` ahead of each result. */
function counting(before: () => Promise<unknown>) {
  const calls: number[] = []
  const binding: ImageResizer = {
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
  return { calls, binding }
}

// @threat image-outdated
it('shows later requests no image that is being made while its object is replaced', async () => {
  const key = await putObject('a.png', await twoColorPng(300, 300))
  const gate = Promise.withResolvers<void>()
  const { calls, binding } = counting(async () => {
    if (calls.length === 1) await gate.promise
  })
  const objects = behindCaching(entrypointWith(binding))
  const asked = await askObjects(bucket, parseObjectKey(key), { variant: VARIANT })
  const height = async (fetch: (request: Request) => Promise<Response>) => {
    const info = await env.IMAGES.info(
      new Response(await (await fetch(asked)).arrayBuffer()).body ?? new ReadableStream(),
    )
    return 'height' in info ? info.height : info.format
  }
  // As two data centers, since the cache of one joins requests.
  const before = height(objects.run)
  await vi.waitFor(() => expect(calls).toHaveLength(1), PATIENCE)
  await putUnder(key, await twoColorPng(300, 100))
  expect(await objects.purge('counted', [key])).toBeNull()
  expect(await height(objects.run)).toBe(21)
  gate.resolve()
  expect(await before).toBe(64)
  await objects.done()
  expect(objects.purged.length).toBeGreaterThan(1)
  expect(await height(objects.fetch)).toBe(21)
})

// @threat image-costs
it('costs one call and one request to the bucket for a crowd, also if the call fails', async () => {
  for (const fails of [false, true]) {
    const key = await putObject('a.png', await twoColorPng(300, 300))
    const { calls, binding } = counting(async () => {
      if (fails) throw new Error('down')
    })
    const objects = behindCaching(entrypointWith(binding))
    const asked = await askObjects(bucket, parseObjectKey(key), { variant: VARIANT })
    const crowd = Array.from({ length: 30 }, async () => {
      const answer = await objects.run(asked)
      await answer.arrayBuffer()
      return answer.status
    })
    expect(new Set(await Promise.all(crowd))).toEqual(new Set([fails ? 503 : 200]))
    await objects.done()
    expect(calls).toHaveLength(1)
    // The others ask with a HEAD whether the object has changed.
    expect(await requestsFor(key)).toBe(fails ? 2 : 32)
  }
})
