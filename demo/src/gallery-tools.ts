import type { FileRecord } from '../../client/src/index.ts'
import { find } from './find.ts'
import { kindOf } from './kind.ts'
import { keptText } from './storage.ts'

/** The fields above the list: what it shows, and how. */
export interface GalleryTools {
  /** Tells whether a search or a kind hides some files. */
  readonly isFiltering: boolean
  matches(record: FileRecord): boolean
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
  const text = () => folded(search.value.trim())
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
      return text() !== '' || kind.value !== ''
    },
    matches: ({ name, mimetype }) =>
      folded(name).includes(text()) && (kind.value === '' || kindOf(mimetype) === kind.value),
  }
}

/** Returns `text` for comparisons that ignore case and accents. */
const folded = (text: string): string => text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
