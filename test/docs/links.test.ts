import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fragment } from '../../tools/site/pages.ts'
import { headings, pagePaths, prose, ROOT, readPage } from './support/markdown.ts'

/** Returns the targets of a page's links into this repository. */
const relativeLinks = (path: string): string[] =>
  [...prose(readPage(path)).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))

/** Returns what is wrong with a link, or null. */
function linkError(page: string, target: string): string | null {
  const [file = '', id] = target.split('#')
  const path = file === '' ? page : normalize(join(dirname(page), file))
  if (!existsSync(join(ROOT, path))) return `${target}: no such file`
  if (id === undefined || headings(readPage(path)).map(fragment).includes(id)) return null
  return `${target}: no such heading`
}

describe.each(pagePaths())('%s', (page) => {
  it('has valid links', () => {
    const failures = relativeLinks(page).map((target) => linkError(page, target))
    expect(failures.filter((failure) => failure !== null)).toEqual([])
  })
})

it('the numbers of the decisions have no gaps', () => {
  const numbers = pagePaths()
    .filter((path) => path.startsWith('docs/maintainers/decisions/'))
    .map((path) => Number(path.slice('docs/maintainers/decisions/'.length).split('-')[0]))
    .toSorted((a, b) => a - b)
  expect(numbers).toEqual(numbers.map((_, index) => index + 1))
})
