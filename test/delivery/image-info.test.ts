import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { imageInfo } from '../../src/delivery/image-info.ts'
import { runs } from '../support/fuzz.ts'
import {
  gifOf,
  imageOf,
  joined,
  PNG_START,
  pngChunk,
  pngHeader,
  twoColorPng,
  withExif,
} from '../support/images.ts'

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0))

function box(name: string, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const body = joined(...parts)
  const head = new Uint8Array(8)
  new DataView(head.buffer).setUint32(0, 8 + body.byteLength)
  head.set(ascii(name), 4)
  return joined(head, body)
}

function ispe(width: number, height: number): Uint8Array {
  const body = new Uint8Array(12)
  const view = new DataView(body.buffer)
  view.setUint32(4, width)
  view.setUint32(8, height)
  return box('ispe', body)
}

/** The boxes of a photo from a phone: two tiles and the whole image. */
const heic = (brand = 'heic'): Uint8Array =>
  joined(
    box('ftyp', ascii(brand), new Uint8Array(4), ascii('mif1')),
    box(
      'meta',
      new Uint8Array(4),
      box('iprp', box('ipco', ispe(512, 512), ispe(4032, 3024), ispe(512, 512))),
    ),
    box('mdat', new Uint8Array(32)),
  )

/** Segments of a JPEG: the start of the pixels, the end, and the size 30 × 20. */
const SCAN = [0xff, 0xda, 0, 2]
const END = [0xff, 0xd9, 0, 2]
const SIZE = Uint8Array.of(0xff, 0xc0, 0, 8, 8, 0, 20, 0, 30, 1)

/** A HEIC with 60 unknown brands before its own. */
const lateBrand = () =>
  joined(
    box('ftyp', ascii('none'), new Uint8Array(4), ascii('none'.repeat(60)), ascii('heic')),
    box('meta', new Uint8Array(4), box('iprp', box('ipco', ispe(30, 20)))),
  )

describe('imageInfo', () => {
  it('reads real images of each format', async () => {
    expect(imageInfo(await twoColorPng(30, 20))).toEqual({
      type: 'image/png',
      width: 30,
      height: 20,
      frames: 1,
    })
    for (const type of ['image/jpeg', 'image/webp', 'image/avif'] as const)
      expect(imageInfo(await imageOf(type, 60, 40))).toEqual({
        type,
        width: 60,
        height: 40,
        frames: 1,
      })
    expect(imageInfo(withExif(await imageOf('image/jpeg', 60, 40)))).toMatchObject({
      width: 60,
      height: 40,
    })
  })

  it('counts the frames of an animation', () => {
    expect(imageInfo(gifOf(300, 200, 7))).toEqual({
      type: 'image/gif',
      width: 300,
      height: 200,
      frames: 7,
    })
    const control = new Uint8Array(8)
    new DataView(control.buffer).setUint32(0, 12)
    const apng = joined(PNG_START, pngHeader(8, 8), pngChunk('acTL', control))
    expect(imageInfo(apng)).toMatchObject({ frames: 12 })
    const canvas = Uint8Array.of(2, 0, 0, 0, 99, 0, 0, 49, 0, 0)
    const chunk = (name: string, body: Uint8Array) =>
      joined(ascii(name), Uint8Array.of(body.byteLength, 0, 0, 0), body)
    const frame = chunk('ANMF', new Uint8Array(24))
    const webp = joined(ascii('RIFF\0\0\0\0WEBP'), chunk('VP8X', canvas), frame, frame, frame)
    expect(imageInfo(webp)).toEqual({ type: 'image/webp', width: 100, height: 50, frames: 3 })
  })

  it('takes the largest size of a HEIC with tiles, and refuses a sequence', () => {
    expect(imageInfo(heic())).toEqual({
      type: 'image/heic',
      width: 4032,
      height: 3024,
      frames: 1,
    })
    expect(imageInfo(joined(box('ftyp', ascii('hevc'), new Uint8Array(4))))).toBeNull()
  })

  it.each([
    ['nothing', ''],
    ['text', 'hello'],
    ['SVG', '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>'],
    ['HTML', '<!doctype html><p>hi'],
    ['PDF', '%PDF-1.7'],
    ['the start of a JPEG', '\xff\xd8\xff'],
    ['a JPEG without a frame', '\xff\xd8\xff\xd9'],
    ['the start of a PNG', '\x89PNG\r\n\x1a\n'],
    ['the start of a GIF', 'GIF89a'],
    ['an MP4', '\0\0\0\x18ftypmp42\0\0\0\0mp42isom'],
  ])('returns null for %s', (_, bytes) => {
    expect(imageInfo(ascii(bytes))).toBeNull()
  })

  it.each([
    ['a JPEG without a size before its pixels', joined(Uint8Array.of(0xff, 0xd8, ...SCAN), SIZE)],
    ['a JPEG that ends before its size', joined(Uint8Array.of(0xff, 0xd8, ...END), SIZE)],
    ['a HEIC whose brand comes after 256 bytes', lateBrand()],
  ])('returns null for bytes of %s', (_, bytes) => {
    expect(imageInfo(bytes)).toBeNull()
  })

  it('returns null for an image without pixels', () => {
    expect(imageInfo(joined(PNG_START, pngHeader(0, 10)))).toBeNull()
  })

  // @threat image-bomb
  it('ends for every truncated or changed image', async () => {
    const images = [
      await twoColorPng(30, 20),
      await imageOf('image/jpeg', 60, 40),
      await imageOf('image/webp', 60, 40),
      await imageOf('image/avif', 60, 40),
      gifOf(30, 20, 3),
      heic(),
    ]
    fc.assert(
      fc.property(
        fc.constantFrom(...images),
        fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 8 }),
        fc.nat(2000),
        (image, changes, length) => {
          const bytes = image.slice(0, length)
          for (const [at, value] of changes) if (at < bytes.byteLength) bytes[at] = value
          const info = imageInfo(bytes)
          expect(info === null || info.width * info.height * info.frames > 0).toBe(true)
        },
      ),
      { numRuns: runs(3000) },
    )
  })
})
