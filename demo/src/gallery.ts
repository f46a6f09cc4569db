import type { Client, FileRecord } from '../../client/src/index.ts'
import { createQuestion } from './answers/question.ts'
import type { FileActions } from './file-actions.ts'
import { createFileLinks, type GalleryFile } from './file-links.ts'
import { createFilePages, type FilePages } from './file-pages.ts'
import { createFileStates } from './file-states.ts'
import { fileTile, type Tile } from './file-tile.ts'
import { find } from './find.ts'
import { createGalleryTools } from './gallery-tools.ts'
import { createLongList } from './long-list.ts'
import type { Permissions } from './permissions.ts'
import { createSelection } from './selection.ts'
import { bytesOf } from './words.ts'

const SKELETONS = 8
/** The width of the newest file, which takes two columns if it is a picture. */
const LARGE_SIZES =
  '(max-width: 40rem) and (min-resolution: 2.5x) 60vw, (max-width: 40rem) 92vw, 25rem'

export interface GalleryOptions {
  readonly client: Client
  /** Called when the user opens a file. */
  readonly onOpen: (record: FileRecord) => void
  /** Called before the menu of a tile opens. */
  readonly onMenu: (tile: HTMLElement, record: FileRecord) => void
  /** Called after each page of the list: with undefined, or with the error. */
  readonly onPage: (error: unknown) => void
  /** What to do with the selected files. */
  readonly onCopy: (records: readonly FileRecord[]) => void
  readonly onDelete: FileActions['remove']
  readonly onZip: (records: readonly FileRecord[]) => void
}

/** A file on its way. */
export interface Upload {
  readonly id: string
  /** Whether its tile will show a picture or a video. */
  readonly isVisual: boolean
}

/** The files of the index, newest first unless the user wants another order. Loads more when the user scrolls near the end. */
export interface Gallery {
  /** Shows the index from its start. */
  reload(permissions: Permissions): void
  /** What the keys of all files start with that the list may show. */
  readonly prefix: string
  /** Reserves the first places for these uploads, so that nothing moves when one is complete. */
  reserve(uploads: readonly Upload[]): void
  /** Gives up the place of an upload that failed or was canceled. */
  release(id: string): void
  /**
   * Adds a new file: in the place of its upload if that has one, otherwise at the top. The index may take
   * a minute to list it.
   */
  add(record: FileRecord, id: string): Promise<void>
  /** Shows the new name of a file. The index may still list the old one for a minute. */
  rename(record: FileRecord): Promise<void>
  /** Removes files for good. The index may still list them for a minute. */
  drop(records: readonly FileRecord[]): void
  /** Returns the file before (-1) or after (1) this one in what is shown and loaded. */
  neighbour(record: FileRecord, by: -1 | 1): FileRecord | undefined
  /** Loads the next page, unless the list is at its end. */
  loadMore(): Promise<void>
  /** Returns the picture that the tile of this file shows. */
  thumbnail(record: FileRecord): string | undefined
  /** Returns a new link, in the width of the screen. */
  screenLink(record: FileRecord): Promise<string | undefined>
  /** Moves the focus to the tile of this file. */
  focus(record: FileRecord): void
}

export function createGallery(options: GalleryOptions): Gallery {
  const { client, onOpen, onMenu, onPage } = options
  const list = find(document, '#files', HTMLUListElement)
  const heading = find(document, '#files-title', HTMLHeadingElement)
  const tiles = new Map<string, Tile>()
  const addedKeys = new Map<Element, string>()
  const deletedKeys = new Set<string>()
  /** The reserved places by the id of the upload. */
  const places = new Map<string, HTMLElement>()
  const states = createFileStates(load)
  const tools = createGalleryTools(() => {
    if (question.change()) return
    for (const tile of tiles.values()) filter(tile)
    selection.prune()
    update()
  })
  const question = createQuestion({ client, tools, onAsk: ask })
  /** The tiles in their order on the page, without those that the filter hides. */
  const shown = (): readonly Tile[] => {
    const tileOf = new Map([...tiles.values()].map((tile) => [tile.element as Element, tile]))
    return [...list.children].flatMap((element) => {
      const tile = tileOf.get(element)
      return tile === undefined || tile.element.hidden ? [] : [tile]
    })
  }
  const selection = createSelection({
    shown,
    onCopy: options.onCopy,
    onDelete: options.onDelete,
    onZip: options.onZip,
  })
  // An observer reports only changes, and the end may still be near after a page. So each page
  // observes it again.
  const nearEnd = new IntersectionObserver(
    (entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) load()
    },
    { rootMargin: '0px 0px 800px' },
  )
  const longList = createLongList(list)
  let links = createFileLinks(client)
  let pages = createFilePages(client, links, question.options)
  /** Whether the list still shows what it showed before the question of `pages`. */
  let isStale = false
  let loading: { readonly pages: FilePages; readonly done: Promise<void> } | undefined

  const isNews = ({ key }: FileRecord): boolean => !tiles.has(key) && !deletedKeys.has(key)

  function filter({ element, file }: Tile): void {
    element.hidden = !question.matches(file.record)
  }

  function tileOf(file: GalleryFile): HTMLElement {
    const tile = fileTile(file, () => onMenu(tile.element, tile.file.record))
    tiles.set(file.record.key, tile)
    selection.watch(tile)
    tile.anchor.addEventListener('click', (event) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey) return
      event.preventDefault()
      onOpen(tile.file.record)
    })
    filter(tile)
    return tile.element
  }

  /** Returns the tile below a new file. Files that are added together appear in the order of the index. */
  function firstBelow(key: string): Element | null {
    let below = list.firstElementChild
    while (below !== null && (addedKeys.get(below) ?? key) < key) below = below.nextElementSibling
    return below
  }

  /** Shows how many files there are, and observes the end if more are wanted. */
  function update(): void {
    const { isFiltering } = question
    list.classList.toggle('is-filtered', !question.isPlain)
    longList.update()
    const large = list.firstElementChild?.querySelector<HTMLImageElement>('img[srcset]')
    if (large && large.sizes !== LARGE_SIZES) large.sizes = LARGE_SIZES
    const { isAtEnd } = pages
    const isCounted = question.isAnswered && !question.isSearching
    const visible = isCounted ? [] : shown()
    states.showCount({
      loaded: tiles.size,
      matching: isFiltering ? visible.length : undefined,
      bytes: bytesOf(visible.map(({ file }) => file.record)),
      isAtEnd,
      isExpecting: places.size > 0,
      isAnswered: question.isAnswered,
      isCounted,
      hasFolders: question.hasFolders,
      none: question.none,
    })
    if (!isStale && loading === undefined) question.found(tiles.size, isAtEnd)
    nearEnd.unobserve(states.end)
    // A search that finds little must not load the whole index.
    if (!isAtEnd && !isFiltering && loading === undefined) nearEnd.observe(states.end)
  }

  async function load(): Promise<void> {
    if (loading?.pages === pages) return loading.done
    if (pages.isAtEnd) return
    const done = loadPage(pages)
    loading = { pages, done }
    if (!isStale) update()
    return done
  }

  /** Resolves when the list shows the answer to the current question. Earlier changes would be lost. */
  async function answered(): Promise<void> {
    while (isStale && loading !== undefined) await loading.done
  }

  /** Asks the current question. The list stays as it is until the answer. */
  function ask(): void {
    pages = createFilePages(client, links, question.options)
    isStale = true
    nearEnd.unobserve(states.end)
    load()
  }

  /** Removes everything but the places of uploads. */
  function clear(): void {
    isStale = false
    question.clearFolders()
    tiles.clear()
    addedKeys.clear()
    const reserved = new Set<Element>(places.values())
    list.replaceChildren(...[...list.children].filter((element) => reserved.has(element)))
    selection.prune()
  }

  async function loadPage(from: FilePages): Promise<void> {
    const skeletons = Array.from({ length: isStale ? 0 : SKELETONS }, skeleton)
    list.append(...skeletons)
    list.setAttribute('aria-busy', 'true')
    let error: unknown
    const page = await from.next().catch((reason: unknown) => {
      error = reason
    })
    if (from !== pages) return // the user has reloaded, or asks something else
    loading = undefined
    for (const item of skeletons) item.remove()
    if (isStale) clear()
    if (page === undefined) {
      states.showError(error)
      if (tiles.size === 0) question.failed()
    } else {
      question.showFolders(page.folders)
      list.append(...page.files.filter(({ record }) => isNews(record)).map(tileOf))
      update()
    }
    list.setAttribute('aria-busy', 'false')
    onPage(error)
  }

  /** Changes some tiles. If the one with the focus disappears, the next one gets it. */
  function keepFocus(change: () => void): void {
    const before = shown()
    const focused = before.findIndex(({ element }) => element.contains(document.activeElement))
    change()
    selection.prune()
    update()
    const after = shown()
    const next = before.slice(focused).find((tile) => after.includes(tile)) ?? after.at(-1)
    if (focused === -1 || next === before[focused]) return
    if (next !== undefined) longList.reveal(next.element)
    const target = next?.anchor ?? heading
    target.focus()
  }

  function release(id: string): void {
    places.get(id)?.remove()
    if (places.delete(id)) update()
  }

  return {
    reload(permissions) {
      question.offer(permissions)
      links = createFileLinks(client)
      pages = createFilePages(client, links, question.options)
      clear()
      load()
    },
    get prefix() {
      return question.prefix
    },
    reserve(uploads) {
      const reserved = uploads
        .filter(({ id }) => !places.has(id))
        .map((upload) => {
          const place = skeleton()
          place.classList.add('place')
          place.classList.toggle('is-visual', upload.isVisual)
          places.set(upload.id, place)
          return place
        })
      list.prepend(...reserved)
      update()
    },
    release,
    async add(record, id) {
      try {
        const [file] = await links.forTiles([record])
        await answered()
        question.count()
        if (file === undefined || !isNews(record) || !question.includes(record)) return
        const tile = tileOf(file)
        const place = places.get(id)
        if (place?.isConnected) place.replaceWith(tile)
        else list.insertBefore(tile, firstBelow(record.key))
        addedKeys.set(tile, record.key)
      } finally {
        places.get(id)?.remove()
        places.delete(id)
        update()
      }
    },
    async rename(record) {
      // At once if it can, since the viewer shows what is next to it.
      if (isStale) await answered()
      const tile = tiles.get(record.key)
      if (tile === undefined) return
      keepFocus(() => {
        tile.rename(record)
        filter(tile) // the new name may not match the search
      })
    },
    drop(records) {
      keepFocus(() => {
        for (const { key } of records) {
          deletedKeys.add(key)
          tiles.get(key)?.element.remove()
          tiles.delete(key)
        }
      })
      question.count()
    },
    neighbour(record, by) {
      const all = shown()
      const at = all.findIndex(({ file }) => file.record.key === record.key)
      return at === -1 ? undefined : all[at + by]?.file.record
    },
    loadMore: load,
    thumbnail: ({ key }) =>
      tiles.get(key)?.element.querySelector<HTMLImageElement>('img.is-loaded')?.currentSrc,
    screenLink: (record) => links.forScreen(record),
    focus({ key }) {
      const tile = tiles.get(key)
      if (tile !== undefined) longList.reveal(tile.element)
      const target = tile === undefined || tile.element.hidden ? heading : tile.anchor
      target.focus()
    },
  }
}

function skeleton(): HTMLElement {
  const item = document.createElement('li')
  item.className = 'skeleton'
  item.setAttribute('aria-hidden', 'true')
  const preview = document.createElement('span')
  preview.className = 'preview'
  item.append(preview)
  return item
}
