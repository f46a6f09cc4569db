import type { Spread } from './rounds.ts'
import type { Chart } from './section.ts'
import { formatNumber } from './table.ts'

const WIDTH = 720
const LABEL_WIDTH = 200
const VALUE_WIDTH = 90
const ROW_HEIGHT = 26
const TOP = 44
const BOTTOM = 12

/**
 * Returns a bar chart as SVG. Its colours work on light and dark pages, since a picture in Markdown
 * can't detect the theme.
 */
export function drawChart({ title, unit, bars }: Chart): string {
  const height = TOP + bars.length * ROW_HEIGHT + BOTTOM
  const longest = Math.max(...bars.map(({ value }) => bounds(value).max))
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / longest
  const rows = bars.map(({ label, value }, i) => {
    const { median, min, max } = bounds(value)
    const y = TOP + i * ROW_HEIGHT
    const x = (amount: number) => (LABEL_WIDTH + amount * scale).toFixed(1)
    const middle = y + ROW_HEIGHT / 2 - 3
    const whisker =
      min === max
        ? ''
        : `<path d="M${x(min)} ${middle}H${x(max)}M${x(min)} ${middle - 4}v8M${x(max)} ${middle - 4}v8" class="whisker"/>`
    return `  <text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end">${escapeXml(label)}</text>
  <rect x="${LABEL_WIDTH}" y="${y}" width="${(median * scale).toFixed(1)}" height="${ROW_HEIGHT - 6}" rx="2"/>
  ${whisker}
  <text x="${(LABEL_WIDTH + max * scale + 8).toFixed(1)}" y="${middle + 4}">${formatNumber(median)}${escapeXml(spaceBefore(unit))}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeXml(title)}">
  <style>
    text { font: 13px system-ui, sans-serif; fill: #7d8590 }
    .title { font-weight: 600; font-size: 14px }
    rect { fill: #3b82c4 }
    .whisker { stroke: #e0913a; stroke-width: 1.5; fill: none }
  </style>
  <text x="8" y="22" class="title">${escapeXml(title)}</text>
${rows.join('\n')}
</svg>
`
}

const bounds = (value: Spread | number): Spread =>
  typeof value === 'number' ? { median: value, min: value, max: value } : value

const spaceBefore = (unit: string): string => (unit.startsWith('/') ? unit : ` ${unit}`)

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
