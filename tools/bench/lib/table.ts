import type { Spread } from './rounds.ts'
import type { Section, Target } from './section.ts'

/** Formats a number with three significant digits and thousands separators. */
export const formatNumber = (value: number): string =>
  value.toLocaleString('en', { maximumSignificantDigits: 3 })

/** Returns a median, followed by the minimum and maximum if they differ. */
export function formatSpread(value: Spread | number): string {
  if (typeof value === 'number') return formatNumber(value)
  const { median, min, max } = value
  if (min === max) return formatNumber(median)
  return `${formatNumber(median)} (${formatNumber(min)} … ${formatNumber(max)})`
}

/** Returns only the median. */
export const formatMedian = (value: Spread | number): string =>
  formatNumber(typeof value === 'number' ? value : value.median)

/** Returns the table of a section in Markdown. */
export function sectionTable({ columns, rows }: Section, format = formatSpread): string {
  const names = Object.keys(columns)
  return markdownTable(
    ['', ...Object.values(columns)],
    rows.map(({ name, values }) => [
      name,
      ...names.map((column) => {
        const value = values[column]
        return value === undefined ? '' : format(value)
      }),
    ]),
  )
}

/** Returns all targets, and whether they are met, in Markdown. */
export const targetTable = (targets: readonly Target[]): string =>
  markdownTable(
    ['Target', 'Measured', ''],
    targets.map(({ text, measured, met }) => [
      text,
      formatSpread(measured),
      met ? 'met' : '**not met**',
    ]),
  )

export const markdownTable = (head: readonly string[], rows: readonly string[][]): string =>
  [
    `| ${head.join(' | ')} |`,
    `|${head.map((_, i) => (i === 0 ? '---' : '--:')).join('|')}|`,
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
  ].join('\n')
