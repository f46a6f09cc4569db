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

/**
 * The format of a variant. The last three are for `auto`: `compatible` is PNG or JPEG, as the original
 * needs it, for clients that accept nothing else. Cloudflare may decline a format, so the copies of
 * `auto-webp` may also have that type, and those of `auto-avif` may be WebP as well.
 */
export const VARIANT_FORMATS = [
  'avif',
  'webp',
  'jpeg',
  'png',
  'auto-avif',
  'auto-webp',
  'compatible',
] as const

export type VariantFormat = (typeof VARIANT_FORMATS)[number]

/** Everything that determines the bytes of a variant, together with the object. */
export interface VariantSpec extends ImageSize {
  readonly format: VariantFormat
  /** 1 to 100. */
  readonly quality: number
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
