import type { FileRecord } from '../../client/src/index.ts'
import type { FileActions } from './file-actions.ts'
import { showName } from './file-name.ts'
import { find } from './find.ts'
import type { Gallery } from './gallery.ts'
import { icon } from './icon.ts'
import { extensionOf, kindOf } from './kind.ts'
import { DAY_SECONDS } from './link-lifetime.ts'
import { exactSizeInWords, momentInWords, ownerInWords } from './words.ts'

/** How far a finger must move sideways, in CSS pixels, to show the next file. */
const SWIPE_PIXELS = 48
/** The width of the window from which the details are open at first. */
const WIDE = '(min-width: 60rem)'
/** The state of the history entry that Back leaves to close the viewer. */
const VIEWING = 'viewing'

export interface ViewerOptions {
  readonly gallery: Gallery
  readonly actions: FileActions
  readonly report: (error: unknown) => void
}

/** Shows one file over the page. Back and Escape close it. */
export interface Viewer {
  open(record: FileRecord): void
  /** Shows the new name of the file. */
  rename(record: FileRecord): void
  /** Shows another file if these are about to be removed from the gallery. */
  leave(records: readonly FileRecord[]): void
  close(): void
}

export function createViewer({ gallery, actions, report }: ViewerOptions): Viewer {
  const dialog = find(document, '#viewer', HTMLDialogElement)
  const title = find(dialog, '#viewer-name', HTMLHeadingElement)
  const stage = find(dialog, '.viewer-stage', HTMLDivElement)
  const media = find(dialog, '#viewer-media', HTMLDivElement)
  const details = find(dialog, '#viewer-details', HTMLDListElement)
  const button = (id: string) => find(dialog, id, HTMLButtonElement)
  const info = button('#viewer-info')
  const renameButton = button('#viewer-rename')
  const previous = button('#viewer-previous')
  const next = button('#viewer-next')
  let current: FileRecord | undefined
  let swipeFrom: PointerEvent | undefined

  const showDetails = (isOpen: boolean) => {
    details.hidden = !isOpen
    info.setAttribute('aria-expanded', String(isOpen))
  }

  function describe(record: FileRecord): void {
    current = record
    showName(title, record.name)
    dialog.setAttribute('aria-label', record.name)
    const rows = detailsOf(record)
    rows[0]?.querySelector('dd')?.append(renameButton)
    details.replaceChildren(...rows)
  }

  async function show(record: FileRecord): Promise<void> {
    describe(record)
    previous.disabled = gallery.neighbour(record, -1) === undefined
    next.disabled = false
    media.replaceChildren(...placeholder(record, gallery.thumbnail(record)))
    media.classList.add('is-loading')
    if (gallery.neighbour(record, 1) === undefined) {
      await gallery.loadMore()
      if (current === record) next.disabled = gallery.neighbour(record, 1) === undefined
    }
    try {
      const link = await gallery.screenLink(record)
      if (current === record) await put(record, link)
    } catch (error) {
      if (current === record) media.classList.remove('is-loading')
      report(error)
    }
  }

  /** Replaces the placeholder by the file, once it is loaded. */
  async function put(record: FileRecord, link: string | undefined): Promise<void> {
    const kind = kindOf(record.mimetype)
    const isShown = () => current === record && dialog.open
    let content: readonly Node[] = [symbolOf(record), note('There is no preview of this file.')]
    if (link !== undefined && kind === 'image') {
      const image = new Image()
      image.alt = record.name
      image.src = link
      const failure = note('This picture can’t be shown here. Download it to see it.')
      content = await image.decode().then(
        () => [image],
        () => [symbolOf(record), failure],
      )
    } else if (link !== undefined && (kind === 'video' || kind === 'audio')) {
      const player = document.createElement(kind)
      player.controls = true
      player.src = link
      player.setAttribute('aria-label', record.name)
      player.setAttribute('playsinline', '')
      player.addEventListener('error', () => {
        const failure = note('This file can’t be played here. Download it to open it.')
        if (isShown()) media.replaceChildren(symbolOf(record), failure)
      })
      content = [player]
    } else if (link !== undefined) {
      const anchor = document.createElement('a')
      anchor.href = link
      anchor.target = '_blank'
      anchor.rel = 'noopener'
      anchor.textContent = 'Open in a new tab'
      content = [symbolOf(record), anchor]
    }
    if (!isShown()) return
    media.classList.remove('is-loading')
    media.replaceChildren(...content)
  }

  function step(by: -1 | 1): void {
    const record = current && gallery.neighbour(current, by)
    if (record === undefined) return
    const pressed = by === 1 ? next : previous
    void show(record)
    // A disabled button loses the focus, and keys would go to the page.
    if (pressed.disabled) title.focus()
  }

  function onKey(event: KeyboardEvent): void {
    const { key, target } = event
    if (key === 'Tab') wrapFocus(event)
    if (target instanceof HTMLMediaElement || event.altKey || event.ctrlKey || event.metaKey) return
    if (key === 'ArrowLeft') step(-1)
    else if (key === 'ArrowRight') step(1)
    else if (key === 'Delete' && button('#viewer-delete').checkVisibility() && current)
      void actions.remove([current])
  }

  /** Keeps the focus in the viewer, where a browser would move it to its own buttons. */
  function wrapFocus(event: KeyboardEvent): void {
    const all = [...dialog.querySelectorAll<HTMLElement>('button, a[href], video, audio')]
    const reachable = all.filter((one) => one.checkVisibility() && !one.matches(':disabled'))
    const end = event.shiftKey ? reachable[0] : reachable.at(-1)
    const isAtStart = event.shiftKey && document.activeElement === title
    const isAtEnd = isAtStart || document.activeElement === end
    if (!isAtEnd || end instanceof HTMLMediaElement) return
    event.preventDefault()
    ;(event.shiftKey ? reachable.at(-1) : reachable[0])?.focus()
  }

  const run = (id: string, action: (record: FileRecord) => void) =>
    button(id).addEventListener('click', () => {
      if (current !== undefined) action(current)
    })
  run('#viewer-link', (record) => actions.copyLinks([record], DAY_SECONDS))
  run('#viewer-download', actions.download)
  run('#viewer-rename', actions.rename)
  run('#viewer-delete', (record) => actions.remove([record]))
  info.addEventListener('click', () => showDetails(details.hidden !== false))
  button('#viewer-close').addEventListener('click', () => dialog.close())
  previous.addEventListener('click', () => step(-1))
  next.addEventListener('click', () => step(1))
  dialog.addEventListener('keydown', onKey)
  stage.addEventListener('pointerdown', (event) => {
    const isControl = event.target instanceof HTMLMediaElement
    swipeFrom = event.pointerType === 'mouse' || isControl ? undefined : event
  })
  stage.addEventListener('pointerup', (event) => {
    if (swipeFrom?.pointerId !== event.pointerId) return
    const right = event.clientX - swipeFrom.clientX
    const down = event.clientY - swipeFrom.clientY
    if (Math.abs(right) > SWIPE_PIXELS && Math.abs(right) > 2 * Math.abs(down))
      step(right < 0 ? 1 : -1)
  })
  dialog.addEventListener('close', () => {
    media.replaceChildren() // ends the video
    if (history.state === VIEWING) history.back()
    if (current !== undefined) gallery.focus(current)
    current = undefined
  })
  addEventListener('popstate', () => {
    if (history.state === VIEWING)
      history.back() // Forward, after Back has closed the viewer
    else
      for (const open of document.querySelectorAll<HTMLDialogElement>('dialog[open]')) open.close()
  })
  // The page was reloaded while it showed a file.
  if (history.state === VIEWING) history.replaceState(null, '')

  return {
    open(record) {
      showDetails(matchMedia(WIDE).matches)
      dialog.showModal()
      title.focus()
      history.pushState(VIEWING, '')
      void show(record)
    },
    rename(record) {
      if (current?.key !== record.key) return
      const hadFocus = document.activeElement === renameButton
      describe(record)
      // The new name may not match the search.
      previous.disabled = gallery.neighbour(record, -1) === undefined
      next.disabled = gallery.neighbour(record, 1) === undefined
      if (hadFocus) renameButton.focus()
    },
    leave(records) {
      if (current === undefined) return
      const gone = new Set(records.map(({ key }) => key))
      if (!gone.has(current.key)) return
      const other = gallery.neighbour(current, 1) ?? gallery.neighbour(current, -1)
      if (other === undefined) dialog.close()
      else void show(other)
    },
    close: () => dialog.close(),
  }
}

/** Returns the picture of the tile, blurred, or the file's icon. */
function placeholder(record: FileRecord, thumbnail: string | undefined): readonly Node[] {
  if (kindOf(record.mimetype) !== 'image') return []
  if (thumbnail === undefined) return [symbolOf(record)]
  const image = new Image()
  image.className = 'viewer-thumbnail'
  image.alt = ''
  image.src = thumbnail
  return [image]
}

function symbolOf({ mimetype, name }: FileRecord): HTMLElement {
  const box = document.createElement('p')
  box.className = 'viewer-symbol'
  box.append(icon(kindOf(mimetype)), extensionOf(name))
  return box
}

function note(text: string): HTMLElement {
  const paragraph = document.createElement('p')
  paragraph.textContent = text
  return paragraph
}

function detailsOf(record: FileRecord): readonly HTMLElement[] {
  const rows = [
    ['Name', record.name],
    ['Key', record.key],
    ['Type', record.mimetype],
    ['Size', exactSizeInWords(record.size)],
    ['ETag', record.etag],
    ['Date', momentInWords(new Date(record.createdAt))],
    ['Owner', ownerInWords(record.owner)],
  ] as const
  return rows.map(([term, value]) => {
    const row = document.createElement('div')
    const name = document.createElement('dt')
    const text = document.createElement('dd')
    name.textContent = term
    text.dir = 'auto'
    text.textContent = value
    row.append(name, text)
    return row
  })
}
