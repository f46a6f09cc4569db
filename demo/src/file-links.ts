import {
  type Client,
  type FileRecord,
  type LinksOptions,
  PresignerError,
} from '../../client/src/index.ts'
import { isResizable } from './kind.ts'

/** Widths in pixels. If the Worker's IMAGE_WIDTHS lacks one of them, the page shows originals. */
const TILE_WIDTHS = [256, 384, 640]
const SCREEN_WIDTHS = [750, 1080, 1920, 2560]
/** A phone's screen has three pixels for a CSS pixel, but nobody sees the third one in a photo. */
const MAX_DENSITY = 2

/** A file of the index. `link` is undefined if the token may not make links. */
export interface GalleryFile {
  readonly record: FileRecord
  readonly link: string | undefined
  /** The picture in the widths of a tile. */
  readonly srcset?: string | undefined
}

export interface FileLinks {
  /** Returns `records` with their links, in the same order. */
  forTiles(records: readonly FileRecord[]): Promise<readonly GalleryFile[]>
  /** Returns a new link: of a picture in the width of the screen, of another file as it is. */
  forScreen(record: FileRecord): Promise<string | undefined>
}

/** An image in one width, or in several. */
type Image = { readonly width: number } | { readonly widths: number[] }

/** Makes the links that the page itself shows. */
export function createFileLinks(client: Client): FileLinks {
  /** How many of the wishes below were refused. */
  let refused = 0

  /**
   * Asks for links to images with the original as a fallback, which a token without files:read may
   * not, then without it, then for originals. Resolves with undefined if the token may not make
   * links.
   */
  async function ask<T>(
    image: Image,
    request: (options: LinksOptions) => Promise<T>,
  ): Promise<T | undefined> {
    const wishes: LinksOptions[] = [{ ...image, fallback: 'original' }, image, {}]
    for (const [index, wish] of wishes.entries()) {
      if (index < refused) continue
      try {
        return await request(wish)
      } catch (error) {
        if (!isRefusal(error)) throw error
        refused = index + 1
      }
    }
    return undefined
  }

  async function linksTo(records: readonly FileRecord[], image?: Image) {
    if (records.length === 0) return []
    const keys = records.map(({ key }) => key)
    const request = (options: LinksOptions) => client.links(keys, options)
    const answer = await (image ? ask(image, request) : request({}).catch(ifRefused))
    return answer?.links ?? []
  }

  return {
    async forTiles(records) {
      const pictures = records.filter(isResizable)
      const others = records.filter((record) => !isResizable(record))
      const made = await Promise.all([linksTo(pictures, { widths: TILE_WIDTHS }), linksTo(others)])
      const linkOf = new Map(made.flat().map((each) => [each.key, each]))
      return records.map((record) => {
        const each = linkOf.get(record.key)
        if (each === undefined || !('link' in each)) return { record, link: undefined }
        return { record, link: each.link, srcset: each.srcset }
      })
    },
    async forScreen(record) {
      const { key } = record
      const answer = isResizable(record)
        ? await ask({ width: screenWidth() }, (options) => client.link(key, options))
        : await client.link(key).catch(ifRefused)
      return answer?.link
    },
  }
}

function screenWidth(): number {
  const pixels = innerWidth * Math.min(devicePixelRatio, MAX_DENSITY)
  return SCREEN_WIDTHS.find((width) => width >= pixels) ?? SCREEN_WIDTHS.at(-1) ?? 0
}

const isRefusal = (error: unknown): boolean =>
  error instanceof PresignerError && ['forbidden', 'invalid_request'].includes(error.code)

function ifRefused(error: unknown): undefined {
  if (!isRefusal(error)) throw error
}
