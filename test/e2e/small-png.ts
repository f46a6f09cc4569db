import { crc32, deflateSync } from 'node:zlib'

const GREY = 0
const RGB = 2

/** Returns a PNG in one shade of gray, 0 (black) to 255 (white). */
export function smallPng(width: number, height: number, grey = 0x80): Buffer {
  return png(width, height, GREY, Buffer.alloc(width * height, grey))
}

/** Returns a PNG of `samples`: one byte each for red, green and blue, row by row. */
export const colourPng = (width: number, height: number, samples: Uint8Array): Buffer =>
  png(width, height, RGB, samples)

/** Follows the PNG specification, §5 (chunks) and §11 (IHDR, IDAT, IEND). */
function png(width: number, height: number, colourType: number, samples: Uint8Array): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.writeUInt8(8, 8) // bits a sample
  header.writeUInt8(colourType, 9)
  const rowLength = samples.length / height
  const rows = Buffer.alloc((rowLength + 1) * height) // Each starts with a 0 (filter: none).
  for (let row = 0; row < height; row++)
    rows.set(samples.subarray(row * rowLength, (row + 1) * rowLength), row * (rowLength + 1) + 1)
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  const chunks = [
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]
  return Buffer.concat([signature, ...chunks])
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const check = Buffer.alloc(4)
  check.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, check])
}
