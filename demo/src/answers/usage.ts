import type { Client, Group } from '../../../client/src/index.ts'
import { element } from '../element.ts'
import { errorText, wantsCredentials } from '../error-text.ts'
import { find } from '../find.ts'
import { filesInWords, ownerInWords, sizeInWords } from '../words.ts'
import { dayChart } from './day-chart.ts'
import { type Day, lastDays } from './days.ts'

/** How many types or owners the panel shows. The other ones are one row. */
const MAX_ROWS = 12

/** Opens the panel, which shows an error if the index can't answer. */
export function showUsage(client: Client, prefix: string, report: (error: unknown) => void): void {
  const dialog = find(document, '#usage-dialog', HTMLDialogElement)
  const total = find(dialog, '#usage-total', HTMLParagraphElement)
  const place = find(dialog, '#usage-prefix', HTMLParagraphElement)
  const errorBox = find(dialog, '[role=alert]', HTMLDivElement)
  const choice = find(dialog, 'fieldset', HTMLFieldSetElement)
  const parts = ['#usage-days', '#usage-types', '#usage-owners'] as const
  const [days, types, owners] = parts.map((id) => find(dialog, id, HTMLDivElement))
  const closed = new AbortController()
  const { signal } = closed
  dialog.addEventListener('close', () => closed.abort(), { signal })

  async function load(): Promise<void> {
    dialog.setAttribute('aria-busy', 'true')
    try {
      const [byDay, byType, byOwner] = await Promise.all([
        client.stats({ prefix, groupBy: 'day' }),
        client.stats({ prefix, groupBy: 'type' }),
        client.stats({ prefix, groupBy: 'owner' }),
      ])
      if (signal.aborted) return
      total.textContent = `${filesInWords(byDay.count)}, ${sizeInWords(byDay.bytes)}`
      const showDays = () => {
        const count = Number(find(choice, ':checked', HTMLInputElement).value)
        const shown = lastDays(byDay.groups ?? [], count, new Date())
        days?.replaceChildren(dayChart(shown), dayTable(shown))
      }
      showDays()
      choice.addEventListener('change', showDays, { signal })
      const typeName = (value: string | null) => value || 'unknown'
      types?.replaceChildren(groupTable('Type', byType.groups ?? [], byType.bytes, typeName))
      owners?.replaceChildren(
        groupTable('Owner', byOwner.groups ?? [], byOwner.bytes, ownerInWords),
      )
    } catch (error) {
      if (signal.aborted) return
      if (wantsCredentials(error)) {
        dialog.close()
        return report(error)
      }
      errorBox.replaceChildren(...errorText(error))
    } finally {
      if (!signal.aborted) dialog.removeAttribute('aria-busy')
    }
  }

  total.textContent = ''
  errorBox.replaceChildren()
  for (const part of [days, types, owners]) part?.replaceChildren()
  place.hidden = prefix === ''
  place.replaceChildren('In ', element('bdi', {}, prefix))
  dialog.removeAttribute('aria-busy')
  dialog.showModal()
  find(dialog, '#usage-title', HTMLHeadingElement).focus()
  void load()
}

/** Returns the days as a table, which opens below the picture. */
function dayTable(days: readonly Day[]): HTMLElement {
  const used = days.filter(({ count }) => count > 0).toReversed()
  if (used.length === 0)
    return element('p', { className: 'hint' }, `Nothing was added in these ${days.length} days.`)
  return element(
    'details',
    {},
    element('summary', {}, 'Show as a table'),
    table(
      ['Day', 'Files', 'Size'],
      used.map(({ day, count, bytes }) => [day, count.toLocaleString('en'), sizeInWords(bytes)]),
    ),
  )
}

/** Returns the groups as a table with a bar in each row, the largest first. */
function groupTable(
  heading: string,
  groups: readonly Group[],
  allBytes: number,
  nameOf: (value: string | null) => string,
): HTMLElement {
  if (groups.length === 0) return element('p', { className: 'hint' }, 'No files yet.')
  const first = groups.slice(0, MAX_ROWS)
  const others = groups.slice(MAX_ROWS)
  const sum = (of: (group: Group) => number) => others.reduce((all, each) => all + of(each), 0)
  const rows = [
    ...first.map(({ value, count, bytes }) => ({ name: nameOf(value), count, bytes })),
    ...(others.length === 0
      ? []
      : [
          {
            name: `${others.length.toLocaleString('en')} others`,
            count: sum(({ count }) => count),
            bytes: sum(({ bytes }) => bytes),
          },
        ]),
  ]
  const made = table(
    [heading, 'Files', 'Size'],
    rows.map(({ name, count, bytes }) => [name, count.toLocaleString('en'), sizeInWords(bytes)]),
  )
  for (const [index, { bytes }] of rows.entries()) {
    const bar = element('span', { className: 'usage-bar' })
    bar.style.width = `${allBytes === 0 ? 0 : (100 * bytes) / allBytes}%`
    made.tBodies[0]?.rows[index]?.cells[0]?.append(bar)
  }
  return made
}

function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): HTMLTableElement {
  const heads = headings.map((text) => element('th', { scope: 'col' }, text))
  return element(
    'table',
    {},
    element('thead', {}, element('tr', {}, ...heads)),
    element(
      'tbody',
      {},
      ...rows.map(([name = '', ...cells]) =>
        element(
          'tr',
          {},
          element('th', { scope: 'row' }, element('bdi', {}, name)),
          ...cells.map((cell) => element('td', {}, cell)),
        ),
      ),
    ),
  )
}
