import type { DropBox, ReceivedFile } from '../../../client/src/sharing.ts'
import { confirm } from '../delete-dialog.ts'
import { buttonFor, element } from '../element.ts'
import { ageInWords, receivedInWords, sizeInWords, untilInWords } from '../words.ts'
import type { LiveDialog } from './live-dialog.ts'
import { createPagedList, type PagedList } from './paged-list.ts'

const PAGE_SIZE = 20

/** Returns the list of the caller's drop boxes. Each can show what it has received. */
export function boxList(live: LiveDialog): PagedList {
  const { client } = live
  const list = createPagedList({
    async load(cursor) {
      const { dropBoxes: items, ...page } = await client.listDropBoxes({ limit: PAGE_SIZE, cursor })
      return { items, ...page }
    },
    item,
    none: 'No drop box is open. “Ask for files” creates one.',
    heading: live.heading,
    onRefusal: live.refuse,
  })

  function item(box: DropBox): HTMLLIElement {
    const { id, title } = box
    const received = receivedList(live, box)
    const part = element('div', { id: `received-${id}`, className: 'live-received', hidden: true })
    part.append(...received.parts)
    const shows = buttonFor('What arrived', title, () => {
      part.hidden = !part.hidden
      shows.setAttribute('aria-expanded', String(!part.hidden))
      if (!part.hidden) void received.reload()
    })
    shows.setAttribute('aria-expanded', 'false')
    shows.setAttribute('aria-controls', part.id)
    const node = element('li', { className: 'live-item' }, ...textOf(box))
    node.append(
      element(
        'p',
        { className: 'live-buttons' },
        buttonFor('Copy', title, () => live.run(() => live.copy(box.url))),
        shows,
        buttonFor('Close…', title, () =>
          live.run(async () => {
            const isSure = await confirm({
              title: 'Close this drop box?',
              subject: title,
              text: 'takes no more files. What arrived stays in the bucket. Who sent it, and their notes, are deleted.',
              action: 'Close',
            })
            if (!isSure) return
            await client.closeDropBox(id)
            list.remove(node)
            return 'Closed.'
          }),
        ),
      ),
      part,
    )
    return node
  }
  return list
}

function textOf(box: DropBox): readonly HTMLElement[] {
  const facts = [
    receivedInWords(box),
    untilInWords(new Date(box.deadline), new Date()),
    ...(box.hasPassword ? ['with a password'] : []),
  ]
  return [
    element('h3', { dir: 'auto' }, box.title),
    element(
      'p',
      {},
      'For ',
      element('bdi', {}, box.from),
      ', into ',
      element('bdi', {}, box.prefix),
    ),
    element('p', { className: 'hint' }, facts.join(' · ')),
  ]
}

function receivedList({ client, heading, refuse }: LiveDialog, { id }: DropBox): PagedList {
  return createPagedList({
    async load(cursor) {
      const page = await client.listReceived(id, { limit: PAGE_SIZE, cursor })
      return { items: page.files, cursor: page.cursor }
    },
    item: receivedItem,
    none: 'Nothing has arrived yet.',
    heading,
    onRefusal: refuse,
  })
}

/** Returns a file that arrived, with the sender's name and note as text. */
function receivedItem({
  name,
  size,
  mimetype,
  receivedAt,
  sender,
  country,
}: ReceivedFile): HTMLLIElement {
  const facts = [
    sizeInWords(size),
    mimetype,
    ageInWords(new Date(receivedAt), new Date()),
    ...(country === null ? [] : [`from ${country}`]),
  ]
  const node = element(
    'li',
    {},
    element('p', { className: 'live-name', dir: 'auto' }, name),
    element('p', { className: 'hint' }, facts.join(' · ')),
  )
  if (sender?.name) node.append(element('p', {}, 'Sent by ', element('bdi', {}, sender.name)))
  if (sender?.note)
    node.append(element('blockquote', { className: 'live-note', dir: 'auto' }, sender.note))
  return node
}
