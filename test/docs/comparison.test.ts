import { describe, expect, it } from 'vitest'
import { readPage, tableRows } from './support/markdown.ts'

const PAGE = readPage('docs/comparison.md')
const README = readPage('README.md')

describe('docs/comparison.md', () => {
  const rows = tableRows(PAGE).filter(([name = '']) => !name.startsWith('|'))

  it('has rows', () => {
    expect(rows.length).toBeGreaterThan(20)
  })

  it.each(rows.map(([name = '', ...cells]) => ({ name, cells })))(
    'has a source for each cell of $name, or a question mark',
    ({ cells }) => {
      for (const cell of cells) expect(cell).toMatch(/\]\([^)]+\)|\]\[[\w-]+\]|^\?$/)
    },
  )

  it('has each source that it names once, and no other', () => {
    const used = [...PAGE.matchAll(/\]\[([\w-]+)\]/g)].map(([, name]) => name)
    const sources = [...PAGE.matchAll(/^\[([\w-]+)\]: https:\/\/\S+$/gm)].map(([, name]) => name)
    expect(sources.toSorted()).toEqual([...new Set(used)].toSorted())
  })

  it('has a date and versions', () => {
    expect(PAGE).toMatch(/^Checked on \d+ \w+ \d{4}, against /m)
    const [, introduction = ''] = PAGE.split('\n\n')
    const sources = [...PAGE.matchAll(/unpkg\.com\/(?:@[\w-]+\/)?[\w-]+@([\d.]+)\//g)]
    expect(sources.length).toBeGreaterThan(10)
    for (const [source, version] of sources) expect(introduction, source).toContain(` ${version}`)
  })

  it('leads with what only this project has, and the README has the same', () => {
    const pagesIn = (text: string, heading: string): readonly string[] => {
      const [section = ''] = text.split(`\n## ${heading}\n`)[1]?.split('\n## ') ?? []
      const targets = [...section.matchAll(/\]\((?:docs\/)?([\w/-]+\.md(?:#[\w-]+)?)\)/g)]
      return targets
        .map(([, target = '']) => target)
        .filter((target) => !/^comparison/.test(target))
    }
    const pages = pagesIn(PAGE, 'Only here')
    expect(pages).toHaveLength(7)
    expect(PAGE.indexOf('\n## Only here\n')).toBe(PAGE.indexOf('\n## '))
    expect(pagesIn(README, 'How it compares').toSorted()).toEqual(pages.toSorted())
  })
})
