import type { FileRecord } from '../../client/src/index.ts'
import type { FileActions } from './file-actions.ts'
import { find } from './find.ts'
import { LIFETIMES } from './link-lifetime.ts'

/** The menu that all tiles share. */
export interface FileMenu {
  /** Moves the menu to this tile. The tile's button opens it by `popovertarget`. */
  moveTo(tile: HTMLElement, record: FileRecord): void
}

export function createFileMenu(actions: FileActions): FileMenu {
  const menu = find(document, '#file-menu', HTMLDialogElement)
  const title = find(menu, '#file-menu-title', HTMLParagraphElement)
  const choices = find(menu, '#copy-choices', HTMLDivElement)
  let current: FileRecord | undefined
  const run = (action: (record: FileRecord) => void) => () => {
    menu.hidePopover() // returns the focus to the tile's button
    if (current !== undefined) action(current)
  }
  for (const [words, seconds] of LIFETIMES) {
    const button = document.createElement('button')
    button.type = 'button'
    button.className = 'choice'
    button.textContent = words
    button.addEventListener(
      'click',
      run((record) => actions.copyLinks([record], seconds)),
    )
    choices.append(button)
  }
  find(menu, '#share-button', HTMLButtonElement).addEventListener('click', run(actions.share))
  find(menu, '#download-button', HTMLButtonElement).addEventListener('click', run(actions.download))
  find(menu, '#rename-button', HTMLButtonElement).addEventListener('click', run(actions.rename))
  find(menu, '#delete-button', HTMLButtonElement).addEventListener(
    'click',
    run((record) => actions.remove([record])),
  )
  return {
    moveTo(tile, record) {
      current = record
      title.textContent = record.name
      if (menu.parentElement !== tile) tile.append(menu) // next to its button, so that Tab reaches it
    },
  }
}
