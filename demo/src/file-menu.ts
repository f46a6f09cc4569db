import type { FileRecord } from '../../client/src/index.ts'
import { find } from './find.ts'

const HOUR_SECONDS = 3600
const DAY_SECONDS = 24 * HOUR_SECONDS

const LIVES = [
  ['an hour', HOUR_SECONDS],
  ['a day', DAY_SECONDS],
  ['a week', 7 * DAY_SECONDS],
  ['a month', 30 * DAY_SECONDS],
] as const

export interface FileActions {
  copyLink(record: FileRecord, expiresInSeconds: number): void
  download(record: FileRecord): void
  remove(record: FileRecord): void
}

/** The one menu of all tiles. */
export interface FileMenu {
  /** Makes it the menu of this tile; its button opens it by `popovertarget`. */
  moveTo(tile: HTMLElement, record: FileRecord): void
}

export function createFileMenu(actions: FileActions): FileMenu {
  const menu = find(document, '#file-menu', HTMLDialogElement)
  const title = find(menu, '#file-menu-title', HTMLParagraphElement)
  const choices = find(menu, '#copy-choices', HTMLDivElement)
  let current: FileRecord | undefined
  const run = (action: (record: FileRecord) => void) => () => {
    menu.hidePopover() // which gives the focus back to the tile's button
    if (current !== undefined) action(current)
  }
  for (const [words, seconds] of LIVES) {
    const button = document.createElement('button')
    button.type = 'button'
    button.className = 'choice'
    button.textContent = words
    button.addEventListener(
      'click',
      run((record) => actions.copyLink(record, seconds)),
    )
    choices.append(button)
  }
  find(menu, '#download-button', HTMLButtonElement).addEventListener('click', run(actions.download))
  find(menu, '#delete-button', HTMLButtonElement).addEventListener('click', run(actions.remove))
  return {
    moveTo(tile, record) {
      current = record
      title.textContent = record.name
      if (menu.parentElement !== tile) tile.append(menu) // beside its button, also for the Tab key
    },
  }
}
