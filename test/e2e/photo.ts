import { randomBytes } from 'node:crypto'
import { colourPng } from './small-png.ts'

const WIDTH = 1000
const HEIGHT = 750

/**
 * Returns a PNG of about two megabytes that looks like a photo to an encoder: soft shapes, details
 * that a thumbnail still has unless it `isSoft`, and the grain of a sensor. Each `seed` makes another
 * one.
 */
export function photoPng(seed: number, isSoft = false): Buffer<ArrayBuffer> {
  const samples = new Uint8Array(WIDTH * HEIGHT * 3)
  const phase = seed * 1.7
  let random = seed + 1
  const leaves = randomBytes((WIDTH / 4) * Math.ceil(HEIGHT / 4))
  let at = 0
  for (let y = 0; y < HEIGHT; y++) {
    const sky = 150 + 60 * Math.sin(y / 170 + phase)
    for (let x = 0; x < WIDTH; x++) {
      const hill = Math.sin(x / 90 + phase) * 40 + Math.sin(x / 23 + 3 * phase) * 12
      const tone = y > 400 + hill ? 40 + (y - 400) / 6 : sky
      const shape = 25 * Math.sin((x + 2 * y) / 60 + phase)
      const leaf = isSoft ? 0 : (leaves[(y >> 2) * 250 + (x >> 2)] ?? 0) >> 4
      for (let channel = 0; channel < 3; channel++) {
        random = (Math.imul(random, 1_664_525) + 1_013_904_223) | 0
        samples[at++] = tone + shape * (channel - 1) + leaf + (random >>> 28) - 16
      }
    }
  }
  return Buffer.from(colourPng(WIDTH, HEIGHT, samples))
}
