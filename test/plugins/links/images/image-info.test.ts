import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { imageInfo } from '../../../../src/plugins/links/images/image-info.ts'
import { runs } from '../../../support/fuzz.ts'
import {
  anmf,
  ascii,
  box,
  gifOf,
  imageOf,
  joined,
  PNG_START,
  pngChunk,
  pngHeader,
  riffChunk,
  twoColorPng,
  uint16s,
  uint32s,
  vp8x,
  webpOf,
  withExif,
} from '../../../support/images.ts'

const ispe = (width: number, height: number): Uint8Array => box('ispe', uint32s(0, width, height))

/** The boxes of a photo from a phone: two tiles and the whole image. */
const heic = (brand = 'heic', ...properties: readonly Uint8Array[]): Uint8Array =>
  joined(
    box('ftyp', ascii(brand), new Uint8Array(4), ascii('mif1')),
    box(
      'meta',
      new Uint8Array(4),
      box('iprp', box('ipco', ispe(512, 512), ispe(4032, 3024), ispe(512, 512), ...properties)),
    ),
    box('mdat', new Uint8Array(32)),
  )

/** Segments of a JPEG: the start of the pixels, the end, and the size 30 × 20. */
const SCAN = [0xff, 0xda, 0, 2]
const END = [0xff, 0xd9, 0, 2]
const SIZE = Uint8Array.of(0xff, 0xc0, 0, 8, 8, 0, 20, 0, 30, 1)

/** The start of the pixels of a lossy and of a lossless WebP, which have a size too. */
function vp8(width: number, height: number): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(10)
  body.set([0x9d, 0x01, 0x2a], 3)
  new DataView(body.buffer).setUint16(6, width, true)
  new DataView(body.buffer).setUint16(8, height, true)
  return riffChunk('VP8 ', body)
}

function vp8l(width: number, height: number): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(6)
  body[0] = 0x2f
  new DataView(body.buffer).setUint32(1, (width - 1) | ((height - 1) << 14), true)
  return riffChunk('VP8L', body)
}

const apngFrame = (width: number, height: number): Uint8Array =>
  pngChunk('fcTL', joined(uint32s(0, width, height, 0, 0), new Uint8Array(6)))

const sof = (width: number, height: number): Uint8Array =>
  Uint8Array.of(0xff, 0xc0, 0, 8, 8, height >> 8, height & 255, width >> 8, width & 255, 1)

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
  })

  it('returns the size that is shown after a rotation', async () => {
    const jpeg = await imageOf('image/jpeg', 60, 40)
    const photo = withExif(jpeg)
    const shown = { type: 'image/jpeg', width: 40, height: 60, frames: 1 }
    expect(imageInfo(photo)).toEqual(shown)
    // The same in the other byte order.
    const tiff = [0x49, 0x49, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 8, 0, 0, 0]
    const exif = joined(ascii('Exif\0\0'), Uint8Array.from(tiff))
    const length = uint16s(exif.byteLength + 2)
    const start = joined(jpeg.subarray(0, 2), Uint8Array.of(0xff, 0xe1), length, exif)
    expect(imageInfo(joined(start, jpeg.subarray(2)))).toEqual(shown)
    for (const orientation of [1, 2, 3, 4]) {
      start[start.byteLength - 4] = orientation
      expect(imageInfo(joined(start, jpeg.subarray(2)))).toMatchObject({ width: 60, height: 40 })
    }
    expect(imageInfo(heic('heic', box('irot', Uint8Array.of(1))))).toMatchObject({ width: 3024 })
    expect(imageInfo(heic('heic', box('irot', Uint8Array.of(2))))).toMatchObject({ width: 4032 })
  })

  it('reads the size of a JPEG with broken EXIF data', async () => {
    const photo = withExif(await imageOf('image/jpeg', 60, 40))
    // Where the list of fields begins, or how many there are without the orientation.
    for (const changes of [
      [[16, 0xff]],
      [
        [21, 0xff],
        [35, 0xff],
      ],
    ] as const) {
      const broken = photo.slice()
      for (const [at, value] of changes) broken[at] = value
      expect(imageInfo(broken)).toMatchObject({ width: 60, height: 40 })
    }
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
    const frame = anmf(100, 50, riffChunk('ALPH', new Uint8Array(8)))
    expect(imageInfo(webpOf(vp8x(2, 100, 50), frame, frame, frame))).toEqual({
      type: 'image/webp',
      width: 100,
      height: 50,
      frames: 3,
    })
  })

  // @threat image-bomb
  it('refuses a WebP with frames inside a frame, which decoders read one after another', () => {
    const frame = anmf(100, 50, vp8(100, 50))
    const hiding = anmf(100, 50, vp8(100, 50), riffChunk('JUNK', new Uint8Array(3)), frame, frame)
    expect(imageInfo(webpOf(vp8x(2, 100, 50), hiding))).toBeNull()
  })

  const pixels = pngChunk('IDAT', new Uint8Array(9))
  const small = [PNG_START, pngHeader(8, 8), pngChunk('acTL', uint32s(1, 0))]

  // @threat image-bomb
  it.each([
    ['a frame of a GIF', gifOf(16_000, 15_000, 1, [1, 1])],
    ['a frame of an animated PNG', joined(...small, apngFrame(16_000, 15_000), pixels)],
    ['a later frame', joined(...small, apngFrame(8, 8), pixels, apngFrame(16_000, 15_000))],
    ['the pixels of a lossy WebP', webpOf(vp8x(0, 8, 8), vp8(16_000, 15_000))],
    ['the pixels of a lossless WebP', webpOf(vp8x(0, 8, 8), vp8l(16_000, 15_000))],
    ['a frame of a WebP', webpOf(vp8x(2, 8, 8), anmf(16_000, 15_000, vp8(8, 8)))],
    [
      'the pixels in a frame, after its alpha channel',
      webpOf(vp8x(2, 8, 8), anmf(8, 8, riffChunk('ALPH', new Uint8Array(3)), vp8(16_000, 15_000))),
    ],
    ['the lossless pixels in a frame', webpOf(vp8x(2, 8, 8), anmf(8, 8, vp8l(16_000, 15_000)))],
    [
      'a second frame header of a JPEG',
      joined(Uint8Array.of(0xff, 0xd8), sof(8, 8), sof(16_000, 15_000), Uint8Array.of(...SCAN)),
    ],
  ])('takes the size of %s that is larger than the whole', (_, bytes) => {
    expect(imageInfo(bytes)).toMatchObject({ width: 16_000, height: 15_000 })
  })

  // @threat image-bomb
  it('counts the frames of an animated PNG itself', () => {
    const frames = Array<Uint8Array>(3).fill(apngFrame(8, 8))
    expect(imageInfo(joined(...small, pixels, ...frames))).toMatchObject({ frames: 3 })
  })

  // @threat image-bomb
  it.each([
    ['a restart marker', [0xff, 0xd0]],
    ['a marker without a meaning', [0xff, 0x01]],
    ['a second start', [0xff, 0xd8]],
    ['a marker without its first byte', [0, 0xe0]],
  ])('returns null for a JPEG with %s before its size, which decoders skip', (_, stray) => {
    // A reader that takes the real header for a length skips to the other one.
    const real = joined(sof(16_000, 15_000), new Uint8Array(0xffc0 - 10))
    const start = Uint8Array.of(0xff, 0xd8, ...stray)
    expect(imageInfo(joined(start, real, sof(8, 8), Uint8Array.of(...SCAN)))).toBeNull()
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
      joined(...small, apngFrame(8, 8), pixels, apngFrame(8, 8)),
      webpOf(vp8x(2, 30, 20), anmf(30, 20, vp8(30, 20)), anmf(9, 9, vp8l(9, 9))),
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

  // @threat image-bomb
  it('reads what follows a box of 64 bits, or is in it', () => {
    const small = heic()
    const large = heic('heic', ispe(9000, 9000))
    const long = (name: string, body: Uint8Array) =>
      joined(uint32s(1), ascii(name), uint32s(0, 16 + body.byteLength), body)
    const behind = joined(small, long('free', new Uint8Array(9)), large.subarray(20))
    expect(imageInfo(behind)).toMatchObject({ width: 9000, height: 9000 })
    const within = heic('heic', long('ispe', uint32s(0, 9000, 9000)))
    expect(imageInfo(within)).toMatchObject({ width: 9000, height: 9000 })
    const unsized = heic('heic', joined(uint32s(0), ascii('ispe'), uint32s(0, 9000, 9000)))
    expect(imageInfo(unsized)).toMatchObject({ width: 9000, height: 9000 })
    expect(imageInfo(joined(small, uint32s(7), ascii('free')))).toEqual(imageInfo(small))
  })

  // @threat image-bomb
  it.each([
    ['fill bytes', [0xff, 0xd8], [0xff]],
    ['empty segments', [0xff, 0xd8], [0xff, 0xe0, 0, 2]],
    [
      'long lists of EXIF fields',
      [0xff, 0xd8],
      [0xff, 0xe1, 0, 18, ...ascii('Exif\0\0MM\0*\0\0\0\x08'), 0xff, 0xff],
    ],
    ['empty chunks', [...PNG_START], [0, 0, 0, 0, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 0]],
    ['blocks of one byte', [...gifOf(8, 8, 0).slice(0, -1), 0x21, 0], [1, 1]],
    ['empty extensions', [...gifOf(8, 8, 0).slice(0, -1)], [0x21, 0, 0]],
    ['empty frames', [...ascii('RIFF\0\0\0\0WEBP')], [...ascii('ANMF'), 0, 0, 0, 0]],
    ['empty boxes', [...box('ftyp', ascii('avif'), new Uint8Array(4))], [...box('free')]],
  ])('gives up an image of 20 MiB of %s after 200,000 parts', (_, head, unit) => {
    const bytes = new Uint8Array(20 * 1024 ** 2)
    bytes.set(unit)
    for (let size = unit.length; size < bytes.byteLength; size *= 2)
      bytes.copyWithin(size, 0, Math.min(size, bytes.byteLength - size))
    bytes.copyWithin(head.length, 0)
    bytes.set(head)
    const { prototype } = DataView
    const { getUint8, getUint16 } = prototype
    let reads = 0
    const count = () => {
      reads += 1
      if (reads > 4_000_000) throw new Error('There are too many reads.')
    }
    prototype.getUint8 = function (...place) {
      count()
      return getUint8.apply(this, place)
    }
    prototype.getUint16 = function (...place) {
      count()
      return getUint16.apply(this, place)
    }
    try {
      expect(imageInfo(bytes)).toBeNull()
    } finally {
      Object.assign(prototype, { getUint8, getUint16 })
    }
  })
})
