import { element } from '../element.ts'
import { errorText, wantsCredentials } from '../error-text.ts'

/** A page of a list of the API. */
interface ListPage<T> {
  readonly items: readonly T[]
  /** Names those that the API could not read. */
  readonly unavailable?: readonly string[] | undefined
  readonly cursor?: string | undefined
}

export interface PagedListOptions<T> {
  readonly load: (cursor: string | undefined) => Promise<ListPage<T>>
  readonly item: (value: T) => HTMLLIElement
  /** What to say if there are none. */
  readonly none: string
  /** What has the focus if the list has no item to give it. */
  readonly heading: HTMLElement
  /** Called if the Worker wants other credentials. */
  readonly onRefusal: (error: unknown) => void
}

/** A list that loads page by page, newest first. */
export interface PagedList {
  /** The list, what it says if it is empty or fails, and the button for more. */
  readonly parts: readonly HTMLElement[]
  /** Loads the first page again. */
  reload(): Promise<void>
  /** Replaces `item` by `other`, whose button with these words gets the focus. */
  replace(item: HTMLLIElement, other: HTMLLIElement, words: string): void
  /** Removes an item. The next one gets the focus. */
  remove(item: HTMLLIElement): void
}

export function createPagedList<T>(options: PagedListOptions<T>): PagedList {
  const list = element('ul', { className: 'live-list' })
  const none = element('p', { className: 'live-none', hidden: true }, options.none)
  const errorBox = element('div', { className: 'dialog-error', role: 'alert' })
  const more = element(
    'button',
    { type: 'button', className: 'secondary', hidden: true },
    'Show more',
  )
  let cursor: string | undefined
  /** Whether items are missing on the pages so far. */
  let failed = false
  /** The latest load from the start. Pages of an earlier one are not shown. */
  let turn = 0

  const update = () => {
    none.hidden = list.childElementCount > 0 || !more.hidden || failed
  }
  const focusOn = (item: Element | null | undefined) =>
    (item?.querySelector<HTMLElement>('button') ?? options.heading).focus()

  async function load(from: string | undefined): Promise<void> {
    const mine = turn
    errorBox.replaceChildren()
    list.setAttribute('aria-busy', 'true')
    try {
      let page = await options.load(from)
      while (page.items.length === 0 && page.cursor !== undefined && mine === turn)
        page = await options.load(page.cursor) // an empty page may not be the last
      if (mine !== turn) return
      const { length } = page.unavailable ?? []
      failed = length > 0 || (from !== undefined && failed)
      if (failed)
        errorBox.textContent = 'Some could not be loaded. Open this list again in a moment.'
      const last = list.lastElementChild
      const hadFocus = more === document.activeElement
      list.append(...page.items.map(options.item))
      cursor = page.cursor
      more.hidden = cursor === undefined
      more.textContent = 'Show more'
      update()
      if (hadFocus && more.hidden) focusOn(last?.nextElementSibling)
    } catch (error) {
      if (mine !== turn) return
      if (wantsCredentials(error)) return options.onRefusal(error)
      errorBox.replaceChildren(...errorText(error))
      more.textContent = 'Try again'
      more.hidden = false
    } finally {
      if (mine === turn) list.setAttribute('aria-busy', 'false')
    }
  }
  more.addEventListener('click', () => {
    if (list.getAttribute('aria-busy') !== 'true') void load(cursor)
  })

  return {
    parts: [list, none, errorBox, more],
    async reload() {
      turn += 1
      cursor = undefined
      none.hidden = true
      more.hidden = true
      list.replaceChildren()
      await load(undefined)
    },
    replace(item, other, words) {
      item.replaceWith(other)
      const buttons = [...other.querySelectorAll('button')]
      buttons.find(({ textContent }) => textContent === words)?.focus()
    },
    remove(item) {
      const next = item.nextElementSibling ?? item.previousElementSibling
      item.remove()
      update()
      focusOn(next)
    },
  }
}
