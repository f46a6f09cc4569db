import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { imageInfo } from '../../../../src/plugins/links/images/image-info.ts'
import { withoutMetadata } from '../../../../src/plugins/links/images/image-metadata.ts'
import { runs } from '../../../support/fuzz.ts'
import {
  anmf,
  ascii,
  box,
  imageOf,
  joined,
  pngChunk,
  riffChunk,
  twoColorPng,
  uint16s,
  uint32s,
  vp8x,
  webpOf,
} from '../../../support/images.ts'
import { pictureWithMetadata } from '../../../support/pictures.ts'

const TYPES = ['image/jpeg', 'image/png', 'image/webp', 'image/avif'] as const

const latin1 = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')

/** Returns the image without metadata, which must be possible. */
function cleaned(bytes: Uint8Array<ArrayBuffer>, type: (typeof TYPES)[number]) {
  const clean = withoutMetadata(bytes.slice(), type)
  if (clean === null) throw new Error('The image was refused.')
  return clean
}

/** Returns the pixels that the runtime's decoder reads, with the profile applied. */
async function pixelsOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const { body } = new Response(bytes)
  if (body === null) throw new Error('The image is empty.')
  const png = await env.IMAGES.input(body).transform({ width: 16 }).output({ format: 'image/png' })
  const made = latin1(new Uint8Array(await png.response().arrayBuffer()))
  return made.slice(made.indexOf('IDAT'))
}

/** Returns the picture with another name for its color profile, or without it for a PNG. */
function withoutProfile(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const at = latin1(bytes).search(/iCCP|ICC_PROFILE|ICCP|colr/)
  if (bytes[at] !== 0x69) return joined(bytes.subarray(0, at), ascii('x'), bytes.subarray(at + 1))
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at - 4)
  return joined(bytes.subarray(0, at - 4), bytes.subarray(at + length + 8))
}

/** A segment of a JPEG. */
const segment = (marker: number, ...parts: readonly Uint8Array[]): Uint8Array => {
  const body = joined(...parts)
  return joined(Uint8Array.of(0xff, marker), uint16s(body.byteLength + 2), body)
}

/** Returns the JPEG with these segments before the first one with that marker. */
function inserted(
  jpeg: Uint8Array<ArrayBuffer>,
  marker: number,
  ...segments: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const at = jpeg.findIndex((byte, i) => byte === 0xff && jpeg[i + 1] === marker)
  return joined(jpeg.subarray(0, at), ...segments, jpeg.subarray(at))
}

describe.each(TYPES)('a picture of type %s', (type) => {
  const picture = pictureWithMetadata(type)

  // @threat image-original
  it('loses EXIF and XMP, and keeps its pixels and its color profile', async () => {
    expect(latin1(picture)).toContain('Canary 1')
    const clean = cleaned(picture, type)
    expect(latin1(clean)).not.toMatch(/Canary|GPS|adobe/)
    expect(imageInfo(clean)).toEqual(imageInfo(picture))
    expect(await pixelsOf(clean)).toBe(await pixelsOf(picture))
    // The decoder applies the profile: without it, these pixels have other colors.
    expect(await pixelsOf(withoutProfile(clean))).not.toBe(await pixelsOf(picture))
  })

  // @threat image-original
  it('is refused if it ends too early', () => {
    const clean = cleaned(picture, type)
    for (const missing of [1, 3, 6, 20])
      expect(withoutMetadata(clean.slice(0, -missing), type), `${missing} bytes`).toBeNull()
  })

  it('stays as it is without metadata', async () => {
    const image = type === 'image/png' ? await twoColorPng(30, 20) : await imageOf(type, 30, 20)
    expect(cleaned(image, type)).toEqual(image)
    expect(cleaned(cleaned(picture, type), type)).toEqual(cleaned(picture, type))
  })

  // @threat image-bomb
  it('is cleaned or refused, however it is changed or cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(picture.byteLength - 1), fc.nat(255)), { maxLength: 8 }),
        fc.nat(picture.byteLength),
        (changes, length) => {
          const bytes = picture.slice(0, length)
          for (const [at, value] of changes) if (at < length) bytes[at] = value
          const clean = withoutMetadata(bytes, type)
          expect(clean === null || clean.byteLength <= length).toBe(true)
        },
      ),
      { numRuns: runs(2000) },
    )
  })
})

const SECRET = ascii('Canary 3')

describe('a JPEG', () => {
  const scan = 0xda

  // @threat image-original
  it.each([
    ['EXIF after other segments', [segment(0xe1, ascii('Exif\0\0'), SECRET)]],
    ['IPTC', [segment(0xed, ascii('Photoshop 3.0\0'), SECRET)]],
    ['Content Credentials', [segment(0xeb, ascii('JP\0\0'), SECRET)]],
    ['a second picture', [segment(0xe2, ascii('MPF\0'), SECRET)]],
    ['a thumbnail', [segment(0xe0, ascii('JFIF\0\x01\x02\0\0\x01\0\x01\x01\x01'), SECRET)]],
    ['another thumbnail', [segment(0xe0, ascii('JFXX\0\x10'), SECRET)]],
    ['more than colors in a segment of Adobe', [segment(0xee, ascii('Adobe\0'), SECRET)]],
    ['a comment', [segment(0xfe, SECRET)]],
    ['a segment that is reserved', [segment(0xf0, SECRET)]],
  ])('loses %s', async (_, segments) => {
    const jpeg = pictureWithMetadata('image/jpeg')
    const clean = cleaned(inserted(jpeg, scan, ...segments), 'image/jpeg')
    expect(clean).toEqual(cleaned(jpeg, 'image/jpeg'))
  })

  // @threat image-original
  it('loses EXIF between its scans, and what follows its end', async () => {
    const jpeg = pictureWithMetadata('image/jpeg')
    const exif = segment(0xe1, ascii('Exif\0\0'), SECRET)
    const start = jpeg.findLastIndex((byte, i) => byte === 0xff && jpeg[i + 1] === scan)
    const between = joined(jpeg.subarray(0, start), exif, jpeg.subarray(start), SECRET)
    expect(cleaned(between, 'image/jpeg')).toEqual(cleaned(jpeg, 'image/jpeg'))
  })

  it('keeps restart markers and the color transformation of Adobe', async () => {
    const jpeg = await imageOf('image/jpeg', 30, 20)
    const adobe = segment(0xee, ascii('Adobe\0\x64\0\0\0\0\x01'))
    const restarts = segment(0xdd, uint16s(1))
    const data = Uint8Array.of(1, 2, 0xff, 0xd0, 3, 0xff, 0, 0xff, 0xd7, 4)
    const head = inserted(jpeg, scan, adobe, restarts, segment(scan, new Uint8Array(10)), data)
    expect(cleaned(head, 'image/jpeg')).toEqual(head)
  })
})

// @threat image-original
it.each(['eXIf', 'tEXt', 'iTXt', 'zTXt', 'tIME', 'caBX', 'prVt'])(
  'a PNG loses its chunk %s, and what follows its end',
  async (name) => {
    const png = await twoColorPng(30, 20)
    const secret = pngChunk(name, SECRET)
    const withSecret = joined(png.subarray(0, 33), secret, png.subarray(33, -12), secret)
    const whole = joined(withSecret, png.subarray(-12), secret)
    expect(cleaned(whole, 'image/png')).toEqual(png)
  },
)

// @threat image-original
it('a WebP loses unknown chunks and what follows its end, and its header says what is left', async () => {
  const lossy = (await imageOf('image/webp', 30, 20)).subarray(12)
  const profile = riffChunk('ICCP', SECRET.subarray(0, 6))
  const secrets = ['EXIF', 'XMP ', 'JUNK'].map((name) => riffChunk(name, SECRET))
  const bytes = joined(
    webpOf(vp8x(0x2c, 30, 20), profile, lossy, ...secrets),
    riffChunk('ANIM', SECRET),
  )
  expect(cleaned(bytes, 'image/webp')).toEqual(webpOf(vp8x(0x20, 30, 20), profile, lossy))
})

// @threat image-original
it('refuses a frame of a WebP, which may have metadata', async () => {
  const lossy = (await imageOf('image/webp', 30, 20)).subarray(12)
  const frame = anmf(30, 20, lossy, riffChunk('EXIF', SECRET))
  expect(withoutMetadata(webpOf(vp8x(2, 30, 20), frame), 'image/webp')).toBeNull()
})

describe('an AVIF', () => {
  /** Returns an AVIF with three items of metadata in `data`, at these positions of the file or box. */
  function avif(
    version: 0 | 1 | 2,
    method: number,
    infeVersion: 2 | 3 = 2,
    ...boxes: readonly Uint8Array[]
  ) {
    const id = (value: number) => (version < 2 ? uint16s(value) : uint32s(value))
    const items = ['av01', 'Exif', 'mime']
    const infos = items.map((name, i) =>
      box(
        'infe',
        Uint8Array.of(infeVersion, 0, 0, 0),
        infeVersion === 2 ? uint16s(i + 1) : uint32s(i + 1),
        uint16s(0),
        ascii(`${name}\0`),
      ),
    )
    const data = ascii(
      `picture!picture!picture!${'0000MM\0*Canary 4'.padEnd(24)}${'Canary 5'.padEnd(22)}`,
    )
    const extents = [
      [0, 24],
      [24, 24],
      [48, 22],
    ]
    const file = (dataAt: number) => {
      const places = extents.map(([start = 0, length = 0], i) =>
        joined(
          id(i + 1),
          version === 0 ? new Uint8Array() : uint16s(method),
          uint16s(0),
          uint32s(method === 0 ? dataAt : 0),
          uint16s(1),
          uint32s(start, length),
        ),
      )
      const iloc = box('iloc', Uint8Array.of(version, 0, 0, 0, 0x44, 0x40), id(3), ...places)
      const meta = box(
        'meta',
        new Uint8Array(4),
        box('iinf', new Uint8Array(4), uint16s(3), ...infos),
        iloc,
        ...boxes,
        box('iprp', box('ipco', box('ispe', uint32s(0, 30, 20)))),
        ...(method === 0 ? [] : [box('idat', data)]),
      )
      const secret = box('uuid', SECRET)
      return joined(box('ftyp', ascii('avif'), new Uint8Array(4)), secret, meta, box('mdat', data))
    }
    const length = file(0).byteLength
    return file(length - data.byteLength)
  }

  // @threat image-original
  it.each([
    [0, 0, 2],
    [1, 0, 2],
    [1, 1, 2],
    [2, 0, 3],
    [2, 1, 3],
  ] as const)(
    'loses metadata that its table of version %i places by method %i',
    (version, method, info) => {
      const bytes = avif(version, method, info)
      const clean = cleaned(bytes, 'image/avif')
      expect(clean.byteLength).toBe(bytes.byteLength)
      const left = latin1(clean)
      // Method 1 has another copy of the data, in a box that no item uses.
      expect(left.match(/picture!picture!picture!/g)).toHaveLength(1)
      expect(left).toContain(`picture!\0\0\0\0MM\0*\0\0\0\x08${'\0'.repeat(34)}`)
      expect(left).not.toContain('Canary')
    },
  )

  /** A box whose size is 0, or in 64 bits. */
  const unsized = (name: string, ...parts: readonly Uint8Array[]) =>
    joined(uint32s(0), ascii(name), ...parts)
  const long = (name: string, ...parts: readonly Uint8Array[]) =>
    joined(uint32s(1), ascii(name), uint32s(0, 16 + joined(...parts).byteLength), ...parts)

  /** Returns the picture with `secret` at the end of its box `name`, which is in the other boxes. */
  function withBox(secret: Uint8Array, name: string, ...parents: readonly string[]) {
    const picture = pictureWithMetadata('image/avif')
    const view = new DataView(picture.buffer, picture.byteOffset)
    const text = latin1(picture)
    const start = text.indexOf(name) - 4
    const end = start + view.getUint32(start)
    for (const at of [start, ...parents.map((parent) => text.indexOf(parent) - 4)])
      view.setUint32(at, view.getUint32(at) + secret.byteLength)
    const dataAt = text.indexOf('mdat')
    const isBefore = end < dataAt
    const table = text.indexOf('iloc')
    for (let at = table + 4; isBefore && at < table + 80; at++) {
      const place = view.getUint32(at)
      if (place >= dataAt && place < picture.byteLength)
        view.setUint32(at, place + secret.byteLength)
    }
    return joined(picture.subarray(0, end), secret, picture.subarray(end))
  }

  // @threat image-original
  it.each([
    ['XML', withBox(box('xml ', SECRET), 'meta')],
    ['a description', withBox(box('udes', SECRET), 'ipco', 'iprp', 'meta')],
    ['data of no item', withBox(SECRET, 'mdat')],
    ['a box of 64 bits', joined(pictureWithMetadata('image/avif'), long('uuid', SECRET))],
    ['a box without a size', joined(pictureWithMetadata('image/avif'), unsized('uuid', SECRET))],
    ['bytes after its end', joined(pictureWithMetadata('image/avif'), SECRET.subarray(0, 6))],
    ['a false box', joined(pictureWithMetadata('image/avif'), uint32s(7), ascii('free'), SECRET)],
  ])('loses %s, and keeps its pixels', async (_, bytes) => {
    expect(latin1(bytes)).toMatch(/Canary/)
    const clean = cleaned(bytes, 'image/avif')
    expect(latin1(clean)).not.toMatch(/Canar|GPS|adobe/)
    expect(await pixelsOf(clean)).toBe(await pixelsOf(bytes))
  })

  // @threat image-original
  it.each([
    ['16', Uint8Array.of(0, 0, 0, 0), uint16s(1, 1, 7)],
    ['32', Uint8Array.of(1, 0, 0, 0), joined(uint32s(1), uint16s(1), uint32s(7))],
  ])('loses its thumbnail, with numbers of %s bits', (_, version, numbers) => {
    const other = box('iref', version, box('dimg', numbers))
    expect(latin1(cleaned(avif(0, 0, 2, other), 'image/avif'))).toContain('picture!')
    const thumbnail = box('iref', version, box('dimg', uint32s(0)), box('thmb', numbers))
    expect(latin1(cleaned(avif(0, 0, 2, thumbnail), 'image/avif'))).not.toContain('picture!')
  })

  // @threat image-original
  it('loses metadata behind a box of 64 bits', () => {
    const bytes = avif(1, 1)
    const at = latin1(bytes).indexOf('ftyp') - 4 + 16
    const behind = joined(bytes.subarray(0, at), long('free', SECRET), bytes.subarray(at))
    expect(latin1(cleaned(behind, 'image/avif'))).not.toContain('Canary')
  })

  /** Returns the AVIF with a length of zero for its EXIF, which stands for everything. */
  function withoutLength(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    bytes.set(uint32s(24, 0), latin1(bytes).indexOf(latin1(uint32s(24, 24))))
    return bytes
  }

  /** Returns the AVIF with a box of its picture's size that reaches into the metadata. */
  function withLongBox(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    bytes.set(uint32s(120), latin1(bytes).indexOf('ispe') - 4)
    return bytes
  }

  // @threat image-original
  it.each([
    ['another item', avif(1, 2)],
    ['a box that is longer than the one around it', withLongBox(avif(0, 0))],
    ['bytes after its end', avif(0, 0).slice(0, -1)],
    ['no known bytes', withoutLength(avif(0, 0))],
  ])('is refused if its metadata is in %s', (_, bytes) => {
    expect(withoutMetadata(bytes, 'image/avif')).toBeNull()
  })
})

it.each(['image/gif', 'image/heic'] as const)('refuses %s, which nobody asks for', (type) => {
  expect(withoutMetadata(new Uint8Array(100), type)).toBeNull()
})
