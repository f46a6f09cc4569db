/** The types of images that can be resized. */
export type ImageType =
  | 'image/jpeg'
  | 'image/png'
  | 'image/gif'
  | 'image/webp'
  | 'image/avif'
  | 'image/heic'

/** What the headers of an image say about it. */
export interface ImageInfo {
  readonly type: ImageType
  /**
   * Pixels, as a JPEG or HEIC is shown after its rotation: of the largest frame or tile, if the image
   * as a whole says less.
   */
  readonly width: number
  readonly height: number
  /** Number of frames of an animation, otherwise 1. */
  readonly frames: number
}

/** Maximum number of parts that are read. A GIF of 20 MiB has 81,920 blocks of full length. */
const MAX_STEPS = 200_000

/** The bytes of an image, and the largest size that they mention. */
export class ImageView extends DataView<ArrayBufferLike> {
  width = 0
  height = 0
  frames = 0
  /** Whether the width and the height change places when the image is shown. */
  isTurned = false
  #steps = 0

  /** Throws RangeError, like a read beyond the end, unless the image is as it must be. */
  check(isValid: boolean): void {
    if (!isValid) throw new RangeError('The image is malformed.')
  }

  /** Counts a part. Throws RangeError if there are too many. */
  step(): void {
    this.#steps += 1
    this.check(this.#steps <= MAX_STEPS)
  }

  /** Returns `length` bytes as text, one character for each byte. */
  text(at: number, length: number): string {
    let read = ''
    for (let i = at; i < at + length; i++) read += String.fromCharCode(this.getUint8(i))
    return read
  }

  uint24(at: number): number {
    return this.getUint16(at, true) + this.getUint8(at + 2) * 0x10000
  }

  grow(width: number, height: number): void {
    this.width = Math.max(this.width, width)
    this.height = Math.max(this.height, height)
  }
}

/**
 * Returns what the bytes of an image say about it, independent of its name and media type, or null
 * if they are no image of a known type or are malformed. An image with such headers may still be
 * broken. Follows the specifications of the formats: ITU-T T.81, W3C PNG, GIF89a, the WebP
 * container, and ISO/IEC 23008-12 (HEIF).
 */
export const imageInfo = (bytes: Uint8Array): ImageInfo | null =>
  infoBy((view) => jpeg(view) ?? png(view, false) ?? gif(view) ?? webp(view) ?? heif(view), bytes)

/**
 * Returns what the start of a PNG or a JPEG says about the whole image, or null if what follows might say
 * more: pixels of another size, or of more frames.
 */
export const infoInStart = (start: Uint8Array): ImageInfo | null =>
  infoBy((view) => jpeg(view) ?? png(view, true), start)

function infoBy(read: (view: ImageView) => ImageType | null, bytes: Uint8Array): ImageInfo | null {
  const view = new ImageView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return unlessBroken(() => {
    const type = read(view)
    const [width, height] = view.isTurned ? [view.height, view.width] : [view.width, view.height]
    return type !== null && width > 0 && height > 0
      ? { type, width, height, frames: Math.max(1, view.frames) }
      : null
  })
}

/** Returns what `read` returns, or null if the bytes end before what they announce. */
export function unlessBroken<T>(read: () => T): T | null {
  try {
    return read()
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

/** A part of a file. The next one begins at `next`. */
export interface Part {
  readonly start: number
  readonly next: number
}

export interface Segment extends Part {
  /** 0 for the pixels that follow the header of a scan. */
  readonly marker: number
}

/**
 * Returns the segments of a JPEG, up to its end marker. Throws RangeError for anything that decoders
 * read differently: bytes between segments, and markers without a length outside of the pixels.
 */
export function* jpegSegments(view: ImageView): Generator<Segment> {
  for (let at = 2; ; ) {
    view.step()
    const marker = view.getUint8(at + 1)
    view.check(view.getUint8(at) === 0xff && marker >= 0xc0 && !(marker >= 0xd0 && marker <= 0xd8))
    if (marker === 0xff) {
      at += 1 // a fill byte
      continue
    }
    if (marker === 0xd9) return
    const start = at
    at += 2 + view.getUint16(at + 2)
    yield { marker, start, next: at }
    if (marker === 0xda) {
      const scan = at
      at = afterScan(view, at)
      yield { marker: 0, start: scan, next: at }
    }
  }
}

/** Returns the position of the first marker from `at` that doesn't belong to the pixels. */
function afterScan(view: ImageView, at: number): number {
  // Its `indexOf` is much faster than a loop of reads.
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  for (let next = at; ; ) {
    const found = bytes.indexOf(0xff, next)
    view.check(found >= 0)
    const code = view.getUint8(found + 1)
    if (code !== 0 && !(code >= 0xd0 && code <= 0xd7)) return found
    next = found + 2
  }
}

/** Reads the segments up to the pixels. The frame header (SOF) has the size. */
function jpeg(view: ImageView): ImageType | null {
  if (view.getUint16(0) !== 0xffd8) return null
  for (const { marker, start } of jpegSegments(view)) {
    if (marker === 0xda) break
    if (marker === 0xe1 && view.text(start + 4, 4) === 'Exif')
      view.isTurned = unlessBroken(() => isTurned(view, start + 10)) ?? false
    // SOF0 to SOF15, without the tables DHT, JPG and DAC in between.
    if (marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker))
      view.grow(view.getUint16(start + 7), view.getUint16(start + 5))
  }
  return 'image/jpeg'
}

/** Tells whether the orientation in EXIF data is one of those by 90 degrees. */
function isTurned(view: ImageView, tiff: number): boolean {
  const isLittle = view.getUint16(tiff) === 0x4949
  const list = tiff + view.getUint32(tiff + 4, isLittle)
  const end = list + 2 + 12 * view.getUint16(list, isLittle)
  for (let at = list + 2; at < end; at += 12) {
    view.step()
    if (view.getUint16(at, isLittle) === 0x0112) return view.getUint16(at + 8, isLittle) > 4
  }
  return false
}

/** A PNG chunk, a RIFF chunk or an ISO box. */
export interface Chunk extends Part {
  readonly name: string
  /** Where its contents begin and end. */
  readonly body: number
  readonly end: number
}

/** Returns the chunks between two positions. The last one may end beyond them. */
export function* chunksIn(
  view: ImageView,
  format: 'png' | 'riff' | 'iso',
  at: number,
  limit: number,
): Generator<Chunk> {
  const [sizeAt, nameAt] = format === 'riff' ? [4, 0] : [0, 4]
  for (let start = at; start + 8 <= limit; ) {
    view.step()
    let size = view.getUint32(start + sizeAt, format === 'riff')
    let body = start + 8
    if (format === 'iso') {
      // The size of a box includes its header: 1 if it follows in 64 bits, 0 for all that is left.
      if (size === 1) {
        size = Number(view.getBigUint64(body))
        body += 8
      }
      size = (size || limit - start) - (body - start)
      if (size < 0) return // decoders stop here too
    }
    const end = body + size
    const next = format === 'png' ? end + 4 : format === 'riff' ? end + (size % 2) : end
    yield { name: view.text(start + nameAt, 4), start, body, end, next }
    start = next
  }
}

/** Reads the chunks, with `isStart` only up to the pixels: those of an animation say so before that. */
function png(view: ImageView, isStart: boolean): ImageType | null {
  if (view.text(0, 8) !== '\x89PNG\r\n\x1a\n' || view.text(12, 4) !== 'IHDR') return null
  let announced = 0
  for (const { name, body } of chunksIn(view, 'png', 8, view.byteLength)) {
    if (name === 'IEND') break
    if (name === 'IDAT' && isStart) return announced + view.frames > 0 ? null : 'image/png'
    if (name === 'IHDR') view.grow(view.getUint32(body), view.getUint32(body + 4))
    if (name === 'acTL') announced = view.getUint32(body)
    if (name === 'fcTL') {
      view.frames += 1
      const sum = (at: number) => view.getUint32(body + at) + view.getUint32(body + at + 8)
      view.grow(sum(4), sum(8))
    }
  }
  view.frames = Math.max(view.frames, announced)
  return isStart ? null : 'image/png'
}

function gif(view: ImageView): ImageType | null {
  if (!/^GIF8[79]a$/.test(view.text(0, 6))) return null
  const uint16 = (at: number) => view.getUint16(at, true)
  view.grow(uint16(6), uint16(8))
  for (let at = 13 + colors(view.getUint8(10)); at < view.byteLength; ) {
    view.step()
    const block = view.getUint8(at)
    if (block === 0x2c) {
      view.frames += 1
      view.grow(uint16(at + 1) + uint16(at + 5), uint16(at + 3) + uint16(at + 7))
      at = afterBlocks(view, at + 11 + colors(view.getUint8(at + 9)))
    } else if (block === 0x21) at = afterBlocks(view, at + 2)
    else break
  }
  return 'image/gif'
}

/** Returns the length of a GIF's color table, from its packed field. */
const colors = (packed: number): number => (packed & 0x80 ? 3 * 2 ** ((packed & 7) + 1) : 0)

/** Returns the position after the data blocks of a GIF that start at `at`. */
function afterBlocks(view: ImageView, at: number): number {
  let next = at
  while (next < view.byteLength && view.getUint8(next) !== 0) {
    view.step()
    next += 1 + view.getUint8(next)
  }
  return next + 1
}

function webp(view: ImageView): ImageType | null {
  if (view.text(0, 4) !== 'RIFF' || view.text(8, 4) !== 'WEBP') return null
  for (const { name, body, end } of chunksIn(view, 'riff', 12, view.byteLength)) {
    if (name === 'VP8X') view.grow(view.uint24(body + 4) + 1, view.uint24(body + 7) + 1)
    else if (name === 'ANMF') {
      view.frames += 1
      const sum = (at: number) => 2 * view.uint24(body + at) + view.uint24(body + at + 6) + 1
      view.grow(sum(0), sum(3))
      const limit = Math.min(end, view.byteLength)
      for (const part of chunksIn(view, 'riff', body + 16, limit)) {
        view.check(part.name !== 'ANMF') // libwebp would read it as the next frame
        growBy(view, part)
      }
    } else growBy(view, { name, body })
  }
  return 'image/webp'
}

/** Reads the size in the pixels of a WebP, which its container may contradict. */
function growBy(view: ImageView, { name, body }: Pick<Chunk, 'name' | 'body'>): void {
  if (name === 'VP8 ')
    view.grow(view.getUint16(body + 6, true) & 0x3fff, view.getUint16(body + 8, true) & 0x3fff)
  if (name === 'VP8L') {
    const size = view.getUint32(body + 1, true)
    view.grow((size & 0x3fff) + 1, ((size >>> 14) & 0x3fff) + 1)
  }
}

const HEIC_BRANDS = ['heic', 'heix', 'heim', 'heis', 'mif1']

/** Reads AVIF and HEIC, but no sequences. An image may be tiles with sizes of their own. */
function heif(view: ImageView): ImageType | null {
  if (view.text(4, 4) !== 'ftyp') return null
  const end = Math.min(view.getUint32(0), 256)
  const brands: string[] = [view.text(8, 4)]
  for (let at = 16; at + 4 <= end; at += 4) brands.push(view.text(at, 4))
  const isAvif = brands.includes('avif')
  if (!isAvif && !brands.some((brand) => HEIC_BRANDS.includes(brand))) return null
  for (const { body } of boxesAt(view, ['meta', 'iprp', 'ipco', 'ispe']))
    view.grow(view.getUint32(body + 4), view.getUint32(body + 8))
  for (const { body } of boxesAt(view, ['meta', 'iprp', 'ipco', 'irot']))
    view.isTurned = view.getUint8(body) % 2 === 1
  return isAvif ? 'image/avif' : 'image/heic'
}

/** Returns the boxes at this path of names. */
export function* boxesAt(
  view: ImageView,
  [name, ...path]: readonly string[],
  at = 0,
  limit: number = view.byteLength,
): Generator<Chunk> {
  for (const box of chunksIn(view, 'iso', at, limit)) {
    if (box.name !== name) continue
    // A version and flags, and a count of 16 or 32 bits.
    const skipped = name === 'meta' ? 4 : name === 'iinf' ? (view.getUint8(box.body) ? 8 : 6) : 0
    if (path.length === 0) yield box
    else yield* boxesAt(view, path, box.body + skipped, Math.min(box.end, limit))
  }
}
