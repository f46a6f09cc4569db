/** How an image is fitted into a width and a height. */
export const FITS = ['scale-down', 'contain', 'cover', 'crop', 'pad'] as const

/** A size that links can ask for. */
export interface ImageSize {
  /** Pixels. Names the size in requests. */
  readonly width: number
  /** Pixels, or null for the height that keeps the proportions. */
  readonly height: number | null
  readonly fit: (typeof FITS)[number]
}

/** Maximum number of sizes, since each one is billed and stored separately. */
export const MAX_IMAGE_SIZES = 16
export const MAX_IMAGE_PIXELS_WIDE = 4096

const DEFAULT_WIDTHS = [
  32, 64, 96, 128, 256, 320, 384, 480, 640, 750, 828, 1080, 1280, 1600, 1920, 2560,
]

/** Returns the size of a width alone. A smaller image keeps its size. */
export const sizeOf = (width: number): ImageSize => ({ width, height: null, fit: 'scale-down' })

export const DEFAULT_IMAGE_SIZES: readonly ImageSize[] = DEFAULT_WIDTHS.map(sizeOf)
