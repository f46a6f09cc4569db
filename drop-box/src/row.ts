import { sizeInWords } from '../../src/http/format.ts'
import type { Item, Queue, State } from './queue.ts'

/** A file on the page. */
export interface Row {
  readonly element: HTMLLIElement
  update(): void
}

const WORDS: Readonly<Record<State, string>> = {
  ready: '',
  refused: '',
  waiting: 'Waiting',
  sending: '',
  done: 'Arrived',
  failed: '',
  canceled: 'Canceled',
}

/** Returns the row of a file. Its name is shown as text. */
export function createRow(item: Item, queue: Queue, reasonOf: (error: unknown) => string): Row {
  const { file } = item
  const element = document.createElement('li')
  const name = element.appendChild(document.createElement('p'))
  name.appendChild(document.createElement('bdi')).textContent = file.name
  const button = (text: string, act: () => void) => {
    const made = element.appendChild(document.createElement('button'))
    made.type = 'button'
    made.textContent = text
    made.ariaLabel = `${text}: ${file.name}`
    made.onclick = act
    return made
  }
  const retry = button('Try again', () => queue.retry(item))
  const cancel = button('Cancel', () => queue.cancel(item))
  const remove = button('Remove', () => queue.remove(item))
  const bar = element.appendChild(document.createElement('progress'))
  bar.ariaLabel = file.name
  bar.max = file.size || 1
  const state = name.appendChild(document.createElement('span'))

  function update(): void {
    const { state: now, loaded, error } = item
    const isActive = now === 'waiting' || now === 'sending'
    const focused = document.activeElement
    retry.hidden = now !== 'failed' && now !== 'canceled'
    cancel.hidden = !isActive
    remove.hidden = isActive || now === 'done'
    bar.hidden = !isActive
    bar.value = loaded
    // The button with the focus may be gone.
    if (focused instanceof HTMLButtonElement && focused.hidden && element.contains(focused))
      element.querySelector<HTMLElement>('button:not([hidden])')?.focus()
    const percent = `${Math.floor((100 * loaded) / bar.max)}\u00a0%`
    const waits = now === 'sending' ? ' It goes on by itself.' : ''
    const text = error ? reasonOf(error) + waits : now === 'sending' ? percent : WORDS[now]
    state.className = now === 'failed' || now === 'refused' ? 'small error' : 'small'
    state.textContent = [sizeInWords(file.size), text].filter(Boolean).join(' · ')
  }
  return { element, update }
}
