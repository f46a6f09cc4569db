import type { Grant } from '../../../client/src/sharing.ts'
import { confirm } from '../delete-dialog.ts'
import { buttonFor, element } from '../element.ts'
import { ageInWords, untilInWords, usesInWords } from '../words.ts'
import { changeGrant } from './grant-dialog.ts'
import type { LiveDialog } from './live-dialog.ts'
import { createPagedList, type PagedList } from './paged-list.ts'

const PAGE_SIZE = 20

/** Returns the list of the caller's limited links. */
export function grantList(live: LiveDialog): PagedList {
  const { client } = live
  const list = createPagedList({
    async load(cursor) {
      const { grants: items, ...page } = await client.listGrants({ limit: PAGE_SIZE, cursor })
      return { items, ...page }
    },
    item,
    none: 'You have no limited links. To create one, open the menu of a file, and choose “Copy another link…”.',
    heading: live.heading,
    onRefusal: live.refuse,
  })

  function item(grant: Grant): HTMLLIElement {
    const about = grant.label ?? grant.name
    const node = element('li', { className: 'live-item' }, ...textOf(grant))
    const run = (action: () => Promise<string | undefined>) => () => live.run(action)
    node.append(
      element(
        'p',
        { className: 'live-buttons' },
        buttonFor(
          'Copy',
          about,
          run(() => live.copy(grant.url)),
        ),
        buttonFor(
          'Change…',
          about,
          run(async () => {
            const changed = await changeGrant(client, grant)
            if (changed === undefined) return
            list.replace(node, item(changed), 'Change…')
            return 'Changed.'
          }),
        ),
        buttonFor(
          'Revoke…',
          about,
          run(async () => {
            const isSure = await confirm({
              title: 'Revoke this link?',
              subject: about,
              text: 'gives out no more links. One that it gave out before works for its 10 minutes.',
              action: 'Revoke',
            })
            if (!isSure) return
            await client.withdrawGrant(grant.id)
            list.remove(node)
            return 'Revoked.'
          }),
        ),
      ),
    )
    return node
  }
  return list
}

function textOf(grant: Grant): readonly HTMLElement[] {
  const { name, label, lastUsedAt, deadline, hasPassword } = grant
  const now = new Date()
  const facts = [
    usesInWords(grant.usesLeft, grant.uses),
    lastUsedAt === null ? 'not used yet' : `last used ${ageInWords(new Date(lastUsedAt), now)}`,
    untilInWords(new Date(deadline), now),
    ...(hasPassword ? ['with a password'] : []),
  ]
  return [
    element('h3', { dir: 'auto' }, name),
    ...(label === null ? [] : [element('p', { dir: 'auto' }, label)]),
    element('p', { className: 'hint' }, facts.join(' · ')),
  ]
}
