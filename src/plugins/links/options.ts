import type { Variant } from '../../access/link-signature.ts'
import type { ImageSize, VariantSpec } from '../../bucket/image-size.ts'
import { Kept } from '../../http/app-env.ts'
import type { Setup } from '../../plugin.ts'
import type { ImagePlace, ImageRequest } from './images/edge-images.ts'

export interface LinksOptions<B> {
  /** Lets links ask for resized images. Without it, they show the original. */
  readonly images?: Images<B>
  /**
   * Name of the Worker's export with the edge cache, `objectsEntrypoint(presigner)`. Default:
   * `Objects`. With null, or without that export, each link reads from the bucket.
   */
  readonly entrypoint?: string | null
  /**
   * Whether only this presigner uses its origin. Links then also show text, PDF and fonts there.
   * Otherwise, they show images, audio and video, unless a separate host serves the links.
   */
  readonly ownsOrigin?: boolean
  /**
   * Returns the client's IP address, for links with `ips`, or null if it is unknown: then these links
   * are refused. Default: the header CF-Connecting-IP on Workers, and unknown elsewhere, where a
   * client can send any header.
   */
  readonly addressOf?: (request: Request, env: B) => string | null
}

/** What `links` needs to resize images. It is not a plugin by itself. */
export interface Images<in B = unknown> {
  readonly read: (setup: Setup<B>) => ImageSteps
}

/** How links show resized images. */
export interface ImageSteps {
  /** The sizes that links can ask for. */
  readonly sizes: readonly ImageSize[]
  /** Returns how to make a variant for a client that accepts the types in `accept`. */
  readonly specOf: (variant: Variant, quality: number, accept: string | null) => VariantSpec
  /**
   * Returns a resized image, or the refusal of what can't be resized. Null without an Images binding:
   * requests of another presigner, which has one, would share the error.
   */
  readonly serve:
    | ((asked: ImageRequest, place: Omit<ImagePlace, 'resizer'>, now: Date) => Promise<Response>)
    | null
  /** Keeps later requests from getting images that are being made now, whose URLs start like this. */
  readonly forget: (start: string) => void
}

/** The options of `links` in one environment. */
export interface KeptLinks {
  readonly images: ImageSteps | null
  readonly entrypoint: string | null
  readonly ownsOrigin: boolean
  /** Returns the client's address. Undefined if nobody can know it. */
  readonly addressOf: ((request: Request) => string | null) | undefined
}

export const LINKS = new Kept<KeptLinks>()
