import { element } from '../element.ts'
import { filesInWords, sizeInWords } from '../words.ts'
import type { Day } from './days.ts'

const SVG = 'http://www.w3.org/2000/svg'
/** Units of the picture, which is stretched to its place. A day has one unit. */
const HEIGHT = 100
/** The least height of a day with bytes. */
const LEAST = 2
const shortDay = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short', timeZone: 'UTC' })

/** Returns these days as columns. The text alternative of the picture says the sum and the largest. */
export function dayChart(days: readonly Day[]): HTMLElement {
  const bytes = days.reduce((sum, day) => sum + day.bytes, 0)
  const most = days.reduce((largest, day) => (day.bytes > largest.bytes ? day : largest))
  const sum = `${sizeInWords(bytes)} in ${days.length} days`
  const caption =
    bytes === 0 ? sum : `${sum}, most on ${dayInWords(most)}: ${sizeInWords(most.bytes)}`
  const chart = svg('svg', {
    class: 'usage-chart',
    viewBox: `0 0 ${days.length} ${HEIGHT}`,
    preserveAspectRatio: 'none',
    role: 'img',
    'aria-label': caption,
  })
  for (const [index, day] of days.entries()) {
    if (day.bytes === 0) continue
    const height = Math.max(LEAST, (HEIGHT * day.bytes) / most.bytes)
    const column = svg('rect', { x: index + 0.15, y: HEIGHT - height, width: 0.7, height })
    const title = svg('title', {})
    title.textContent = `${dayInWords(day)}: ${filesInWords(day.count)}, ${sizeInWords(day.bytes)}`
    column.append(title)
    chart.append(column)
  }
  const ends = [days.at(0), days.at(-1)].flatMap((day) =>
    day === undefined ? [] : [element('span', {}, dayInWords(day))],
  )
  return element(
    'figure',
    { className: 'usage-days' },
    element('figcaption', {}, `${caption}.`),
    chart,
    element('div', { className: 'usage-axis', ariaHidden: 'true' }, ...ends),
  )
}

const dayInWords = ({ day }: Day): string => shortDay.format(new Date(day))

function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string | number>>,
): SVGElementTagNameMap[Tag] {
  const made = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, `${value}`)
  return made
}
