import { env } from 'cloudflare:workers'

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let crc = index
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1
  return crc
})

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 255] ?? 0) ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}

/** Returns a chunk of a PNG. */
export function pngChunk(type: string, data: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(12 + data.byteLength)
  const view = new DataView(chunk.buffer)
  view.setUint32(0, data.byteLength)
  chunk.set(new TextEncoder().encode(type), 4)
  chunk.set(data, 8)
  view.setUint32(8 + data.byteLength, crc32(chunk.subarray(4, 8 + data.byteLength)))
  return chunk
}

export const PNG_START = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)

/** Returns the header chunk of a PNG with 8-bit RGB. */
export function pngHeader(width: number, height: number): Uint8Array {
  const header = new Uint8Array(13)
  const view = new DataView(header.buffer)
  view.setUint32(0, width)
  view.setUint32(4, height)
  header.set([8, 2], 8)
  return pngChunk('IHDR', header)
}

export const joined = (...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.byteLength
  }
  return all
}

/** Returns a text as bytes. */
export const ascii = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(text, (char) => char.charCodeAt(0))

/** Returns the numbers as bytes, most significant first. */
export const uint16s = (...numbers: readonly number[]): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(numbers.flatMap((number) => [number >> 8, number & 255]))

export const uint32s = (...numbers: readonly number[]): Uint8Array<ArrayBuffer> =>
  uint16s(...numbers.flatMap((number) => [number >>> 16, number & 0xffff]))

/** Returns a box of an AVIF or HEIC. */
export function box(name: string, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const body = joined(...parts)
  return joined(uint32s(8 + body.byteLength), ascii(name), body)
}

const deflated = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> =>
  new Uint8Array(
    await new Response(
      new Response(bytes).body?.pipeThrough(new CompressionStream('deflate')),
    ).arrayBuffer(),
  )

/** Returns a real PNG whose left half is red and whose right half is blue. */
export async function twoColorPng(width: number, height: number): Promise<Uint8Array<ArrayBuffer>> {
  const row = new Uint8Array(1 + width * 3)
  for (let x = 0; x < width; x++) row[1 + x * 3 + (x < width / 2 ? 0 : 2)] = 255
  const rows = new Uint8Array(row.byteLength * height)
  for (let y = 0; y < height; y++) rows.set(row, y * row.byteLength)
  return joined(
    PNG_START,
    pngHeader(width, height),
    pngChunk('IDAT', await deflated(rows)),
    pngChunk('IEND', new Uint8Array()),
  )
}

/** Returns a real image of that type, made by the runtime. */
export async function imageOf(
  type: 'image/jpeg' | 'image/webp' | 'image/avif',
  width: number,
  height: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const png = new Response(await twoColorPng(width, height)).body
  if (png === null) throw new Error('A PNG has bytes.')
  const made = await env.IMAGES.input(png).transform({ width }).output({ format: type })
  return new Uint8Array(await made.response().arrayBuffer())
}

/**
 * Returns a JPEG with EXIF data in front of its other segments: the orientation "rotated by 90
 * degrees", and a camera called "Canary 1".
 */
export function withExif(jpeg: Uint8Array): Uint8Array<ArrayBuffer> {
  const tiff = new Uint8Array(8 + 2 + 2 * 12 + 4 + 9)
  const view = new DataView(tiff.buffer)
  tiff.set(ascii('MM'))
  view.setUint16(2, 42)
  view.setUint32(4, 8)
  view.setUint16(8, 2)
  // Model, type ASCII, 9 bytes at 38.
  view.setUint16(10, 0x0110)
  view.setUint16(12, 2)
  view.setUint32(14, 9)
  view.setUint32(18, 38)
  // Orientation, type SHORT, 6.
  view.setUint16(22, 0x0112)
  view.setUint16(24, 3)
  view.setUint32(26, 1)
  view.setUint16(30, 6)
  tiff.set(ascii('Canary 1\0'), 38)
  const body = joined(ascii('Exif\0\0'), tiff)
  const length = body.byteLength + 2
  return joined(
    jpeg.subarray(0, 2),
    Uint8Array.of(0xff, 0xe1, length >> 8, length & 255),
    body,
    jpeg.subarray(2),
  )
}

/**
 * Returns a GIF of one color with that many frames, without real pixel data after the first. The
 * frames may have another size than its screen.
 */
export function gifOf(
  width: number,
  height: number,
  frames: number,
  screen: readonly [number, number] = [width, height],
): Uint8Array<ArrayBuffer> {
  const bytesOf = (...numbers: readonly number[]) => numbers.flatMap((n) => [n & 255, n >> 8])
  const size = bytesOf(width, height)
  const frame = Uint8Array.of(0x2c, 0, 0, 0, 0, ...size, 0, 2, 2, 0x4c, 0x01, 0)
  const colors = [0x80, 0, 0, 255, 0, 0, 0, 0, 255]
  const head = joined(ascii('GIF89a'), Uint8Array.of(...bytesOf(...screen), ...colors))
  return joined(head, ...Array<Uint8Array>(frames).fill(frame), Uint8Array.of(0x3b))
}

/** Returns a chunk of a WebP. */
export function riffChunk(name: string, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const body = joined(...parts)
  const size = new Uint8Array(4)
  new DataView(size.buffer).setUint32(0, body.byteLength, true)
  return joined(ascii(name), size, body, new Uint8Array(body.byteLength % 2))
}

/** Returns a WebP of these chunks. */
export const webpOf = (...chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> =>
  riffChunk('RIFF', ascii('WEBP'), ...chunks)

const uint24 = (value: number): number[] => [value & 255, (value >> 8) & 255, value >> 16]

/** Returns the header chunk of a WebP with these features and this size. */
export const vp8x = (flags: number, width: number, height: number): Uint8Array<ArrayBuffer> =>
  riffChunk('VP8X', Uint8Array.of(flags, 0, 0, 0, ...uint24(width - 1), ...uint24(height - 1)))

/** Returns a frame of an animated WebP of this size, whose contents are `parts`. */
export const anmf = (
  width: number,
  height: number,
  ...parts: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> => {
  const size = [...uint24(width - 1), ...uint24(height - 1)]
  return riffChunk('ANMF', Uint8Array.of(0, 0, 0, 0, 0, 0, ...size, 0, 0, 0, 0), ...parts)
}
