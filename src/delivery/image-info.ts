/** The types of images that can be resized. */
export type ImageType =
  | 'image/jpeg'
  | 'image/png'
  | 'image/gif'
  | 'image/webp'
  | 'image/avif'
  | 'image/heic'

/** What the first bytes of an image say about it. */
export interface ImageInfo {
  readonly type: ImageType
  /** Pixels, as stored. A rotation by EXIF is not applied. */
  readonly width: number
  readonly height: number
  /** Number of frames of an animation, otherwise 1. */
  readonly frames: number
}

/**
 * Returns what the bytes of an image say about it, independent of its name and media type, or null
 * if they are no image of a known type or are malformed. An image with such a header may still be
 * broken. Follows the specifications of the formats: ITU-T T.81, W3C PNG, GIF89a, the WebP
 * container, and ISO/IEC 23008-12 (HEIF).
 */
export function imageInfo(bytes: Uint8Array): ImageInfo | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    const found = jpeg(view) ?? png(view) ?? gif(view) ?? webp(view) ?? heif(view)
    return found !== null && found.width > 0 && found.height > 0 ? found : null
  } catch (error) {
    // The bytes end before what they announce.
    if (error instanceof RangeError) return null
    throw error
  }
}

/** Returns `length` bytes as text, one character for each byte. */
function text(view: DataView, at: number, length: number): string {
  let read = ''
  for (let i = at; i < at + length; i++) read += String.fromCharCode(view.getUint8(i))
  return read
}

/** Reads the segments up to the frame header (SOF), which has the size. */
function jpeg(view: DataView): ImageInfo | null {
  if (view.getUint16(0) !== 0xffd8) return null
  for (let at = 2; ; ) {
    if (view.getUint8(at) !== 0xff) return null
    const marker = view.getUint8(at + 1)
    if (marker === 0xff) {
      at += 1 // a fill byte
      continue
    }
    // SOF0 to SOF15, without the tables DHT, JPG and DAC in between.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker))
      return {
        type: 'image/jpeg',
        height: view.getUint16(at + 5),
        width: view.getUint16(at + 7),
        frames: 1,
      }
    if (marker === 0xd9 || marker === 0xda) return null
    at += 2 + view.getUint16(at + 2)
  }
}

function png(view: DataView): ImageInfo | null {
  if (text(view, 0, 8) !== '\x89PNG\r\n\x1a\n' || text(view, 12, 4) !== 'IHDR') return null
  const [width, height] = [view.getUint32(16), view.getUint32(20)]
  let frames = 1
  // An animation has its chunk before the pixels.
  for (let at = 33; at + 8 <= view.byteLength; at += 12 + view.getUint32(at)) {
    const chunk = text(view, at + 4, 4)
    if (chunk === 'IDAT') break
    if (chunk === 'acTL') frames = Math.max(1, view.getUint32(at + 8))
  }
  return { type: 'image/png', width, height, frames }
}

function gif(view: DataView): ImageInfo | null {
  if (!/^GIF8[79]a$/.test(text(view, 0, 6))) return null
  const [width, height] = [view.getUint16(6, true), view.getUint16(8, true)]
  let frames = 0
  for (let at = 13 + colors(view.getUint8(10)); at < view.byteLength; ) {
    const block = view.getUint8(at)
    if (block === 0x2c) {
      frames += 1
      at = afterBlocks(view, at + 11 + colors(view.getUint8(at + 9)))
    } else if (block === 0x21) at = afterBlocks(view, at + 2)
    else break
  }
  return { type: 'image/gif', width, height, frames: Math.max(1, frames) }
}

/** Returns the length of a GIF's color table, from its packed field. */
const colors = (packed: number): number => (packed & 0x80 ? 3 * 2 ** ((packed & 7) + 1) : 0)

/** Returns the position after the data blocks of a GIF that start at `at`. */
function afterBlocks(view: DataView, at: number): number {
  let next = at
  while (next < view.byteLength && view.getUint8(next) !== 0) next += 1 + view.getUint8(next)
  return next + 1
}

function webp(view: DataView): ImageInfo | null {
  if (text(view, 0, 4) !== 'RIFF' || text(view, 8, 4) !== 'WEBP') return null
  const type = 'image/webp'
  const uint24 = (at: number) => view.getUint16(at, true) + view.getUint8(at + 2) * 0x10000
  switch (text(view, 12, 4)) {
    case 'VP8 ':
      return {
        type,
        width: view.getUint16(26, true) & 0x3fff,
        height: view.getUint16(28, true) & 0x3fff,
        frames: 1,
      }
    case 'VP8L': {
      const size = view.getUint32(21, true)
      return { type, width: (size & 0x3fff) + 1, height: ((size >>> 14) & 0x3fff) + 1, frames: 1 }
    }
    case 'VP8X': {
      let frames = 0
      for (let at = 12; at + 8 <= view.byteLength; ) {
        if (text(view, at, 4) === 'ANMF') frames += 1
        const size = view.getUint32(at + 4, true)
        at += 8 + size + (size % 2)
      }
      return { type, width: uint24(24) + 1, height: uint24(27) + 1, frames: Math.max(1, frames) }
    }
    default:
      return null
  }
}

const HEIC_BRANDS = ['heic', 'heix', 'heim', 'heis', 'mif1']

/** Reads AVIF and HEIC, which are boxes in boxes. Refuses sequences. */
function heif(view: DataView): ImageInfo | null {
  if (text(view, 4, 4) !== 'ftyp') return null
  const end = Math.min(view.getUint32(0), 256)
  const brands: string[] = [text(view, 8, 4)]
  for (let at = 16; at + 4 <= end; at += 4) brands.push(text(view, at, 4))
  const isAvif = brands.includes('avif')
  if (!isAvif && !brands.some((brand) => HEIC_BRANDS.includes(brand))) return null
  const sizes = sizesIn(view, 0, view.byteLength, ['meta', 'iprp', 'ipco'])
  // An image may consist of tiles, which have sizes of their own.
  const largest = sizes.toSorted((a, b) => b.width * b.height - a.width * a.height)[0]
  return largest === undefined
    ? null
    : { type: isAvif ? 'image/avif' : 'image/heic', ...largest, frames: 1 }
}

interface Size {
  readonly width: number
  readonly height: number
}

/** Returns the sizes (`ispe`) in the boxes of `path` between two positions. */
function sizesIn(
  view: DataView,
  start: number,
  end: number,
  [name, ...path]: readonly string[],
): Size[] {
  const sizes: Size[] = []
  for (let at = start; at + 8 <= end; ) {
    const size = view.getUint32(at)
    const box = text(view, at + 4, 4)
    if (size < 8) break
    const last = Math.min(end, at + size)
    if (name === undefined && box === 'ispe')
      sizes.push({ width: view.getUint32(at + 12), height: view.getUint32(at + 16) })
    if (box === name) sizes.push(...sizesIn(view, at + (box === 'meta' ? 12 : 8), last, path))
    at += size
  }
  return sizes
}
