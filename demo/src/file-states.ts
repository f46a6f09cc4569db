import { errorText, wantsCredentials } from './error-text.ts'
import { find } from './find.ts'
import { filesInWords } from './words.ts'

/** The texts around the tiles: how many there are, and why there are none. */
export interface FileStates {
  showCount(shown: number, isAtEnd: boolean): void
  showError(error: unknown): void
  /** The element after the last tile. */
  readonly end: HTMLElement
}

/** Connects these texts to the page. Calls `onRetry` when the user retries a list that failed. */
export function createFileStates(onRetry: () => void): FileStates {
  const count = find(document, '#files-count', HTMLSpanElement)
  const empty = find(document, '#files-empty', HTMLDivElement)
  const locked = find(document, '#files-locked', HTMLDivElement)
  const errorBox = find(document, '#files-error', HTMLDivElement)
  const text = find(errorBox, '[role=alert]', HTMLDivElement)
  const end = find(document, '#files-end', HTMLParagraphElement)
  find(errorBox, 'button', HTMLButtonElement).addEventListener('click', onRetry)
  return {
    end,
    showCount(shown, isAtEnd) {
      empty.hidden = !isAtEnd || shown > 0
      locked.hidden = true
      errorBox.hidden = true
      count.textContent = shown === 0 ? '' : `${shown}${isAtEnd ? '' : '+'}`
      end.textContent = isAtEnd && shown > 0 ? filesInWords(shown) : ''
    },
    showError(error) {
      const isLocked = wantsCredentials(error)
      empty.hidden = true
      locked.hidden = !isLocked
      errorBox.hidden = isLocked
      text.replaceChildren(...(isLocked ? [] : errorText(error)))
    },
  }
}
