import type { GalleryFile } from './file-links.ts'
import { showName } from './file-name.ts'
import { find } from './find.ts'
import { isVisual } from './kind.ts'
import { preview } from './preview.ts'
import { ageInWords, momentInWords, sizeInWords } from './words.ts'

/** One file of the list. */
export interface Tile {
  readonly file: GalleryFile
  readonly element: HTMLLIElement
  readonly anchor: HTMLAnchorElement
  readonly checkbox: HTMLInputElement
}

/** Returns the list item of one file. Calls `onMenu` before the file's menu opens. */
export function fileTile(file: GalleryFile, onMenu: () => void): Tile {
  const { record, link } = file
  const template = find(document, '#file-tile', HTMLTemplateElement)
  const copy = document.importNode(template.content, true)
  const element = find(copy, 'li', HTMLLIElement)
  const anchor = find(element, 'a', HTMLAnchorElement)
  anchor.href = link ?? '#files-title' // so that it has the focus without a link too
  anchor.setAttribute('aria-label', record.name)
  find(element, '.preview', HTMLSpanElement).append(...preview(file))
  element.classList.toggle('is-visual', isVisual(record))
  showName(find(element, '.file-name', HTMLSpanElement), record.name)
  find(element, '.file-size', HTMLSpanElement).textContent = sizeInWords(record.size)
  const time = find(element, 'time', HTMLTimeElement)
  const createdAt = new Date(record.createdAt)
  time.dateTime = record.createdAt
  time.title = momentInWords(createdAt)
  time.textContent = ageInWords(createdAt, new Date())
  const checkbox = find(element, 'input', HTMLInputElement)
  checkbox.setAttribute('aria-label', `Select ${record.name}`)
  const more = find(element, 'button', HTMLButtonElement)
  more.setAttribute('aria-label', `Actions for ${record.name}`)
  more.addEventListener('click', onMenu)
  return { file, element, anchor, checkbox }
}
