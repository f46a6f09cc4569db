import type { FileRecord } from '../../client/src/index.ts'
import { find } from './find.ts'
import { kindOf } from './kind.ts'
import { keptText } from './storage.ts'

/** The fields above the list: what it shows, and how. */
export interface GalleryTools {
  /** Tells whether a search or a kind hides some files. */
  readonly isFiltering: boolean
  /** What the user searches, and the chosen kind or ''. */
  readonly text: string
  readonly kind: string
  matches(record: FileRecord): boolean
  /** Empties both fields. */
  clear(): void
}

/** Connects the fields to the page. Calls `onChange` after the filter has changed. */
export function createGalleryTools(onChange: () => void): GalleryTools {
  const search = find(document, '#files-search', HTMLInputElement)
  const clear = find(document, '#search-clear', HTMLButtonElement)
  const kind = find(document, '#files-kind', HTMLSelectElement)
  const button = find(document, '#view-button', HTMLButtonElement)
  const symbol = find(button, 'use', SVGUseElement)
  const list = find(document, '#files', HTMLUListElement)
  const view = keptText(() => localStorage, 'view')
  const typed = () => search.value.trim()
  const text = () => folded(typed())
  const showView = () => {
    const isList = view.get() === 'list'
    list.classList.toggle('is-list', isList)
    button.setAttribute('aria-pressed', String(isList))
    symbol.setAttribute('href', isList ? '#icon-grid' : '#icon-list')
  }
  button.addEventListener('click', () => {
    view.set(view.get() === 'list' ? '' : 'list')
    showView()
  })
  const showClear = () => {
    clear.hidden = search.value === ''
  }
  search.addEventListener('input', () => {
    showClear()
    onChange()
  })
  clear.addEventListener('click', () => {
    search.value = ''
    search.focus() // the button disappears
    showClear()
    onChange()
  })
  kind.addEventListener('change', onChange)
  showView()
  showClear() // a browser may fill in the text of an earlier visit
  return {
    get isFiltering() {
      return typed() !== '' || kind.value !== ''
    },
    get text() {
      return typed()
    },
    get kind() {
      return kind.value
    },
    matches: ({ name, mimetype }) =>
      folded(name).includes(text()) && (kind.value === '' || kindOf(mimetype) === kind.value),
    clear() {
      search.value = ''
      kind.value = ''
      showClear()
      onChange()
    },
  }
}

/** Returns `text` for comparisons that ignore case and accents. */
export const folded = (text: string): string =>
  text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
