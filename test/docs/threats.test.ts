import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const DECLARATION = /^\s*(?:describe|it)(?:\.(?:each|skipIf))*[(<]/
const TAG = /^\s*\/\/ @threat ([a-z0-9-]+(?: [a-z0-9-]+)*)$/

const TABLE = /^\| Id \| Threat \| What remains \|\n\|[-|]+\n((?:\|.*\n)+)/gm

const page = await readFile('docs/maintainers/threats.md', 'utf8')
/** The cells of the tables of threats. */
const rows = [...page.matchAll(TABLE)]
  .flatMap(([, lines = '']) => lines.trimEnd().split('\n'))
  .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()))
const ids = rows.map(([, id = '']) => id.replaceAll('`', ''))

/** The lines of tests that name a threat, each with the line after it. */
const tags = (await Promise.all(['test', 'client/test', 'src/testing'].map(tagsBelow))).flat()

async function tagsBelow(folder: string) {
  const entries = await readdir(folder, { recursive: true })
  const files = entries.filter((name) => /\.tsx?$/.test(name) && !name.includes('node_modules'))
  const found = await Promise.all(files.map((name) => tagsIn(join(folder, name))))
  return found.flat()
}

async function tagsIn(file: string) {
  if (file === join('test', 'docs', 'threats.test.ts')) return []
  const lines = (await readFile(file, 'utf8')).split(/\r?\n/)
  return lines.flatMap((line, i) =>
    line.includes('@threat') ? [{ place: `${file}:${i + 1}`, line, next: lines[i + 1] ?? '' }] : [],
  )
}

const idsIn = (line: string): string[] => TAG.exec(line)?.[1]?.split(' ') ?? []

describe('the threat model', () => {
  it('has rows with an id, a threat and what remains, which may be nothing', () => {
    expect(rows.length).toBeGreaterThan(200)
    for (const [, id, ...cells] of rows) {
      expect(id).toMatch(/^`[a-z0-9]+(?:-[a-z0-9]+)*`$/)
      expect(cells, id).toHaveLength(3)
      expect(cells[0], id).not.toBe('')
    }
  })

  it('has each id once', () => {
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([])
  })

  it.each(ids)('has a test for %s', (id) => {
    expect(tags.some(({ line }) => idsIn(line).includes(id))).toBe(true)
  })

  it('has a row for each id that a test names', () => {
    const unknown = tags.filter(({ line }) => idsIn(line).some((id) => !ids.includes(id)))
    expect(unknown).toEqual([])
  })

  it('is named only directly above a test or a describe', () => {
    const orphans = tags.filter(({ line, next }) => !(TAG.test(line) && DECLARATION.test(next)))
    expect(orphans).toEqual([])
  })
})
