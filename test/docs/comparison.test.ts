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
      for (const cell of cells) expect(cell).toMatch(/\]\([^)]+\)|^\?$/)
    },
  )

  it('has a date and versions, and the README has the same date', () => {
    const [, date = ''] = /^Checked on (\d+ \w+ \d{4}), against /m.exec(PAGE) ?? []
    expect(date).not.toBe('')
    expect(README).toContain(`Checked on ${date}. [docs/comparison.md](docs/comparison.md)`)
    const [, introduction = ''] = PAGE.split('\n\n')
    const sources = [...PAGE.matchAll(/unpkg\.com\/(?:@[\w-]+\/)?[\w-]+@([\d.]+)\//g)]
    expect(sources.length).toBeGreaterThan(10)
    for (const [source, version] of sources) expect(introduction, source).toContain(` ${version}`)
  })

  it('has what the README compares', () => {
    const [, section = ''] = README.split('\n## How it compares\n')
    const [table = ''] = section.split('\n## ')
    for (const [name = ''] of tableRows(table).slice(1)) expect(PAGE).toContain(name)
  })
})
