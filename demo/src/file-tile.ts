import type { FileRecord } from '../../client/src/index.ts'
import type { GalleryFile } from './file-links.ts'
import { showName } from './file-name.ts'
import { find } from './find.ts'
import { extensionOf, isVisual } from './kind.ts'
import { preview } from './preview.ts'
import { ageInWords, momentInWords, sizeInWords } from './words.ts'

/** One file of the list. */
export interface Tile {
  readonly file: GalleryFile
  readonly element: HTMLLIElement
  readonly anchor: HTMLAnchorElement
  readonly checkbox: HTMLInputElement
  /** Shows the record's new name. */
  rename(record: FileRecord): void
}

/** Returns the list item of one file. Calls `onMenu` before the file's menu opens. */
export function fileTile(file: GalleryFile, onMenu: () => void): Tile {
  const { link } = file
  let { record } = file
  const template = find(document, '#file-tile', HTMLTemplateElement)
  const copy = document.importNode(template.content, true)
  const element = find(copy, 'li', HTMLLIElement)
  const anchor = find(element, 'a', HTMLAnchorElement)
  anchor.href = link ?? '#files-title' // so that it has the focus without a link too
  find(element, '.preview', HTMLSpanElement).append(...preview(file))
  element.classList.toggle('is-visual', isVisual(record))
  find(element, '.file-size', HTMLSpanElement).textContent = sizeInWords(record.size)
  const time = find(element, 'time', HTMLTimeElement)
  const createdAt = new Date(record.createdAt)
  time.dateTime = record.createdAt
  time.title = momentInWords(createdAt)
  time.textContent = ageInWords(createdAt, new Date())
  const checkbox = find(element, 'input', HTMLInputElement)
  const more = find(element, 'button', HTMLButtonElement)
  more.addEventListener('click', onMenu)
  const label = () => {
    const { name } = record
    showName(find(element, '.file-name', HTMLSpanElement), name)
    anchor.setAttribute('aria-label', name)
    checkbox.setAttribute('aria-label', `Select ${name}`)
    more.setAttribute('aria-label', `Actions for ${name}`)
  }
  label()
  return {
    get file() {
      return { ...file, record }
    },
    element,
    anchor,
    checkbox,
    rename(renamed) {
      record = renamed
      label()
      const symbol = element.querySelector<HTMLElement>('.symbol')
      if (symbol !== null) symbol.dataset.extension = extensionOf(record.name)
    },
  }
}
