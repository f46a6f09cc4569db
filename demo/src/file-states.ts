import { faultText, wantsCredentials } from './fault.ts'
import { find } from './find.ts'
import { filesInWords } from './words.ts'

/** What stands around the tiles: how many there are, and why there are none or no more. */
export interface FileStates {
  showCount(shown: number, isAtEnd: boolean): void
  showFault(error: unknown): void
  /** What tells that the end of the tiles is near. */
  readonly end: HTMLElement
}

/** `onRetry` is called when the user wants to list again what could not be listed. */
export function createFileStates(onRetry: () => void): FileStates {
  const count = find(document, '#files-count', HTMLSpanElement)
  const empty = find(document, '#files-empty', HTMLDivElement)
  const locked = find(document, '#files-locked', HTMLDivElement)
  const fault = find(document, '#files-fault', HTMLDivElement)
  const text = find(fault, '[role=alert]', HTMLDivElement)
  const end = find(document, '#files-end', HTMLParagraphElement)
  find(fault, 'button', HTMLButtonElement).addEventListener('click', onRetry)
  return {
    end,
    showCount(shown, isAtEnd) {
      empty.hidden = !isAtEnd || shown > 0
      locked.hidden = true
      fault.hidden = true
      count.textContent = shown === 0 ? '' : `${shown}${isAtEnd ? '' : '+'}`
      end.textContent = isAtEnd && shown > 0 ? filesInWords(shown) : ''
    },
    showFault(error) {
      const isLocked = wantsCredentials(error)
      empty.hidden = true
      locked.hidden = !isLocked
      fault.hidden = isLocked
      text.replaceChildren(...(isLocked ? [] : faultText(error)))
    },
  }
}
