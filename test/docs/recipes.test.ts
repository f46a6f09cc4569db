import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { APP_FILES } from '../../create/src/app-files.ts'
import { ROOT, readPage } from './support/markdown.ts'
import {
  APP_NAMES,
  countActions,
  FOLLOWED,
  IN_APP,
  IN_APP_PAGES,
  recipeSteps,
} from './support/recipe.ts'

/** The complete apps of pages, and their files that the page need not mention. */
const EXAMPLES: readonly (readonly [page: string, folder: string, others: readonly string[]])[] = [
  ['plain-html', 'plain-html', []],
  ['from-better-upload', 'better-upload', []],
  ['d1-index', 'files-index', []],
  ['vue-svelte', 'vue-app', []],
  ['vue-svelte', 'svelte-app', []],
  // `npm create vite` writes the others.
  [
    'react',
    'react-app',
    ['README.md', '.gitignore', 'index.html', 'package.json', 'tsconfig.json', 'src/index.css'],
  ],
]

/** Returns the addresses that curl reads for `a/{b,c}`. */
function addresses(text: string): string[] {
  const [, start = text, list, end = ''] = /^(.*)\{(.*)\}(.*)$/.exec(text) ?? []
  return list === undefined ? [text] : list.split(',').map((part) => start + part + end)
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
    expect([
      page,
      [...FOLLOWED, ...IN_APP_PAGES].some((name) => name === page) || isTested,
    ]).toEqual([page, true])
  }
})

describe.each([...FOLLOWED, ...IN_APP_PAGES])('%s.md', (page) => {
  const text = readPage(`docs/recipes/${page}.md`)

  it('has only files with a name, commands and excerpts, as a reader sees them', () => {
    const unknown = recipeSteps(page).filter(({ kind }) => kind === 'unknown')
    expect(unknown.map(({ code }) => code)).toEqual([])
    expect(text).not.toContain('<!-- test')
  })

  it('says where the Worker or the bucket comes from, and what production needs', () => {
    if (page === 'README') return
    if ([...IN_APP_PAGES, 'from-better-upload'].includes(page))
      expect(text).toContain('npx edge-presigner dev --bucket ')
    else expect(text).toContain('README.md#on-your-machine)')
    expect(text).toMatch(/four steps|cors-of-the-bucket/)
    expect(text).not.toContain('clone')
  })
})

describe.each(APP_NAMES)('the recipe for an app with %s', (app) => {
  const { page } = IN_APP[app]
  const files = APP_FILES[app] ?? {}

  it('takes at most 12 actions from nothing to an upload on the page', () => {
    expect(countActions(app)).toBeLessThanOrEqual(12)
  })

  it('names the files that the command writes, and shows parts of them', () => {
    for (const path of Object.keys(files))
      expect(readPage(`docs/recipes/${page}.md`)).toContain(`\`${path}\``)
    const excerpts = recipeSteps(page).filter(
      ({ kind, path }) => kind === 'excerpt' && Object.hasOwn(files, path),
    )
    expect(excerpts.length).toBeGreaterThan(0)
    for (const { path, code } of excerpts) {
      const text = files[path] ?? ''
      // The script of a page is shown without its indentation.
      expect([text, text.replaceAll(/^ {4}/gm, '')].join('\n'), path).toContain(code)
    }
  })

  it('has settings and a mount of at most 20 lines, apart from imports', () => {
    const lines = Object.entries(files).flatMap(([path, text]) => {
      if (/\.(?:html|svelte|astro|toml)$|files-page/.test(path)) return []
      const code = text.split('\n').filter((line) => !/^(?:import .*|\/\*\*.*|)$/.test(line))
      return code.filter((line) => /media/.test(path) || line.includes('media'))
    })
    expect(lines.length).toBeGreaterThan(10)
    expect(lines.length).toBeLessThanOrEqual(20)
  })
})

describe('the login of a created app, for which everybody is "demo",', () => {
  afterEach(() => vi.unstubAllEnvs())
  const sessions = {
    next: 'lib/session.ts',
    express: 'session.mjs',
  }

  it.each(Object.entries(sessions))(
    'refuses every request in production: %s',
    async (app, path) => {
      const { currentUser } = await import(join(ROOT, 'create/apps', app, path))
      const request = { headers: { host: 'localhost:3000' } }
      expect(await currentUser(request)).toEqual({ id: 'demo' })
      vi.stubEnv('NODE_ENV', 'production')
      await expect(currentUser(request)).rejects.toThrow('Replace the login in ')
    },
  )

  it('refuses a page that has renamed itself to this machine', async () => {
    const { currentUser } = await import(join(ROOT, 'create/apps/express/session.mjs'))
    for (const host of ['evil.example:3000', 'localhost.evil.example', undefined])
      await expect(currentUser({ headers: { host } })).rejects.toThrow('Replace the login in ')
  })

  it.each(APP_NAMES)('says so in an error, with the file to change: %s', (app) => {
    const [session] = Object.entries(APP_FILES[app] ?? {}).filter(([path]) => /session/.test(path))
    expect(session?.[1]).toContain(`throw new Error('Replace the login in `)
    expect(session?.[1].match(/Replace the login in (\S+):/)?.[1]).toMatch(/session\.m?[tj]s$/)
  })
})

it.each(EXAMPLES)('%s.md has every file of its example %s', (page, name, others) => {
  const folder = join(ROOT, 'examples', name)
  const list = execFileSync('git', ['ls-files'], { cwd: folder, encoding: 'utf8' })
  const steps = recipeSteps(page)
  const shown = new Map(steps.map(({ path, code }) => [path, code]))
  const copied = steps.flatMap(({ kind, code }) =>
    kind === 'commands' ? (code.match(/examples\/[^\s']+/g) ?? []).flatMap(addresses) : [],
  )
  for (const path of list.trim().split('\n')) {
    if (others.includes(path)) continue
    const isCopied = copied.includes(`examples/${name}/${path}`)
    const file = readPage(`examples/${name}/${path}`)
    if (!isCopied) expect(shown.get(path), path).toBe(file)
    for (const step of steps)
      if (step.kind === 'excerpt' && step.path.endsWith(path)) expect(file).toContain(step.code)
  }
})
