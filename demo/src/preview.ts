import type { GalleryFile } from './file-links.ts'
import { icon } from './icon.ts'
import { extensionOf, isVisual, kindOf } from './kind.ts'

/**
 * The width of a tile: see `.files` in style.css. A phone with three pixels for a CSS pixel loads
 * two of them.
 */
const TILE_SIZES =
  '(max-width: 40rem) and (min-resolution: 2.5x) 30vw, (max-width: 40rem) 46vw, 12rem'

/** Returns what the tile shows for the file: the picture, the start of the video, or an icon. */
export function preview(file: GalleryFile): readonly Element[] {
  if (file.link === undefined || !isVisual(file.record)) return [symbol(file)]
  const kind = kindOf(file.record.mimetype)
  return kind === 'video' ? [video(file, file.link), icon(kind)] : [picture(file, file.link)]
}

function picture(file: GalleryFile, link: string): HTMLElement {
  const image = document.createElement('img')
  image.loading = 'lazy'
  image.decoding = 'async'
  image.width = 320
  image.height = 240
  image.alt = '' // the name is next to it
  image.addEventListener('load', () => image.classList.add('is-loaded'), { once: true })
  image.addEventListener('error', () => image.replaceWith(symbol(file)), { once: true })
  if (file.srcset !== undefined) {
    image.sizes = TILE_SIZES
    image.srcset = file.srcset
  }
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

/** Returns the icon of the file's kind, with its extension. */
export function symbol({ record }: GalleryFile): HTMLElement {
  const kind = kindOf(record.mimetype)
  const box = document.createElement('span')
  box.className = 'symbol'
  // Not as text, since the accessible name of the tile doesn't contain it.
  box.dataset.extension = extensionOf(record.name)
  box.append(icon(kind))
  return box
}
