import {
  boxesAt,
  chunksIn,
  type ImageType,
  ImageView,
  jpegSegments,
  type Part,
  unlessBroken,
} from './image-info.ts'

type Bytes = Uint8Array<ArrayBuffer>

/**
 * Removes from an image everything that its pixels and colors don't need, such as EXIF, XMP, IPTC,
 * comments, Content Credentials, thumbnails and what follows the image. Keeps the color profile.
 * Overwrites `bytes` and returns the part of them that remains, or null if they can't be read.
 */
export function withoutMetadata(bytes: Bytes, type: ImageType): Bytes | null {
  const clean = CLEANERS[type]
  const view = new ImageView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return clean === undefined ? null : unlessBroken(() => bytes.subarray(0, clean(view, bytes)))
}

/** Each one returns the new length. */
const CLEANERS: Partial<Record<ImageType, (view: ImageView, bytes: Bytes) => number>> = {
  'image/jpeg': cleanJpeg,
  'image/png': cleanPng,
  'image/webp': cleanWebp,
  'image/avif': cleanAvif,
}

function moved(view: ImageView, bytes: Bytes, { start, next }: Part, to: number): number {
  view.check(next <= bytes.byteLength)
  bytes.copyWithin(to, start, next)
  return to + next - start
}

/** The APPn segments that say which colors and which density the pixels have. */
const JPEG_KEPT = /^(?:\xe0..JFIF\0|\xe2..ICC_PROFILE\0|\xee..Adobe)/s
/** A longer JFIF segment has a thumbnail. */
const JFIF_BYTES = 18
const ADOBE_BYTES = 16

function cleanJpeg(view: ImageView, bytes: Bytes): number {
  let length = 2
  for (const segment of jpegSegments(view)) {
    const { marker, start, next } = segment
    const isKept =
      marker < 0xe0 || // a frame, a table or a scan
      (JPEG_KEPT.test(view.text(start + 1, Math.min(15, next - start - 1))) &&
        (marker === 0xe2 || next - start === (marker === 0xe0 ? JFIF_BYTES : ADOBE_BYTES)))
    if (isKept) length = moved(view, bytes, segment, length)
  }
  bytes.set([0xff, 0xd9], length)
  return length + 2
}

/** The critical chunks, and those of transparency, color and animation. */
const PNG_KEPT = /^(?:[A-Z]|tRNS|gAMA|cHRM|sRGB|iCCP|cICP|sBIT|pHYs|acTL|fcTL|fdAT)/

function cleanPng(view: ImageView, bytes: Bytes): number {
  let length = 8
  let last = ''
  for (const chunk of chunksIn(view, 'png', 8, bytes.byteLength)) {
    last = chunk.name
    if (PNG_KEPT.test(last)) length = moved(view, bytes, chunk, length)
    if (last === 'IEND') break
  }
  view.check(last === 'IEND')
  return length
}

const WEBP_KEPT = /^(?:VP8[ LX]|ALPH|ICCP)$/
/** Flags of a WebP that has EXIF and XMP. */
const WEBP_METADATA = 0x08 | 0x04

function cleanWebp(view: ImageView, bytes: Bytes): number {
  let length = 12
  for (const chunk of chunksIn(view, 'riff', 12, 8 + view.getUint32(4, true))) {
    view.check(chunk.name !== 'ANMF') // a frame, with chunks of its own
    if (chunk.name === 'VP8X') view.setUint8(chunk.body, view.getUint8(chunk.body) & ~WEBP_METADATA)
    if (WEBP_KEPT.test(chunk.name)) length = moved(view, bytes, chunk, length)
  }
  view.setUint32(4, length - 8, true)
  return length
}

/** Items that have pixels, or say how to combine them. */
const AVIF_KEPT = /^(?:av01|grid|iovl|iden|tmap)$/
/** EXIF data without a field, since some decoders refuse zeros. */
const EMPTY_EXIF = [0, 0, 0, 0, 0x4d, 0x4d, 0, 0x2a, 0, 0, 0, 8]

/** Boxes that say how to decode and show the items. */
const AVIF_BOXES =
  /^(?:ftyp|hdlr|pitm|iloc|iinf|iref|grpl|ipma|av1C|ispe|pixi|colr|clli|mdcv|pasp|clap|irot|imir|auxC|lsel)$/

/** Where bytes start and end. */
type Extent = readonly [start: number, end: number]

/** Overwrites instead of moving, since an AVIF contains positions (ISO/IEC 14496-12, 8.11). */
function cleanAvif(view: ImageView, bytes: Bytes): number {
  const types = new Map<number, string>()
  for (const { body } of boxesAt(view, ['meta', 'iinf', 'infe'])) {
    const isLong = view.getUint8(body) > 2
    const id = isLong ? view.getUint32(body + 4) : view.getUint16(body + 4)
    types.set(id, view.text(body + (isLong ? 10 : 8), 4))
  }
  for (const { body, end } of boxesAt(view, ['meta', 'iref']))
    for (const { name, body: from } of chunksIn(view, 'iso', body + 4, end))
      if (name === 'thmb')
        types.delete(view.getUint8(body) ? view.getUint32(from) : view.getUint16(from))
  const [data] = boxesAt(view, ['meta', 'idat'])
  const kept = [...neededBoxes(view, 0, bytes.byteLength)]
  const exif: Extent[] = []
  for (const [id, start, end] of extentsIn(view, data?.body ?? Number.NaN)) {
    view.step()
    // Also for a place that is not known: NaN.
    view.check(start < end && end <= bytes.byteLength)
    const type = types.get(id) ?? ''
    if (AVIF_KEPT.test(type)) kept.push([start, end])
    if (type === 'Exif') exif.push([start, end])
  }
  let last = 0
  for (const [start, end] of kept.sort(([one], [other]) => one - other)) {
    bytes.fill(0, last, start) // nothing, if they overlap
    last = Math.max(last, end)
  }
  bytes.fill(0, last)
  for (const [start, end] of exif) if (end - start >= 18) bytes.set(EMPTY_EXIF, start)
  return bytes.byteLength
}

/** Returns the headers of all boxes, with the contents of those that are needed, in their order. */
function* neededBoxes(view: ImageView, at: number, limit: number): Generator<Extent> {
  for (const { name, start, body, end } of chunksIn(view, 'iso', at, limit)) {
    view.check(end <= limit)
    const first = name === 'meta' ? body + 4 : body // behind a version and flags
    yield [start, AVIF_BOXES.test(name) ? end : first]
    if (/^(?:meta|iprp|ipco)$/.test(name)) yield* neededBoxes(view, first, end)
  }
}

/** Returns the number of each item with the positions of its bytes. */
function* extentsIn(view: ImageView, dataAt: number): Generator<[number, number, number]> {
  for (const { body } of boxesAt(view, ['meta', 'iloc'])) {
    let at = body + 6
    const read = (size: number): number => {
      at += size
      if (size === 8) return Number(view.getBigUint64(at - 8))
      if (size === 4) return view.getUint32(at - 4)
      return size === 2 ? view.getUint16(at - 2) : 0
    }
    const version = view.getUint8(body)
    const idSize = version < 2 ? 2 : 4
    const sizes = view.getUint16(body + 4)
    for (let items = read(idSize); items > 0; items--) {
      const id = read(idSize)
      // Where the bytes are: 0 in the file, 1 in the box of data, 2 in another item.
      const method = version === 0 ? 0 : read(2) & 15
      const from = [0, dataAt][method] ?? Number.NaN
      read(2)
      const base = read((sizes >> 4) & 15)
      for (let extents = read(2); extents > 0; extents--) {
        if (version > 0) read(sizes & 15)
        const start = from + base + read(sizes >> 12)
        yield [id, start, start + read((sizes >> 8) & 15)]
      }
    }
  }
}
