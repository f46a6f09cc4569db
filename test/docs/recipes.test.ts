import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ROOT, readPage } from './support/markdown.ts'
import { FOLLOWED, recipeSteps } from './support/recipe.ts'

/** The complete apps of pages, and their files that the page need not mention. */
const EXAMPLES: Readonly<Record<string, readonly [folder: string, others: readonly string[]]>> = {
  hono: ['mounted-app', ['README.md', '.dev.vars.example']],
  express: ['node-server', ['README.md', '.env.example']],
  'd1-index': ['files-index', []],
  // `npm create vite` writes the others.
  react: ['react-app', ['README.md', '.gitignore', 'index.html', 'package.json', 'tsconfig.json']],
}

const pages = readdirSync(join(ROOT, 'docs/recipes')).map((name) => name.replace(/\.md$/, ''))

it('every recipe is on the list, and followed, or another test compiles or runs its parts', () => {
  const tests = readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.test.ts') && !name.startsWith('recipes.test'))
    .map((name) => readPage(`test/docs/${name}`))
  for (const page of pages.filter((name) => name !== 'README')) {
    expect(readPage('docs/recipes/README.md')).toContain(`(${page}.md)`)
    const names = [`recipes/${page}.md`, `'${page}'`]
    const isTested = tests.some((text) => names.some((name) => text.includes(name)))
    expect([page, FOLLOWED.includes(page) || isTested]).toEqual([page, true])
  }
})

describe.each(FOLLOWED)('%s.md', (page) => {
  const text = readPage(`docs/recipes/${page}.md`)

  it('has only files with a name, commands and excerpts, as a reader sees them', () => {
    const unknown = recipeSteps(page).filter(({ kind }) => kind === 'unknown')
    expect(unknown.map(({ code }) => code)).toEqual([])
    expect(text).not.toContain('<!-- test')
  })

  it('says where the Worker comes from, and what production needs', () => {
    if (page === 'README') return
    expect(text).toContain('README.md#on-your-machine)')
    expect(text).toMatch(/four steps|cors-of-the-bucket/)
    expect(text).not.toContain('clone')
  })
})

it.each(Object.entries(EXAMPLES))('%s.md has every file of its example', (page, [name, others]) => {
  const folder = join(ROOT, 'examples', name)
  const list = execFileSync('git', ['ls-files'], { cwd: folder, encoding: 'utf8' })
  const steps = recipeSteps(page)
  const shown = new Map(steps.map(({ path, code }) => [path, code]))
  const copied = steps.flatMap(({ kind, code }) =>
    kind === 'commands' ? (code.match(/examples\/[^\s']+/g) ?? []) : [],
  )
  for (const path of list.trim().split('\n')) {
    if (others.includes(path)) continue
    const isCopied = copied.some((address) => address.includes(path))
    const file = readPage(`examples/${name}/${path}`)
    if (!isCopied) expect(shown.get(path), path).toBe(file)
    for (const step of steps)
      if (step.kind === 'excerpt' && step.path === path) expect(file).toContain(step.code)
  }
})
