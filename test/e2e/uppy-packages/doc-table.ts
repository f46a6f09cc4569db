import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'

const PAGE = join(import.meta.dirname, 'results.md')

/** Whether this run writes the tables instead of comparing its results with them. */
const writes = process.env.UPDATE_DOCS === '1'

/** A table of results.md that these tests generate. */
export interface DocTable {
  /**
   * Returns what the page states there. Undefined when it states nothing, or when this run writes
   * it.
   */
  said(row: string, column: string): string | undefined
  /** Adds a result of the run. Throws when the page differs, unless the run writes it. */
  found(row: string, column: string, text: string): void
  /** Throws when the page has more than the run found, or writes the table. */
  finish(): void
}

/** Returns the table below `<!-- test: NAME -->`, whose first column has the names of the rows. */
export function docTable(name: string, columns: readonly string[]): DocTable {
  const marker = `<!-- test: ${name} -->\n`
  const [, after] = readFileSync(PAGE, 'utf8').split(marker)
  if (after === undefined) throw new Error(`results.md lacks the line ${marker}`)
  const lines = after.split('\n')
  const end = lines.findIndex((line) => !line.startsWith('|'))
  const documented = lines.slice(0, end).map(cellsOf)
  const rows = new Map<string, Record<string, string>>()
  const said = (row: string, column: string): string | undefined =>
    writes
      ? undefined
      : documented.find(([cell]) => cell === row)?.[documented[0]?.indexOf(column) ?? -1]
  return {
    said,
    found(row, column, text) {
      rows.set(row, { ...rows.get(row), [column]: text })
      if (!writes) expect(text, 'results.md says something else').toBe(said(row, column))
    },
    finish() {
      const [, ...others] = columns
      const table = [
        columns,
        columns.map(() => '---'),
        ...[...rows].map(([row, cells]) => [row, ...others.map((column) => cells[column] ?? '–')]),
      ]
      if (!writes) {
        expect(documented).toEqual(table)
        return
      }
      const text = table.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
      // Read again, because another table of the page may have been written in the meantime.
      const [head = '', tail = ''] = readFileSync(PAGE, 'utf8').split(marker)
      const rest = tail.split('\n').slice(end)
      writeFileSync(PAGE, [head, marker, text, '\n', rest.join('\n')].join(''))
    },
  }
}

const cellsOf = (line: string): string[] =>
  line
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim())
