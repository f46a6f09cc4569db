import type { FileRecord } from '../../client/src/index.ts'
import type { Tile } from './file-tile.ts'
import { find } from './find.ts'
import { bytesOf, sizeInWords } from './words.ts'

export interface SelectionOptions {
  /** Returns the tiles that the user sees, in order. */
  readonly shown: () => readonly Tile[]
  readonly onCopy: (records: readonly FileRecord[]) => void
  readonly onDelete: (records: readonly FileRecord[]) => void
  readonly onZip: (records: readonly FileRecord[]) => void
}

/** The files that the user has selected, and the bar with what to do with them. */
export interface Selection {
  readonly isEmpty: boolean
  /** Selects by a tile's checkbox, and by clicks on the tile itself once it is needed. */
  watch(tile: Tile): void
  /** Removes the tiles that are no longer shown. */
  prune(): void
  clear(): void
}

export function createSelection({ shown, onCopy, onDelete, onZip }: SelectionOptions): Selection {
  const gallery = find(document, '.gallery', HTMLElement)
  const list = find(document, '#files', HTMLUListElement)
  const tools = find(document, '#tools', HTMLElement)
  const bar = find(document, '#selection', HTMLElement)
  const count = find(bar, '#selection-count > span', HTMLSpanElement)
  const size = find(bar, '#selection-count > .count', HTMLSpanElement)
  const heading = find(document, '#files-title', HTMLHeadingElement)
  const button = (id: string) => find(bar, id, HTMLButtonElement)
  const selected = new Set<Tile>()
  /** The tile where a range starts. */
  let anchor: Tile | undefined

  function update(): void {
    const hadFocus = bar.contains(document.activeElement)
    bar.hidden = selected.size === 0
    tools.hidden = selected.size > 0
    gallery.classList.toggle('is-selecting', selected.size > 0)
    count.textContent = selected.size === 0 ? '' : `${selected.size} selected`
    size.textContent = selected.size === 0 ? '' : sizeInWords(bytesOf(records()))
    if (!hadFocus || !bar.hidden) return
    const back = anchor !== undefined && shown().includes(anchor) ? anchor.checkbox : heading
    back.focus()
  }

  function set(tile: Tile, isOn: boolean): void {
    tile.checkbox.checked = isOn
    tile.element.classList.toggle('is-selected', isOn)
    if (isOn) selected.add(tile)
    else selected.delete(tile)
  }

  /** Sets a tile, or with Shift all tiles from the last one to it. */
  function choose(tile: Tile, isOn: boolean, isRange: boolean): void {
    const tiles = shown()
    const ends = [anchor === undefined ? -1 : tiles.indexOf(anchor), tiles.indexOf(tile)]
    const range =
      isRange && !ends.includes(-1) ? tiles.slice(Math.min(...ends), Math.max(...ends) + 1) : [tile]
    for (const each of range) set(each, isOn)
    anchor = tile
    update()
  }

  function clear(): void {
    for (const tile of [...selected]) set(tile, false)
    update()
  }

  function selectAll(): void {
    for (const tile of shown()) set(tile, true)
    update()
  }

  const records = () => shown().flatMap((tile) => (selected.has(tile) ? [tile.file.record] : []))

  button('#selection-all').addEventListener('click', selectAll)
  button('#selection-copy').addEventListener('click', () => onCopy(records()))
  button('#selection-delete').addEventListener('click', () => onDelete(records()))
  button('#selection-zip').addEventListener('click', () => onZip(records()))
  button('#selection-clear').addEventListener('click', clear)
  gallery.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && selected.size > 0 && !event.defaultPrevented) clear()
    else if (event.key === 'Delete' && button('#selection-delete').checkVisibility())
      onDelete(records())
    else if (
      event.key === 'a' &&
      (event.ctrlKey || event.metaKey) &&
      list.contains(document.activeElement)
    ) {
      event.preventDefault()
      selectAll()
    }
  })
  return {
    get isEmpty() {
      return selected.size === 0
    },
    watch(tile) {
      const { checkbox, anchor: link } = tile
      checkbox.addEventListener('click', ({ shiftKey }) => choose(tile, checkbox.checked, shiftKey))
      link.addEventListener('click', (event) => {
        const { shiftKey, ctrlKey, metaKey } = event
        if (ctrlKey || metaKey || (selected.size === 0 && !shiftKey)) return
        event.preventDefault()
        choose(tile, shiftKey || !checkbox.checked, shiftKey)
      })
    },
    prune() {
      const tiles = new Set(shown())
      for (const tile of [...selected]) if (!tiles.has(tile)) set(tile, false)
      update()
    },
    clear,
  }
}
