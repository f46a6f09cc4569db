import './answers.css'
import type { Client, FileRecord, Folder, ListOptions, Sort } from '../../../client/src/index.ts'
import { element } from '../element.ts'
import { find } from '../find.ts'
import { folded, type GalleryTools } from '../gallery-tools.ts'
import { kindOf } from '../kind.ts'
import type { Permissions } from '../permissions.ts'
import { keptText } from '../storage.ts'
import { filesInWords, sizeInWords } from '../words.ts'
import { folderTile, pathItems } from './folders.ts'

const TYPING_MILLISECONDS = 250
const ORDERS: readonly (readonly [Sort, string])[] = [
  ['-createdAt', 'Newest first'],
  ['createdAt', 'Oldest first'],
  ['name', 'By name'],
  ['-size', 'Largest first'],
  ['size', 'Smallest first'],
]

/** The kinds that are one media type of the API. The page filters the others itself. */
const TYPES: Readonly<Record<string, string>> = {
  image: 'image/*',
  video: 'video/*',
  audio: 'audio/*',
}

export interface QuestionOptions {
  readonly client: Client
  readonly tools: GalleryTools
  /** Called when the list must be asked for again. */
  readonly onAsk: () => void
}

/** What the list shows. If the index doesn't answer, the page filters the files that it has loaded. */
export interface Question {
  /** Whether the index answers. */
  readonly isAnswered: boolean
  /** What `GET /files` is asked. */
  readonly options: ListOptions
  /** What all these files' keys start with. */
  readonly prefix: string
  /** Whether the page hides some of the loaded files. */
  readonly isFiltering: boolean
  /** Whether a search or a kind leaves out some files, in the index or on the page. */
  readonly isSearching: boolean
  /** Whether the list is all files, newest first. */
  readonly isPlain: boolean
  /** Why the list may be empty although there are files, or ''. */
  readonly none: string
  /** Whether there are folders above the list. */
  readonly hasFolders: boolean
  /** Shows what is above the list, if `permissions` say that the index answers. */
  offer(permissions: Permissions): void
  /** Tells whether the page shows a file that it has loaded. */
  matches(record: FileRecord): boolean
  /** Tells whether a new file answers the question. */
  includes(record: FileRecord): boolean
  /** Called after a change of the filter. Returns whether the index answers it. */
  change(): boolean
  /** Shows the folders of a page, after those of earlier ones. */
  showFolders(folders: readonly Folder[]): void
  clearFolders(): void
  /** Shows how many files there are, and how large they are, after some came or went. */
  count(): void
  /** Shows how many files a search has found so far. */
  found(files: number, isAtEnd: boolean): void
  /** Called if there is no answer. Hides how many files an earlier search has found. */
  failed(): void
}

/** Connects the line above the list to the page. */
export function createQuestion({ client, tools, onAsk }: QuestionOptions): Question {
  const line = find(document, '#answers', HTMLDivElement)
  const toggle = find(line, '#folders-button', HTMLButtonElement)
  const path = find(line, '#path', HTMLElement)
  const steps = find(path, 'ol', HTMLOListElement)
  const totals = find(line, '#totals', HTMLParagraphElement)
  const order = find(line, '#files-sort', HTMLSelectElement)
  const list = find(document, '#folders', HTMLUListElement)
  const none = find(document, '#files-none', HTMLDivElement)
  const view = keptText(() => localStorage, 'folders')
  let isAnswered = false
  /** The caller's own prefix. */
  let root = ''
  let prefix = ''
  let timer: ReturnType<typeof setTimeout> | undefined
  let countTimer: ReturnType<typeof setTimeout> | undefined
  /** The latest count. Answers to earlier ones are dropped. */
  let turn = 0

  const isByFolder = () => view.get() !== ''
  const typeOf = () => TYPES[tools.kind]
  const isLocal = () => tools.kind !== '' && typeOf() === undefined
  const options = (): ListOptions => {
    if (!isAnswered) return {}
    const common = {
      sort: ORDERS[order.selectedIndex]?.[0],
      ...(prefix === '' ? {} : { prefix }),
    }
    // The API counts folders, which only works without a search.
    if (isByFolder() && !tools.isFiltering) return { ...common, delimiter: '/' }
    return {
      ...common,
      ...(tools.text === '' ? {} : { q: tools.text }),
      ...(typeOf() === undefined ? {} : { type: typeOf() }),
    }
  }

  const ask = () => {
    clearTimeout(timer)
    showPath()
    void count()
    onAsk()
  }
  const open = (folder: string) => {
    prefix = folder
    ask()
    path.querySelector<HTMLElement>('[aria-current]')?.focus() // what was clicked disappears
  }
  function showPath(): void {
    toggle.setAttribute('aria-pressed', String(isByFolder()))
    path.hidden = !isByFolder()
    steps.replaceChildren(...pathItems(root, prefix, open))
  }

  async function count(): Promise<void> {
    const mine = ++turn
    if (tools.isFiltering) return
    // The list itself shows an error of the index.
    const sum = await client.stats({ prefix }).catch(() => undefined)
    if (mine === turn)
      totals.textContent =
        sum === undefined ? '' : `${filesInWords(sum.count)}, ${sizeInWords(sum.bytes)}`
  }

  order.append(...ORDERS.map(([value, text]) => element('option', { value }, text)))
  toggle.addEventListener('click', () => {
    view.set(isByFolder() ? '' : 'yes')
    prefix = root
    ask()
  })
  order.addEventListener('change', ask)
  find(none, 'button', HTMLButtonElement).addEventListener('click', () => {
    prefix = root
    tools.clear()
    find(document, '#files-search', HTMLInputElement).focus() // the button disappears
  })

  return {
    get isAnswered() {
      return isAnswered
    },
    get options() {
      return options()
    },
    get prefix() {
      return prefix
    },
    get isFiltering() {
      return isAnswered ? isLocal() : tools.isFiltering
    },
    get isSearching() {
      return tools.isFiltering
    },
    get isPlain() {
      if (!isAnswered) return !tools.isFiltering
      return !tools.isFiltering && !isByFolder() && order.selectedIndex === 0
    },
    get none() {
      if (!isAnswered) return ''
      if (tools.text !== '') return `No file has “${tools.text}” in its name.`
      if (tools.kind !== '') return 'There is no file of this kind.'
      return prefix === root ? '' : 'This folder is empty.'
    },
    get hasFolders() {
      return list.childElementCount > 0
    },
    offer(permissions) {
      isAnswered = permissions.answers && permissions.scopes.includes('files:list')
      line.hidden = !isAnswered
      // When the connection is back, the same folder stays open.
      if (root !== permissions.prefix) prefix = permissions.prefix
      root = permissions.prefix
      if (!isAnswered) return
      showPath()
      void count()
    },
    matches(record) {
      if (!isAnswered) return tools.matches(record)
      return !isLocal() || kindOf(record.mimetype) === tools.kind
    },
    includes(record) {
      if (!isAnswered) return true
      const { key, mimetype, name } = record
      const words = wordsOf(name)
      return (
        key.startsWith(prefix) &&
        !(isByFolder() && !tools.isFiltering && key.slice(prefix.length).includes('/')) &&
        (tools.kind === '' || kindOf(mimetype) === tools.kind) &&
        wordsOf(tools.text).every((start) => words.some((word) => word.startsWith(start)))
      )
    },
    change() {
      if (!isAnswered) return false
      clearTimeout(timer)
      timer = setTimeout(ask, TYPING_MILLISECONDS)
      return true
    },
    showFolders(folders) {
      list.append(...folders.map((folder) => folderTile(folder, open)))
      list.hidden = list.childElementCount === 0
    },
    clearFolders() {
      list.replaceChildren()
      list.hidden = true
    },
    count() {
      clearTimeout(countTimer)
      if (isAnswered) countTimer = setTimeout(count, TYPING_MILLISECONDS)
    },
    failed() {
      if (tools.isFiltering) totals.textContent = ''
    },
    found(files, isAtEnd) {
      if (!isAnswered || !tools.isFiltering) return
      // If the page itself filters a kind, the line below the list counts.
      totals.textContent = isLocal()
        ? ''
        : `${isAtEnd ? '' : 'More than '}${filesInWords(files)} found`
    },
  }
}

/** Returns the words of a name as the index finds them. */
const wordsOf = (text: string): readonly string[] => folded(text).match(/[\p{L}\p{N}]+/gu) ?? []
