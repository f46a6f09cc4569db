import type { Client, FileRecord } from '../../client/src/index.ts'
import { createFilePages, type FilePages, type GalleryFile, linked } from './file-pages.ts'
import { createFileStates } from './file-states.ts'
import { fileTile } from './file-tile.ts'
import { find } from './find.ts'

const SKELETONS = 8

export interface GalleryOptions {
  readonly client: Client
  /** Called before the menu of a tile opens. */
  readonly onMenu: (tile: HTMLElement, record: FileRecord) => void
  /** Called after each page of the list: with undefined, or with the error. */
  readonly onPage: (error: unknown) => void
}

/** The files of the index, newest first. Loads more when the user scrolls near the end. */
export interface Gallery {
  /** Shows the index from its start. */
  reload(): void
  /** Adds a new file at the top. The index may take a minute to list it. */
  add(record: FileRecord): Promise<void>
  /** Removes a file for good. The index may still list it for a minute. */
  drop(record: FileRecord): void
}

export function createGallery({ client, onMenu, onPage }: GalleryOptions): Gallery {
  const list = find(document, '#files', HTMLUListElement)
  const heading = find(document, '#files-title', HTMLHeadingElement)
  const tiles = new Map<string, HTMLElement>()
  const addedKeys = new Map<Element, string>()
  const deletedKeys = new Set<string>()
  const states = createFileStates(load)
  // An observer reports only changes, and the end may still be near after a page. So each page
  // observes it again.
  const nearEnd = new IntersectionObserver(
    (entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) load()
    },
    { rootMargin: '0px 0px 800px' },
  )
  let pages = createFilePages(client)
  let loading: FilePages | undefined

  const isNews = ({ key }: FileRecord): boolean => !tiles.has(key) && !deletedKeys.has(key)
  const tileOf = (file: GalleryFile): HTMLElement => {
    const tile = fileTile(file, () => onMenu(tile, file.record))
    tiles.set(file.record.key, tile)
    return tile
  }

  async function load(): Promise<void> {
    if (loading === pages || pages.isAtEnd) return
    const from = pages
    const skeletons = Array.from({ length: SKELETONS }, skeleton)
    nearEnd.unobserve(states.end)
    states.showCount(tiles.size, false)
    list.append(...skeletons)
    list.setAttribute('aria-busy', 'true')
    loading = from
    let error: unknown
    const files = await from.next().catch((reason: unknown) => {
      error = reason
    })
    if (from !== pages) return // the user has reloaded
    loading = undefined
    list.setAttribute('aria-busy', 'false')
    for (const item of skeletons) item.remove()
    if (files === undefined) {
      states.showError(error)
    } else {
      list.append(...files.filter(({ record }) => isNews(record)).map(tileOf))
      states.showCount(tiles.size, pages.isAtEnd)
      if (!pages.isAtEnd) nearEnd.observe(states.end)
    }
    onPage(error)
  }

  return {
    reload() {
      pages = createFilePages(client)
      tiles.clear()
      addedKeys.clear()
      list.replaceChildren()
      load()
    },
    async add(record) {
      const [file] = await linked(client, [record])
      if (file === undefined || !isNews(record)) return
      const tile = tileOf(file)
      let below = list.firstElementChild
      // Files that are uploaded together appear in the order of the index.
      while (below !== null && (addedKeys.get(below) ?? record.key) < record.key)
        below = below.nextElementSibling
      list.insertBefore(tile, below)
      addedKeys.set(tile, record.key)
      states.showCount(tiles.size, pages.isAtEnd)
    },
    drop({ key }) {
      const tile = tiles.get(key)
      deletedKeys.add(key)
      tiles.delete(key)
      if (tile === undefined) return
      const neighbour = tile.nextElementSibling ?? tile.previousElementSibling
      const hadFocus = tile.contains(document.activeElement)
      tile.remove()
      if (hadFocus) (neighbour?.querySelector<HTMLElement>('a[href], button') ?? heading).focus()
      states.showCount(tiles.size, pages.isAtEnd)
    },
  }
}

function skeleton(): HTMLElement {
  const item = document.createElement('li')
  item.className = 'skeleton'
  item.setAttribute('aria-hidden', 'true')
  return item
}
