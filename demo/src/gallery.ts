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
  /** Hears of every page of the list that came, with undefined, and of every one that failed. */
  readonly onPage: (error: unknown) => void
}

/** What is in the index, newest first; more of it as the end comes near. */
export interface Gallery {
  /** Shows it from its start. */
  reload(): void
  /** Puts a file that was just uploaded on top: the index may list it only in a minute. */
  add(record: FileRecord): Promise<void>
  /** Takes a file out, for good: the index may list it for another minute. */
  drop(record: FileRecord): void
}

export function createGallery({ client, onMenu, onPage }: GalleryOptions): Gallery {
  const list = find(document, '#files', HTMLUListElement)
  const heading = find(document, '#files-title', HTMLHeadingElement)
  const tiles = new Map<string, HTMLElement>()
  const addedKeys = new Map<Element, string>()
  const deletedKeys = new Set<string>()
  const states = createFileStates(load)
  // It watches anew after each page, since it speaks only of changes: the end may still be near.
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
    if (from !== pages) return // it was reloaded meanwhile
    loading = undefined
    list.setAttribute('aria-busy', 'false')
    for (const item of skeletons) item.remove()
    if (files === undefined) {
      states.showFault(error)
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
      // Files that were uploaded together stand in the order in which the index lists them.
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
