import { DEFAULT_IMAGE_SIZES } from '../../../bucket/image-size.ts'
import type { Option } from '../../../plugin.ts'
import type { Images } from '../options.ts'
import { edgeImage, forgetImages } from './edge-images.ts'
import { imageSizesRule, type SizeInput } from './options.ts'
import { type ImageResizer, variantSpec } from './variant.ts'

export interface ImagesOptions<B> {
  /** The Images binding, `(env) => env.IMAGES`, or a falsy value for none. */
  readonly binding: Option<ImageResizer | null | undefined, B> | undefined
  /** Up to 16 sizes, by width. Default: 16 widths from 32 to 2560. */
  readonly sizes?: Option<readonly SizeInput[] | undefined, B>
}

/** Resized images for `links({ images: images({ binding }) })`, behind the edge cache. */
export const images = <B = unknown>(options: ImagesOptions<B>): Images<B> => ({
  read(setup) {
    setup.only('images', options, ['binding', 'sizes'])
    const resizer = setup.bind<ImageResizer>('images.binding', options.binding, 'input')
    const given = setup.read('images.sizes', options.sizes, imageSizesRule, 'IMAGE_WIDTHS')
    if (given !== null && resizer === null) setup.warn('images are not resized')
    const sizes = given ?? DEFAULT_IMAGE_SIZES
    return {
      sizes,
      specOf: (variant, quality, accept) => variantSpec(variant, sizes, quality, accept),
      forget: forgetImages,
      serve: resizer && ((asked, place, now) => edgeImage(asked, { ...place, resizer }, now)),
    }
  },
})
