import { afterEach, describe, expect, it, vi } from 'vitest'
import { DEFAULT_IMAGE_SIZES, type ImageSize, sizeOf } from '../../src/bucket/image-size.ts'
import {
  type ImageResizer,
  imageResponse,
  resize,
  specIn,
  specQuery,
  type VariantSpec,
  variantSpec,
} from '../../src/delivery/variant.ts'
import { asApiError } from '../../src/errors/api-error.ts'
import { gifOf, joined, PNG_START, pngChunk, pngHeader, twoColorPng } from '../support/images.ts'

const SPEC: VariantSpec = { ...sizeOf(10), format: 'png', quality: 80 }

/** A resizer that answers with `output`. */
const resizerWith = (output: () => Promise<Response>): ImageResizer => ({
  input: () => ({ transform: () => ({ output: async () => ({ response: await wrap(output) }) }) }),
})
const wrap = async (output: () => Promise<Response>) => {
  const response = await output()
  return () => response
}

const original = (bytes: BodyInit | null, headers: HeadersInit = {}) =>
  new Response(bytes, { headers })

/** Maximum size of an image. */
const LIMIT = 20 * 1024 ** 2

const failureOf = async (work: Promise<unknown>) => {
  const error = asApiError(await work.catch((thrown: unknown) => thrown))
  return [error?.code, String(error?.cause ?? error?.message)]
}

afterEach(() => void vi.useRealTimers())

describe('the format of a variant', () => {
  const formatFor = (accept: string | null, width = 320) =>
    variantSpec({ width, format: 'auto', fallback: false }, [], 80, accept).format

  it.each([
    ['image/avif,image/webp,*/*', 'avif'],
    ['image/webp,image/*;q=0.8', 'webp'],
    ['image/avif;q=0, image/webp', 'webp'],
    ['image/avif; q=0.000, image/webp;q=0.0', 'compatible'],
    ['IMAGE/AVIF ;q=0.1', 'avif'],
    ['image/avif;Q=0, image/webp;v=1 ; q=.5', 'webp'],
    ['image/avif;q=.0, image/webp;q=00.0', 'compatible'],
    ['image/avif;q=, image/webp;q=-1', 'compatible'],
    ['image/avif;q=high, image/webp;q=0;x=1', 'compatible'],
    ['text/html;title="a, image/avif;", image/webp', 'webp'],
    ['image/*', 'compatible'],
    ['*/*', 'compatible'],
    ['text/html, image/avifx', 'compatible'],
    ['', 'compatible'],
    [null, 'compatible'],
  ])('for Accept %j is %s', (accept, format) => {
    expect(formatFor(accept)).toBe(format)
  })

  it('is AVIF only up to 1200 pixels, the limit of Cloudflare', () => {
    expect([1200, 1201].map((width) => formatFor('image/avif, image/webp', width))).toEqual([
      'avif',
      'webp',
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
    (['avif', 'webp', 'jpeg', 'png', 'compatible'] as const).flatMap((format) =>
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
    ['a stored encoding', small, { 'content-encoding': 'gzip' }, 'Content-Encoding'],
    ['a length over the limit', small, { 'content-length': `${LIMIT + 1}` }, '20 MiB'],
    ['more bytes than the limit', joined(small, new Uint8Array(LIMIT)), {}, '20 MiB'],
  ])('is 415 without a call that is billed: %s', async (_, bytes, headers, reason) => {
    const [code, message] = await failureOf(resize(original(bytes, headers), SPEC, never))
    expect([code, message]).toEqual(['unsupported_image', expect.stringContaining(reason)])
  })

  // @threat image-bomb
  it.each([
    ['a length over the limit', { 'content-length': `${LIMIT + 1}` }],
    ['a stored encoding', { 'content-encoding': 'gzip' }],
    ['more bytes than the limit', {}],
  ])('does not read on: %s', async (_, headers: HeadersInit) => {
    let reads = 0
    const cancel = vi.fn()
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        reads += 1
        controller.enqueue(new Uint8Array(1024 ** 2))
      },
      cancel,
    })
    await failureOf(resize(original(endless, headers), SPEC, never))
    expect(cancel).toHaveBeenCalledTimes(1)
    expect(reads).toBeLessThan(23)
  })

  it.each([9402, 9412, 9413, 9520, 9523])('is 415 if the binding answers %i', async (code) => {
    const broken = resizerWith(() => Promise.reject(Object.assign(new Error('no'), { code })))
    const png = original(await twoColorPng(30, 20))
    expect((await failureOf(resize(png, SPEC, broken)))[0]).toBe('unsupported_image')
  })

  it.each([
    ['the quota is used up', Object.assign(new Error('quota'), { code: 9422 }), 'quota'],
    ['the binding fails', new Error('reset'), 'reset'],
  ])('is 503 if %s', async (_, error, cause) => {
    const png = original(await twoColorPng(30, 20))
    const [code, reason] = await failureOf(
      resize(
        png,
        SPEC,
        resizerWith(() => Promise.reject(error)),
      ),
    )
    expect([code, reason]).toEqual(['image_unavailable', expect.stringContaining(cause)])
  })

  it('is 503 without the binding', async () => {
    const png = original(await twoColorPng(30, 20))
    expect((await failureOf(resize(png, SPEC, null)))[0]).toBe('image_unavailable')
  })

  // @threat image-bomb
  it('is 503 after ten seconds without a response', async () => {
    const png = original(await twoColorPng(30, 20))
    vi.useFakeTimers()
    const hanging = resizerWith(() => new Promise(() => undefined))
    const failed = failureOf(resize(png, SPEC, hanging))
    await vi.advanceTimersByTimeAsync(9999)
    const early = await Promise.race([failed, Promise.resolve('waits')])
    await vi.advanceTimersByTimeAsync(1)
    expect([early, (await failed)[0]]).toEqual(['waits', 'image_unavailable'])
  })

  // @threat image-original
  it('is 503 if the binding returns the original, so that nobody gets its full resolution', async () => {
    const png = await twoColorPng(30, 20)
    const echo = resizerWith(async () => new Response(png))
    expect((await failureOf(resize(original(png), SPEC, echo)))[0]).toBe('image_unavailable')
    const webp: VariantSpec = { ...SPEC, width: 100, format: 'webp' }
    expect((await failureOf(resize(original(png), webp, echo)))[0]).toBe('image_unavailable')
  })
})

describe('the response with a resized image', () => {
  const image = {
    bytes: Uint8Array.from({ length: 10 }, (_, i) => i),
    headers: [
      ['content-length', '10'],
      ['content-type', 'image/webp'],
    ],
  } as const

  it.each([
    ['bytes=0-', 206, 'bytes 0-9/10', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ['bytes=2-4', 206, 'bytes 2-4/10', [2, 3, 4]],
    ['bytes=8-99', 206, 'bytes 8-9/10', [8, 9]],
    ['bytes=-3', 206, 'bytes 7-9/10', [7, 8, 9]],
    ['bytes=-99', 206, 'bytes 0-9/10', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ['bytes=10-', 416, 'bytes */10', []],
  ])('for %s', async (range, status, contentRange, bytes) => {
    const response = imageResponse(image, range)
    expect([response.status, response.headers.get('Content-Range')]).toEqual([status, contentRange])
    expect(response.headers.get('Cache-Control')).toBe(status === 416 ? 'no-store' : null)
    expect([...new Uint8Array(await response.arrayBuffer())]).toEqual(bytes)
  })
})
