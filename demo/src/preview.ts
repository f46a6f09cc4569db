import type { GalleryFile } from './file-pages.ts'
import { icon } from './icon.ts'
import { extensionOf, kindOf } from './kind.ts'

/** A larger picture takes too long to load for a tile. */
const MAX_PICTURE_BYTES = 24 * 1024 ** 2

/** Returns what the tile shows for the file: the picture, the start of the video, or an icon. */
export function preview(file: GalleryFile): readonly Element[] {
  const { mimetype, size } = file.record
  const kind = kindOf(mimetype)
  if (file.link === undefined) return [symbol(file)]
  if (kind === 'image' && size <= MAX_PICTURE_BYTES) return [picture(file, file.link)]
  return kind === 'video' ? [video(file, file.link), icon(kind)] : [symbol(file)]
}

function picture(file: GalleryFile, link: string): HTMLElement {
  const image = document.createElement('img')
  image.loading = 'lazy'
  image.decoding = 'async'
  image.alt = '' // the name is next to it
  image.addEventListener('error', () => image.replaceWith(symbol(file)), { once: true })
  image.src = link
  return image
}

function video(file: GalleryFile, link: string): HTMLElement {
  const player = document.createElement('video')
  player.preload = 'none'
  player.muted = true
  player.playsInline = true
  player.tabIndex = -1
  player.addEventListener('error', () => player.parentElement?.replaceChildren(symbol(file)))
  player.src = link
  nearness.observe(player)
  return player
}

/** Loads the start of a video when it is almost visible. */
const nearness = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting || !(target instanceof HTMLVideoElement)) continue
      nearness.unobserve(target)
      target.preload = 'metadata'
    }
  },
  { rootMargin: '200px' },
)

function symbol({ record }: GalleryFile): HTMLElement {
  const kind = kindOf(record.mimetype)
  const box = document.createElement('span')
  box.className = 'symbol'
  box.append(icon(kind), extensionOf(record.name))
  return box
}
