import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  DEFAULT_IMAGE_SIZES,
  type ImageSize,
  sizeOf,
  VARIANT_FORMATS,
  type VariantSpec,
} from '../../../../src/bucket/image-size.ts'
import { readerOf } from '../../../../src/core/relay.ts'
import { asApiError } from '../../../../src/errors/api-error.ts'
import { RequestTime } from '../../../../src/errors/deadline.ts'
import { imageInfo } from '../../../../src/plugins/links/images/image-info.ts'
import {
  bytesFor,
  type ImageResizer,
  imageResponse,
  type KeptImage,
  resize,
  variantSpec,
} from '../../../../src/plugins/links/images/variant.ts'
import { specIn, specQuery } from '../../../../src/plugins/links/objects-protocol.ts'
import { inWords } from '../../../support/errors.ts'
import { FAKE_CLOCK, fakeSeconds } from '../../../support/fake-seconds.ts'
import {
  gifOf,
  imageOf,
  joined,
  PNG_START,
  pngChunk,
  pngHeader,
  twoColorPng,
  uint32s,
  withExif,
} from '../../../support/images.ts'
import { pictureWithMetadata } from '../../../support/pictures.ts'

const SPEC: VariantSpec = { ...sizeOf(10), format: 'png', quality: 80 }

/** A resizer that answers with `output`. */
const resizerWith = (output: () => Promise<Response>): ImageResizer => ({
  input: () => ({ transform: () => ({ output: async () => ({ response: await wrap(output) }) }) }),
})
const wrap = async (output: () => Promise<Response>) => {
  const response = await output()
  return () => response
}

/** Opens an original of these bytes. */
const original =
  (bytes: BodyInit | null, headers: HeadersInit = {}) =>
  async () =>
    new Response(bytes, { headers })

/** Resizes an image for which there is room. */
async function resized(...given: Parameters<typeof resize>): Promise<KeptImage> {
  const made = await resize(...given)
  if (typeof made === 'number') throw new Error('There is no room.')
  return made
}

/** Maximum size of an image. */
const LIMIT = 20 * 1024 ** 2

const failureOf = async (work: Promise<unknown>) => {
  const error = asApiError(await work.catch((thrown: unknown) => thrown))
  return [error && inWords(error), String(error?.cause ?? error?.message)]
}

afterEach(() => void vi.useRealTimers())

describe('the format of a variant', () => {
  const formatFor = (accept: string | null, width = 320) =>
    variantSpec({ width, format: 'auto', fallback: false }, [], 80, accept).format

  it.each([
    ['image/avif,image/webp,*/*', 'auto-avif'],
    ['image/webp,image/*;q=0.8', 'auto-webp'],
    ['image/avif;q=0, image/webp', 'auto-webp'],
    ['image/avif; q=0.000, image/webp;q=0.0', 'compatible'],
    ['IMAGE/AVIF ;q=0.1, Image/WebP', 'auto-avif'],
    ['image/avif;Q=0, image/webp;v=1 ; q=.5', 'auto-webp'],
    ['image/avif;q=.0, image/webp;q=00.0', 'compatible'],
    ['image/avif;q=, image/webp;q=-1', 'compatible'],
    ['image/avif;q=high, image/webp;q=0;x=1', 'compatible'],
    ['text/html;title="a, image/avif;", image/webp', 'auto-webp'],
    ['image/*', 'compatible'],
    ['*/*', 'compatible'],
    ['text/html, image/avifx', 'compatible'],
    ['', 'compatible'],
    [null, 'compatible'],
  ])('for Accept %j is %s', (accept, format) => {
    expect(formatFor(accept)).toBe(format)
  })

  it('is never AVIF for a client that does not accept WebP, which may be in its place', () => {
    expect(formatFor('image/avif')).toBe('compatible')
    expect(formatFor('image/avif, image/webp;q=0')).toBe('compatible')
  })

  it('is AVIF only up to 1200 pixels, the limit of Cloudflare', () => {
    expect([1200, 1201].map((width) => formatFor('image/avif, image/webp', width))).toEqual([
      'auto-avif',
      'auto-webp',
    ])
    expect(formatFor('image/avif', 1280)).toBe('compatible')
  })

  it('is the one that the link names, whatever the client accepts', () => {
    const variant = { width: 320, format: 'jpeg', fallback: false } as const
    expect(variantSpec(variant, [], 80, 'image/avif').format).toBe('jpeg')
  })
})

it('takes height and fit from the configured size, and keeps a width that is no longer there', () => {
  const square: ImageSize = { width: 96, height: 96, fit: 'cover' }
  const variant = { width: 96, format: 'webp', fallback: false } as const
  expect(variantSpec(variant, [square], 70, null)).toEqual({
    ...square,
    format: 'webp',
    quality: 70,
  })
  expect(variantSpec(variant, [sizeOf(64)], 70, null)).toMatchObject({ width: 96, height: null })
})

it('names each variant differently, and reads the name back', () => {
  const specs = DEFAULT_IMAGE_SIZES.flatMap((size) =>
    VARIANT_FORMATS.flatMap((format) =>
      [null, 90].flatMap((height) =>
        [50, 80].map((quality): VariantSpec => ({ ...size, height, format, quality })),
      ),
    ),
  )
  const names = specs.map(specQuery)
  expect(new Set(names).size).toBe(specs.length)
  expect(names.map((name) => specIn(new URLSearchParams(`edgeTtl=60&${name}`)))).toEqual(specs)
  expect(specIn(new URLSearchParams('edgeTtl=60'))).toBeNull()
})

describe('an image that is not resized', () => {
  const never = resizerWith(() => Promise.reject(new Error('must not be called')))
  const small = joined(PNG_START, pngHeader(30, 20), pngChunk('IDAT', new Uint8Array(9)))
  const bomb = joined(PNG_START, pngHeader(20_000, 20_000), pngChunk('IDAT', new Uint8Array(9)))

  // @threat image-bomb
  it.each([
    ['text', 'hello', {}, 'not a'],
    ['HTML that says it is a PNG', '<!doctype html>', { 'content-type': 'image/png' }, 'not a'],
    ['SVG', '<svg xmlns="http://www.w3.org/2000/svg"/>', {}, 'not a'],
    ['an empty file', '', {}, 'not a'],
    ['no body', null, {}, 'empty'],
    ['20,000 × 20,000 pixels in 60 bytes', bomb, {}, '50 megapixels'],
    ['an animation of 100 megapixels', gifOf(1000, 1000, 100), {}, '50 megapixels'],
    ['a GIF of 35 bytes with a large frame', gifOf(16_000, 16_000, 1, [1, 1]), {}, '50 megapixels'],
    ['a stored encoding', small, { 'content-encoding': 'gzip' }, 'Content-Encoding'],
    ['a length over the limit', small, { 'content-length': `${LIMIT + 1}` }, '20 MiB'],
    ['more bytes than the limit', joined(small, new Uint8Array(LIMIT)), {}, '20 MiB'],
  ])('is 415 without a call that is billed: %s', async (_, bytes, headers, reason) => {
    const [code, message] = await failureOf(resized(original(bytes, headers), SPEC, never))
    expect([code, message]).toEqual(['unsupported_image', expect.stringContaining(reason)])
  })

  /** What the binding makes of a response without a code. */
  const unexpected = (status: number) =>
    Object.assign(new Error(`Unexpected error response ${status}: no`), { code: 9523 })

  // @threat image-bomb
  it.each([
    ['a length over the limit', { 'content-length': `${LIMIT + 1}` }],
    ['a stored encoding', { 'content-encoding': 'gzip' }],
    ['more bytes than the limit', {}],
  ])('does not read on: %s', async (_, headers: HeadersInit) => {
    let reads = 0
    const cancel = vi.fn()
    const endless = new ReadableStream({
      type: 'bytes',
      pull(controller) {
        reads += 1
        controller.enqueue(new Uint8Array(1024 ** 2))
      },
      cancel,
    })
    await failureOf(resized(original(endless, headers), SPEC, never))
    expect(cancel).toHaveBeenCalledTimes(1)
    expect(reads).toBeLessThan(23)
  })

  it.each([9402, 9412, 9413, 9416, 9420, 9516, 9520, 9523])(
    'is 415 if the binding answers %i',
    async (code) => {
      const broken = resizerWith(() => Promise.reject(Object.assign(new Error('no'), { code })))
      const png = original(await twoColorPng(30, 20))
      expect((await failureOf(resized(png, SPEC, broken)))[0]).toBe('unsupported_image')
    },
  )

  it.each([
    ['the quota is used up', Object.assign(new Error('quota'), { code: 9422 }), 'quota'],
    ['the binding fails', new Error('reset'), 'reset'],
    ['Cloudflare limits it', unexpected(429), 'response 429'],
    ['Cloudflare is busy', unexpected(503), 'response 503'],
  ])('is 503 if %s', async (_, error, cause) => {
    const png = original(await twoColorPng(30, 20))
    const [code, reason] = await failureOf(
      resized(
        png,
        SPEC,
        resizerWith(() => Promise.reject(error)),
      ),
    )
    expect([code, reason]).toEqual(['unavailable images', expect.stringContaining(cause)])
  })

  // @threat image-bomb
  it('is 503 after ten seconds without a response', async () => {
    const png = original(await twoColorPng(30, 20))
    vi.useFakeTimers()
    const hanging = resizerWith(() => new Promise(() => undefined))
    const failed = failureOf(resized(png, SPEC, hanging))
    await vi.advanceTimersByTimeAsync(9999)
    const early = await Promise.race([failed, Promise.resolve('waits')])
    await vi.advanceTimersByTimeAsync(1)
    expect([early, (await failed)[0]]).toEqual(['waits', 'unavailable images'])
  })

  it('is 503 at once if the binding returns nothing', async () => {
    const png = original(await twoColorPng(30, 20))
    const nothing = resizerWith(async () => new Response(null))
    vi.useFakeTimers(FAKE_CLOCK)
    const [[code], seconds] = await fakeSeconds(failureOf(resized(png, SPEC, nothing)))
    expect([code, seconds]).toEqual(['unavailable images', 0])
  })

  // @threat image-bomb
  it.each([
    ['states', true],
    ['does not state', false],
  ])('is 415 if the result is larger than memory for it, and %s its length', async (_, states) => {
    const png = original(await twoColorPng(30, 20))
    let reads = 0
    const pull = (controller: ReadableByteStreamController) => {
      reads += 1
      controller.enqueue(new Uint8Array(1024 ** 2))
    }
    const headers = states ? { 'content-length': `${3 * 1024 ** 2}` } : {}
    const huge = resizerWith(
      async () => new Response(new ReadableStream({ type: 'bytes', pull }), { headers }),
    )
    const [code, message] = await failureOf(resized(png, SPEC, huge))
    expect([code, message]).toEqual(['unsupported_image', expect.stringContaining('2 MiB')])
    expect(reads).toBeLessThan(5)
  })

  // @threat request-slow image-bomb
  it('is not read after the deadline of its request', async () => {
    vi.useFakeTimers(FAKE_CLOCK)
    const cancel = vi.fn()
    const drip = new ReadableStream({
      type: 'bytes',
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 1000))
        controller.enqueue(new Uint8Array(20_000))
      },
      cancel,
    })
    const now = new RequestTime(Date.now() + 3500)
    const [[code], seconds] = await fakeSeconds(
      failureOf(resized(original(drip), SPEC, never, { now })),
    )
    expect([code, seconds]).toEqual(['unavailable storage', 3.5])
    await vi.advanceTimersByTimeAsync(1000) // for the next bytes
    expect(cancel).toHaveBeenCalledTimes(1)
  })

  // @threat image-original
  it.each([
    ['in full resolution', {}],
    ['of another type', { width: 100, format: 'webp' }],
    ['that already fits', { width: 100 }],
  ] as const)('is 503 if the binding returns an original %s', async (_, spec) => {
    const png = await twoColorPng(30, 20)
    const { calls, resizer } = answering(png)
    const made = resized(original(png), { ...SPEC, ...spec }, resizer)
    expect((await failureOf(made))[0]).toBe('unavailable images')
    expect(calls).toHaveLength(1)
  })

  // @threat image-original
  it('is 503 if the binding returns one that is too wide or too tall', async () => {
    const box = { ...SPEC, width: 20, height: 20, fit: 'cover' } as const
    for (const [width, height] of [
      [21, 20],
      [20, 21],
    ] as const) {
      const { resizer } = answering(await twoColorPng(width, height))
      const made = failureOf(resized(original(await twoColorPng(30, 30)), box, resizer))
      expect(await made).toEqual(['unavailable images', expect.stringContaining('another size')])
    }
  })

  // @threat image-original
  it('is 503 if the binding returns an animation', async () => {
    const still = await twoColorPng(10, 7)
    const frames = pngChunk('acTL', uint32s(2, 0))
    const moving = joined(still.subarray(0, 33), frames, still.subarray(33))
    const made = resized(original(await twoColorPng(30, 20)), SPEC, answering(moving).resizer)
    expect(await failureOf(made)).toEqual(['unavailable images', expect.stringContaining('anim')])
  })

  // @threat image-bomb
  it('is 415 for an AVIF whose header states a false size, which the binding refuses', async () => {
    const avif = await imageOf('image/avif', 60, 40)
    const name = [...'ispe'].map((char) => char.charCodeAt(0))
    const at = avif.findIndex((_, i) => name.every((byte, j) => avif[i + j] === byte))
    avif.set([0, 0, 0, 8, 0, 0, 0, 8], at + 8)
    expect(imageInfo(avif)).toMatchObject({ width: 8, height: 8 })
    const [code, reason] = await failureOf(resized(original(avif), SPEC, env.IMAGES))
    expect([code, reason]).toEqual(['unsupported_image', expect.any(String)])
  })

  it('is 503 if the binding returns an image that ends too early', async () => {
    const png = await twoColorPng(30, 20)
    const made = resized(
      original(png),
      SPEC,
      answering((await twoColorPng(10, 7)).slice(0, -5)).resizer,
    )
    expect(await failureOf(made)).toEqual(['unavailable images', expect.stringContaining('broken')])
  })
})

/** A resizer that answers its calls with these images, the last one again and again. */
function answering(...images: readonly Uint8Array<ArrayBuffer>[]) {
  const calls: string[] = []
  const options: object[] = []
  const resizer: ImageResizer = {
    input: () => ({
      transform: () => ({
        async output(wanted) {
          const image = images[calls.length] ?? images.at(-1)
          calls.push(wanted.format)
          options.push(wanted)
          return { response: () => new Response(image) }
        },
      }),
    }),
  }
  return { calls, options, resizer }
}

/** Returns a resizer whose images come that much later. */
const slowed = (resizer: ImageResizer, milliseconds: number): ImageResizer => ({
  input: (image) => ({
    transform: (size) => ({
      async output(options) {
        const made = await resizer.input(image).transform(size).output(options)
        await new Promise((resolve) => setTimeout(resolve, milliseconds))
        return made
      },
    }),
  }),
})

type OutputType = 'image/avif' | 'image/webp' | 'image/jpeg' | 'image/png'

const [AVIF, WEBP, JPEG, PNG] = ['image/avif', 'image/webp', 'image/jpeg', 'image/png'] as const

/** Returns an image of 20 × 30 pixels. */
const imageAs = (type: OutputType) => (type === PNG ? twoColorPng(20, 30) : imageOf(type, 20, 30))

describe('a format that Cloudflare declines', () => {
  /** Resizes an original of 40 × 60 pixels for a binding that answers with these types. */
  async function made(
    format: VariantSpec['format'],
    type: typeof JPEG | typeof PNG,
    ...answers: readonly OutputType[]
  ) {
    const { calls, resizer } = answering(...(await Promise.all(answers.map(imageAs))))
    const bytes = type === PNG ? await twoColorPng(40, 60) : await imageOf(JPEG, 40, 60)
    const spec: VariantSpec = { ...SPEC, width: 20, format }
    const image = await resized(original(bytes), spec, resizer).catch(asApiError)
    if (image === null || 'code' in image) return [calls, image && inWords(image)]
    const shown = new Headers([...image.headers]).get('content-type')
    expect(imageInfo(image.bytes)?.type).toBe(shown)
    return [calls, shown]
  }

  it.each([
    [[AVIF], [AVIF], AVIF],
    [[WEBP], [AVIF], WEBP],
    [[JPEG], [AVIF], JPEG],
    [[PNG, WEBP], [AVIF, WEBP], WEBP],
    [[PNG, PNG], [AVIF, WEBP], 'unavailable images'],
  ] as const)('of AVIF for `auto`: %j after the calls %j is %s', async (answers, calls, result) => {
    expect(await made('auto-avif', JPEG, ...answers)).toEqual([calls, result])
  })

  it.each([
    [[WEBP], [AVIF], WEBP],
    [[PNG], [AVIF], PNG],
    [[JPEG, WEBP], [AVIF, WEBP], WEBP],
    [[JPEG, AVIF], [AVIF, WEBP], AVIF],
    [[JPEG, JPEG], [AVIF, WEBP], 'unavailable images'],
  ] as const)(
    'of AVIF for an original that may be transparent: %j after the calls %j is %s',
    async (answers, calls, result) => {
      expect(await made('auto-avif', PNG, ...answers)).toEqual([calls, result])
    },
  )

  it.each([
    ['auto-webp', JPEG, [JPEG], [WEBP], JPEG],
    ['auto-webp', PNG, [JPEG, PNG], [WEBP, PNG], PNG],
    // This client does not accept AVIF.
    ['auto-webp', JPEG, [AVIF, JPEG], [WEBP, JPEG], JPEG],
    ['compatible', PNG, [JPEG], [PNG], 'unavailable images'],
    ['compatible', JPEG, [WEBP], [JPEG], 'unavailable images'],
    ['avif', JPEG, [WEBP], [AVIF], 'unavailable images'],
    ['webp', JPEG, [JPEG], [WEBP], 'unavailable images'],
  ] as const)(
    'of %s for %s: %j after the calls %j is %s',
    async (format, type, answers, calls, result) => {
      expect(await made(format, type, ...answers)).toEqual([calls, result])
    },
  )

  it('is not asked for: a photo that EXIF turns into a portrait', async () => {
    const photo = withExif(await imageOf(JPEG, 400, 300))
    const { calls, resizer } = answering(await imageAs(WEBP))
    const spec = { ...SPEC, width: 910, height: 1210, fit: 'contain', format: 'auto-avif' } as const
    await resized(original(photo), spec, resizer)
    await resized(original(await imageOf(JPEG, 400, 300)), spec, resizer)
    expect(calls).toEqual([WEBP, AVIF])
  })

  // @threat image-costs
  it('is not asked for again after ten seconds, when nobody waits any more', async () => {
    const [jpeg, png] = await Promise.all([imageAs(JPEG), twoColorPng(40, 60)])
    vi.useFakeTimers()
    const { calls, resizer } = answering(jpeg)
    const slow = slowed(resizer, 11_000)
    const spec = { ...SPEC, width: 20, format: 'auto-avif' } as const
    const failed = failureOf(resized(original(png), spec, slow))
    await vi.advanceTimersByTimeAsync(12_000)
    await vi.advanceTimersByTimeAsync(12_000)
    expect([(await failed)[0], calls]).toEqual(['unavailable images', [AVIF]])
  })

  it('is 415 for a link that names AVIF, if the image is too large for it', async () => {
    const large = { ...SPEC, width: 900, format: 'avif' } as const
    const png = await twoColorPng(1000, 1400)
    const tall = async (height: number) =>
      failureOf(resized(original(png), large, answering(await imageOf(WEBP, 857, height)).resizer))
    expect(await tall(1200)).toEqual(['unavailable images', expect.stringContaining('type')])
    expect(await tall(1201)).toEqual(['unsupported_image', expect.stringContaining('1200 pixels')])
  })

  const size = (width: number, height: number | null, fit: ImageSize['fit']): ImageSize => ({
    width,
    height,
    fit,
  })

  it.each([
    ['a width alone', size(1080, null, 'scale-down'), [3000, 3333], true],
    ['a width alone', size(1080, null, 'scale-down'), [3000, 3340], false],
    ['a width alone, for a small original', size(1080, null, 'scale-down'), [800, 1200], true],
    ['a width alone, for a wide original', size(1200, null, 'scale-down'), [5000, 100], true],
    ['scale-down', size(1080, 1200, 'scale-down'), [3000, 9000], true],
    ['scale-down', size(1080, 1201, 'scale-down'), [3000, 9000], false],
    ['contain, which enlarges', size(1080, 1300, 'contain'), [100, 125], false],
    ['contain', size(1080, 1300, 'contain'), [100, 111], true],
    ['cover', size(600, 1201, 'cover'), [100, 100], false],
    ['cover', size(600, 1200, 'cover'), [100, 100], true],
    ['pad', size(600, 1201, 'pad'), [100, 100], false],
    ['crop, which does not enlarge', size(600, 1201, 'crop'), [5000, 1200], true],
    ['crop', size(600, 1201, 'crop'), [5000, 1201], false],
  ] as const)('is not asked for: %s, %j of %j is AVIF: %s', async (_, size, [w, h], isAvif) => {
    const png = joined(PNG_START, pngHeader(w, h), pngChunk('IDAT', new Uint8Array(9)))
    const { calls, resizer } = answering(await imageAs(WEBP))
    await resized(original(png), { ...size, format: 'auto-avif', quality: 80 }, resizer)
    expect(calls).toEqual([isAvif ? AVIF : WEBP])
  })
})

describe('metadata in what the binding returns', () => {
  // @threat image-original
  it.each([
    [JPEG, 'jpeg'],
    [PNG, 'png'],
    [WEBP, 'webp'],
    [AVIF, 'avif'],
  ] as const)('is not in a resized image: %s', async (type, format) => {
    const { options, resizer } = answering(pictureWithMetadata(type))
    const spec = { ...SPEC, width: 16, format }
    const { bytes, headers } = await resized(original(await twoColorPng(30, 20)), spec, resizer)
    expect(new TextDecoder('latin1').decode(bytes)).not.toContain('Canary')
    expect(imageInfo(bytes)).toMatchObject({ type, width: 16, height: 12 })
    expect(new Headers([...headers]).get('content-length')).toBe(String(bytes.byteLength))
    expect(options).toEqual([{ format: type, quality: 80, anim: false }])
  })
})

// @threat image-bomb
it('needs memory for the original, and twice for the result', () => {
  expect(bytesFor(SPEC, 1000)).toBe(1000 + 2 * 2 * 1024 ** 2)
  // At most 20 and twice 10 MiB, all that there is.
  expect(bytesFor({ ...SPEC, width: 4096 }, LIMIT)).toBe(LIMIT + 2 * 10 * 1024 ** 2)
  expect(bytesFor({ ...SPEC, width: 1920, height: 1080, format: 'webp' }, 0)).toBe(
    2 * Math.max(1920 * 1080, 2 * 1024 ** 2),
  )
})

describe('the response with a resized image', () => {
  // @threat image-bomb
  it('needs as much memory as the image has bytes, although more was reserved for it', async () => {
    const small = await twoColorPng(10, 6)
    const resizer = resizerWith(async () => new Response(small.slice()))
    const { bytes } = await resized(original(await twoColorPng(30, 20)), SPEC, resizer)
    expect(bytes.buffer.byteLength).toBe(small.byteLength)
  })

  // @threat image-bomb
  it('has a piece of the image in memory, and not a copy for each client', async () => {
    const large = { bytes: crypto.getRandomValues(new Uint8Array(60_000)), headers: [] }
    const bytes = new Uint8Array(6_000_000)
    for (let at = 0; at < bytes.length; at += 60_000) bytes.set(large.bytes, at)
    const { body } = imageResponse({ ...large, bytes })
    const reader = readerOf(body ?? new ReadableStream())
    const first = await reader.read(1, new Uint8Array(bytes.length))
    expect(first.value?.byteLength).toBe(64 * 1024)
    await reader.cancel()
    const all = new Uint8Array(await imageResponse({ ...large, bytes }).arrayBuffer())
    expect(bytes.every((byte, at) => byte === all[at]) && all.length).toBe(bytes.length)
  })
})

describe('an original of more than 256 KiB', () => {
  const START = 256 * 1024
  const rest = new Uint8Array(600_000).fill(7)
  const png = (...before: readonly Uint8Array[]) =>
    joined(PNG_START, pngHeader(300, 200), ...before, pngChunk('IDAT', rest))
  const sized = (bytes: Uint8Array<ArrayBuffer>) =>
    original(bytes, { 'content-length': String(bytes.length) })

  /** A resizer that answers with these images, and remembers what it has read. */
  function reading(...images: readonly Uint8Array<ArrayBuffer>[]) {
    const read: Uint8Array[] = []
    const resizer: ImageResizer = {
      input: (image) => ({
        transform: () => ({
          async output() {
            read.push(new Uint8Array(await new Response(image).arrayBuffer()))
            const answer = images[read.length - 1] ?? images.at(-1)
            return { response: () => new Response(answer) }
          },
        }),
      }),
    }
    return { read, resizer }
  }

  // @threat image-bomb
  it('passes through if it is a PNG or a JPEG, from the bytes that were read on', async () => {
    const small = await twoColorPng(10, 6)
    const jpeg = await imageOf(JPEG, 300, 200)
    for (const bytes of [png(), joined(jpeg, rest)]) {
      const { read, resizer } = reading(small)
      await resized(sized(bytes), SPEC, resizer, { held: 2 * START })
      expect(read).toHaveLength(1)
      expect(read[0]?.length).toBe(bytes.length)
      expect(read[0]?.every((byte, i) => byte === bytes[i])).toBe(true)
    }
  })

  // @threat image-bomb
  it.each([
    ['an animated PNG', png(pngChunk('acTL', uint32s(2, 0)))],
    ['a PNG whose pixels begin later', png(pngChunk('tEXt', new Uint8Array(START)))],
    ['a GIF', joined(gifOf(30, 20, 1), rest)],
  ])('is whole in memory if it is %s, or says how much room it needs', async (_, bytes) => {
    const { read, resizer } = reading(await twoColorPng(10, 6))
    const options = { held: 2 * START }
    expect(await resize(sized(bytes), SPEC, resizer, options)).toBe(bytes.length)
    expect(read).toEqual([])
    await resized(sized(bytes), SPEC, resizer, { held: bytes.length })
    expect(read[0]?.length).toBe(bytes.length)
  })

  // @threat image-bomb
  it.each([
    ['its header states too many pixels', pngHeader(20_000, 20_000), 'unsupported_image'],
    ['it has no length', pngHeader(300, 200), LIMIT],
  ])('never passes through if %s', async (_, header, result) => {
    const bytes = joined(PNG_START, header, pngChunk('IDAT', rest))
    const { read, resizer } = reading(await twoColorPng(10, 6))
    const open = result === LIMIT ? streamed(bytes) : sized(bytes)
    const made = await resize(open, SPEC, resizer, { held: 2 * START }).catch(asApiError)
    expect(typeof made === 'number' ? made : made && 'code' in made && made.code).toBe(result)
    expect(read).toEqual([])
  })

  /** Opens an original without a length. */
  const streamed = (bytes: Uint8Array<ArrayBuffer>) => async () => {
    const { readable, writable } = new IdentityTransformStream()
    const writer = writable.getWriter()
    void writer.write(bytes).then(
      () => writer.close(),
      () => undefined,
    )
    return new Response(readable)
  }

  it('is opened again for a second call', async () => {
    const { read, resizer } = reading(await imageOf(JPEG, 10, 7), await imageOf(WEBP, 10, 7))
    const open = vi.fn(sized(png()))
    await resized(open, { ...SPEC, format: 'auto-avif' }, resizer)
    expect([open.mock.calls.length, read.map(({ length }) => length)]).toEqual([
      2,
      [png().length, png().length],
    ])
  })

  // @threat image-original
  it('is 503 if the binding returns it, although it is not in memory', async () => {
    const bytes = png()
    const made = resized(sized(bytes), { ...SPEC, width: 300 }, reading(bytes).resizer)
    expect(await failureOf(made)).toEqual([
      'unavailable images',
      expect.stringContaining('original'),
    ])
  })

  // @threat delivery-cut
  it("is the bucket's error if the rest does not come", async () => {
    const bytes = png()
    const cut = async () => {
      let at = 0
      const source: UnderlyingByteSource = {
        type: 'bytes',
        pull(controller) {
          if (at > 2 * START) return controller.error(new Error('Network connection lost.'))
          controller.enqueue(bytes.slice(at, at + 100_000))
          at += 100_000
        },
      }
      const headers = { 'content-length': String(bytes.length) }
      return new Response(new ReadableStream(source), { headers })
    }
    const { resizer } = reading(await twoColorPng(10, 6))
    expect(await failureOf(resized(cut, SPEC, resizer))).toEqual([
      'storage_error',
      expect.stringContaining('Network connection lost.'),
    ])
  })
})
