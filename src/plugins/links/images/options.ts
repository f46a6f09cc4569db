import {
  FITS,
  type ImageSize,
  MAX_IMAGE_PIXELS_WIDE,
  MAX_IMAGE_SIZES,
  sizeOf,
} from '../../../bucket/image-size.ts'
import type { Rule } from '../../../settings/rules.ts'
import * as r from '../../../settings/rules.ts'

/** A width, or a box with one. A `fit` other than `scale-down` needs a height. */
export type SizeInput = number | Box | Frame

interface Box {
  readonly width: number
  readonly height?: number | null
  readonly fit?: 'scale-down'
}

interface Frame {
  readonly width: number
  readonly height: number
  readonly fit: ImageSize['fit']
}

const pixels = r.whole(1, MAX_IMAGE_PIXELS_WIDE)

const width: Rule<ImageSize> = r.into(pixels, sizeOf)

const box: Rule<ImageSize> = r.also(
  r.table({
    width: pixels,
    height: r.optional(pixels, null),
    fit: r.optional(r.oneOf(...FITS), 'scale-down' as const),
  }),
  ({ height, fit }) =>
    height === null && fit !== 'scale-down' ? 'needs a height for its fit' : null,
)

/** Accepts the sizes that links can ask for: `[320, { width: 96, height: 96, fit: 'cover' }]`. */
export const imageSizesRule: Rule<ImageSize[]> = r.also(
  r.list((value, place) => (typeof value === 'object' ? box : width)(value, place), 1),
  (sizes) =>
    sizes.length > MAX_IMAGE_SIZES
      ? `must have at most ${MAX_IMAGE_SIZES} sizes`
      : r.repeats<ImageSize>('a width', (size) => size.width)(sizes),
)
