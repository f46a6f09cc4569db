import { errorText, wantsCredentials } from './error-text.ts'
import { find } from './find.ts'
import { filesInWords, sizeInWords } from './words.ts'

/** What the list has. */
export interface ListState {
  readonly loaded: number
  /** How many of them match the filter, or undefined without a filter. */
  readonly matching: number | undefined
  /** The size of the shown files, which are those that match. */
  readonly bytes: number
  readonly isAtEnd: boolean
  /** Whether files are on their way. */
  readonly isExpecting: boolean
}

/** The texts around the tiles: how many there are, and why there are none. */
export interface FileStates {
  showCount(state: ListState): void
  showError(error: unknown): void
  /** The element after the last tile. */
  readonly end: HTMLElement
}

/** Connects these texts to the page. Calls `onLoad` when the user wants more files. */
export function createFileStates(onLoad: () => void): FileStates {
  const count = find(document, '#files-count', HTMLSpanElement)
  const empty = find(document, '#files-empty', HTMLDivElement)
  const locked = find(document, '#files-locked', HTMLDivElement)
  const errorBox = find(document, '#files-error', HTMLDivElement)
  const text = find(errorBox, '[role=alert]', HTMLDivElement)
  const match = find(document, '#files-match', HTMLDivElement)
  const matchText = find(match, 'p', HTMLParagraphElement)
  const moreButton = find(match, 'button', HTMLButtonElement)
  const end = find(document, '#files-end', HTMLParagraphElement)
  find(errorBox, 'button', HTMLButtonElement).addEventListener('click', onLoad)
  moreButton.addEventListener('click', onLoad)
  return {
    end,
    showCount({ loaded, matching, bytes, isAtEnd, isExpecting }) {
      empty.hidden = !isAtEnd || loaded > 0 || isExpecting
      locked.hidden = true
      errorBox.hidden = true
      const more = isAtEnd ? '' : '+'
      count.textContent =
        loaded === 0 ? '' : `${matching ?? loaded}${more} · ${sizeInWords(bytes)}${more}`
      match.hidden = matching === undefined || loaded === 0
      const found = matching === 0 ? 'No file' : filesInWords(matching ?? 0)
      const verb = matching === undefined || matching < 2 ? 'matches' : 'match'
      const scope = isAtEnd ? '.' : ` among the ${loaded} newest. Older files are not loaded yet.`
      matchText.textContent = match.hidden ? '' : `${found} ${verb}${scope}`
      moreButton.hidden = isAtEnd
      end.textContent = isAtEnd && loaded > 0 && match.hidden ? filesInWords(loaded) : ''
    },
    showError(error) {
      const isLocked = wantsCredentials(error)
      empty.hidden = true
      match.hidden = true
      locked.hidden = !isLocked
      errorBox.hidden = isLocked
      text.replaceChildren(...(isLocked ? [] : errorText(error)))
    },
  }
}
