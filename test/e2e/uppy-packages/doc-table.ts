import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'

const PAGE = join(import.meta.dirname, '../../../docs/uppy.md')

/** A table of docs/uppy.md that a run of these tests makes. */
export interface DocTable {
  /**
   * What the run found for the row that starts with `name`; null where it should not be there.
   * Throws where the page says something else, unless the run writes it.
   */
  row(name: string, cells: readonly string[] | null): void
  /** Throws for rows that the run never came to. With `UPDATE_DOCS=1` writes the table instead. */
  finish(): void
}

/** The table below `<!-- test: NAME -->`. */
export function docTable(name: string, columns: readonly string[]): DocTable {
  const update = process.env.UPDATE_DOCS === '1'
  const found = new Map<string, readonly string[] | null>()
  const marker = `<!-- test: ${name} -->\n`
  const [before = '', after] = readFileSync(PAGE, 'utf8').split(marker)
  if (after === undefined) throw new Error(`docs/uppy.md lacks the line ${marker}`)
  const lines = after.split('\n')
  const end = lines.findIndex((line) => !line.startsWith('|'))
  const documented = lines.slice(0, end).map(cellsOf)
  return {
    row(first, cells) {
      found.set(first, cells)
      if (update) return
      const row = documented.find(([cell]) => cell === first)
      expect(row?.slice(1) ?? null).toEqual(cells)
    },
    finish() {
      const rows = [...found].flatMap(([first, cells]) =>
        cells === null ? [] : [[first, ...cells]],
      )
      const table = [columns, columns.map(() => '---'), ...rows]
      if (!update) expect(documented).toEqual(table)
      else {
        const text = table.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
        writeFileSync(PAGE, [before, marker, text, '\n', lines.slice(end).join('\n')].join(''))
      }
    },
  }
}

const cellsOf = (line: string): string[] =>
  line
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim())
