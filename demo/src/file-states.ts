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
  /** Whether the index searches, or the page among those that are loaded. */
  readonly isAnswered: boolean
  /** Whether the totals above the list count its files. */
  readonly isCounted: boolean
  /** Whether there are folders above the list. */
  readonly hasFolders: boolean
  /** Why the list may be empty although there are files, or ''. */
  readonly none: string
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
  const none = find(document, '#files-none', HTMLDivElement)
  const noneText = find(none, 'p', HTMLParagraphElement)
  const end = find(document, '#files-end', HTMLParagraphElement)
  find(errorBox, 'button', HTMLButtonElement).addEventListener('click', onLoad)
  moreButton.addEventListener('click', onLoad)
  return {
    end,
    showCount({ loaded, matching, bytes, isAtEnd, isExpecting, isAnswered, ...state }) {
      const isEmpty = isAtEnd && loaded === 0 && !state.hasFolders
      empty.hidden = !isEmpty || isExpecting || state.none !== ''
      none.hidden = !isEmpty || state.none === ''
      noneText.textContent = none.hidden ? '' : state.none
      locked.hidden = true
      errorBox.hidden = true
      const more = isAtEnd ? '' : '+'
      count.textContent =
        loaded === 0 || state.isCounted
          ? ''
          : `${matching ?? loaded}${more} · ${sizeInWords(bytes)}${more}`
      match.hidden = matching === undefined || loaded === 0
      const found = matching === 0 ? 'No file' : filesInWords(matching ?? 0)
      const verb = matching === undefined || matching < 2 ? 'matches' : 'match'
      const scope = isAtEnd
        ? '.'
        : isAnswered
          ? ` among the first ${loaded}. Others are not loaded yet.`
          : ` among the ${loaded} newest. Older files are not loaded yet.`
      matchText.textContent = match.hidden ? '' : `${found} ${verb}${scope}`
      moreButton.hidden = isAtEnd
      end.textContent = isAtEnd && loaded > 0 && match.hidden ? filesInWords(loaded) : ''
    },
    showError(error) {
      const isLocked = wantsCredentials(error)
      empty.hidden = true
      none.hidden = true
      match.hidden = true
      locked.hidden = !isLocked
      errorBox.hidden = isLocked
      text.replaceChildren(...(isLocked ? [] : errorText(error)))
    },
  }
}
