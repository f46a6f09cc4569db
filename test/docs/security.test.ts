import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'

/** The rows of the tables that have a column with tests. */
const rows = (await readFile('docs/security.md', 'utf8'))
  .split(/^## /m)
  .filter((section) => section.includes('| Threat | Protection | Test |'))
  .flatMap((section) =>
    section
      .split('\n')
      .filter((line) => line.startsWith('| '))
      .slice(1),
  )
  .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()))

describe('the threat model', () => {
  it('has a row for each threat', () => {
    expect(rows.length).toBeGreaterThan(30)
  })

  it.each(rows)('names an existing test for: %s%s', async (_, threat, protection, tests = '') => {
    expect(threat).not.toBe('')
    expect(protection).not.toBe('')
    const files = tests.split(/(?=`test\/)/)
    for (const text of files) {
      const file = /^`(test\/[^`]+)`/.exec(text)?.[1]
      const names = [...text.matchAll(/"([^"]+)"/g)]
      expect(names, tests).not.toHaveLength(0)
      const source = await readFile(file ?? '', 'utf8')
      for (const [, name = ''] of names)
        expect(source, `${file} has no test "${name}"`).toContain(name)
    }
  })
})
