import { existsSync, globSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fragment } from '../../tools/site/pages.ts'
import { headings, pagePaths, prose, ROOT, readPage } from './support/markdown.ts'

/** Returns the targets of a page's links into this repository. */
const relativeLinks = (path: string): string[] =>
  [...prose(readPage(path)).matchAll(/\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$/gm)]
    .map(([, target, source]) => target ?? source ?? '')
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

describe('a link in a program', () => {
  const sources = ['cli', 'src', 'client/src', 'create/src', 'template', 'demo', 'drop-box/src']
    .flatMap((folder) => globSync(`${folder}/**/*.{ts,tsx,html,toml,json}`, { cwd: ROOT }))
    .filter((path) => !/node_modules|[\\/]dist[\\/]/.test(path))
  const links = sources.flatMap((source) =>
    [...readPage(source).matchAll(/(?:\bdocs|\$\{DOCS\})\/([\w/-]+\.md(?:#[\w-]+)?)/g)].map(
      ([, target = '']) => ({ source, target }),
    ),
  )

  it('leads to a page and a heading that exist', () => {
    expect(links.length).toBeGreaterThan(50)
    const failures = links.flatMap(({ source, target }) => {
      const failure = linkError('docs/README.md', target)
      return failure === null ? [] : [`${source}: ${failure}`]
    })
    expect(failures).toEqual([])
  })
})

describe('the decisions', () => {
  const decisions = pagePaths().filter((path) => path.startsWith('docs/maintainers/decisions/'))

  it('are at most 25 pages', () => {
    expect(decisions.length).toBeGreaterThan(10)
    expect(decisions.length).toBeLessThanOrEqual(25)
  })

  it.each(decisions)('have at most 20 lines, and say what would change them: %s', (path) => {
    const text = readPage(path)
    expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(20)
    expect(text).toMatch(/\n\n\*\*What would change it:\*\* [\s\S]+\n$/)
  })

  it.each(decisions)('name files and folders that exist: %s', (path) => {
    const names = [
      ...readPage(path).matchAll(/`((?:\.ci|src|test|tools|cli|client|demo|template)\/[^`]*)`/g),
    ]
    for (const [, name = ''] of names) expect(existsSync(join(ROOT, name)), name).toBe(true)
  })
})
