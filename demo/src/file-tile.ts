import type { GalleryFile } from './file-pages.ts'
import { find } from './find.ts'
import { preview } from './preview.ts'
import { ageInWords, momentInWords, sizeInWords } from './words.ts'

/** Returns the list item of one file. Calls `onMenu` before the file's menu opens. */
export function fileTile(file: GalleryFile, onMenu: () => void): HTMLElement {
  const { record, link } = file
  const template = find(document, '#file-tile', HTMLTemplateElement)
  const copy = document.importNode(template.content, true)
  const tile = find(copy, 'li', HTMLLIElement)
  const anchor = find(tile, 'a', HTMLAnchorElement)
  if (link === undefined) anchor.removeAttribute('href')
  else anchor.href = link
  find(tile, '.preview', HTMLSpanElement).append(...preview(file))
  find(tile, '.file-name', HTMLSpanElement).textContent = record.name
  find(tile, '.file-size', HTMLSpanElement).textContent = sizeInWords(record.size)
  const time = find(tile, 'time', HTMLTimeElement)
  const createdAt = new Date(record.createdAt)
  time.dateTime = record.createdAt
  time.title = momentInWords(createdAt)
  time.textContent = ageInWords(createdAt, new Date())
  const more = find(tile, 'button', HTMLButtonElement)
  more.setAttribute('aria-label', `Actions for ${record.name}`)
  more.addEventListener('click', onMenu)
  return tile
}
