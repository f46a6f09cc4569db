import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { join, posix, sep } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ROOT, readPage } from './support/markdown.ts'

const PAGE = 'docs/maintainers/architecture.md'

const page = readPage(PAGE)

/** Returns the names in the first column of a table of the page. */
const namesIn = (heading: string): string[] =>
  [
    ...(page.split(`| ${heading} |`)[1] ?? '')
      .split('\n\n', 1)
      .join()
      .matchAll(/^\| (`.*?`) \|/gm),
  ].flatMap(([, cell = '']) => [...cell.matchAll(/`([\w-]+)`/g)].map(([, name = '']) => name))

const folders = namesIn('Folder')
const plugins = namesIn('Plugin')

/** The files of `src/`, as paths below it. */
const files = globSync('**/*.ts', { cwd: join(ROOT, 'src') }).map((path) =>
  path.split(sep).join('/'),
)
const sourceOf = (file: string): string => readFileSync(join(ROOT, 'src', file), 'utf8')

/** Returns the modules that a file imports, or exports again. */
const importsOf = (file: string): string[] =>
  [...sourceOf(file).matchAll(/(?:from|import\(|^import) ?'([^']+)'/gm)].map(
    ([, name = '']) => name,
  )

/** Returns the folder of a file, `plugins/NAME` for one of a plugin, and null for one in `src/`. */
function folderOf(file: string): string | null {
  const [first = '', second = '', third] = file.split('/')
  if (second === '') return null
  return first === 'plugins' && third !== undefined ? `plugins/${second}` : first
}

/** Tells whether a file of one folder may import from another one. */
function mayImport(from: string | null, to: string | null): boolean {
  if (from === null || from === to || from === 'worker') return true
  if (to === null) return false
  const core = folders.slice(0, folders.indexOf('plugins'))
  const own = from.startsWith('plugins/') ? core.length : core.indexOf(from)
  return core.slice(0, own).includes(to)
}

/** Returns the modules of which a file imports only types. */
const typesOf = (file: string): string[] =>
  [...sourceOf(file).matchAll(/^import type [^']*'([^']+)'/gm)].map(([, name = '']) => name)

/** Tells whether a plugin or the Worker imports the seams, or the types of a plugin that it needs. */
const isOfPlugin = (file: string, name: string): boolean =>
  /^(?:plugins|worker)\//.test(file) &&
  typesOf(file).includes(name) &&
  /^(?:plugins\/[\w-]+\/index|plugin)\.ts$/.test(posix.join(posix.dirname(file), name))

/** The only module outside of `src/` that it imports. Its path is the same from the packed `dist/`. */
const BUILT = 'plugins/drop-boxes/page.ts ../../../drop-box/dist/page-script.js'

/** The imports of `src/` that point the wrong way, as `file folder`. */
const wrong = files.flatMap((file) =>
  importsOf(file)
    .filter((name) => name.startsWith('.') && !isOfPlugin(file, name))
    .filter((name) => `${file} ${name}` !== BUILT)
    .map((name) => folderOf(posix.join(posix.dirname(file), name)))
    .filter((to) => !mayImport(folderOf(file), to))
    .map((to) => `${file} ${to}`),
)

describe('the folders', () => {
  it('are those of src/', () => {
    const inSrc = (path: string) =>
      readdirSync(join(ROOT, 'src', path), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name)
        .toSorted()
    expect(folders.toSorted()).toEqual(inSrc('.'))
    expect(plugins.toSorted()).toEqual(inSrc('plugins'))
  })

  it('import only from those before them', () => {
    expect(files.length).toBeGreaterThan(100)
    expect(wrong).toEqual([])
  })

  it('have nothing of the core that only one plugin imports', () => {
    const importers = Map.groupBy(
      files.flatMap((file) =>
        importsOf(file).map((name) => ({ file, to: posix.join(posix.dirname(file), name) })),
      ),
      ({ to }) => to,
    )
    const ofOnePlugin = files.filter((file) => {
      // What plugins outside of `src` may import is there for the others too.
      const users = (importers.get(file) ?? []).filter((one) => one.file !== 'plugin-api.ts')
      const [first, ...others] = new Set(users.map((one) => folderOf(one.file)))
      const isOfCore = folders.slice(0, folders.indexOf('plugins')).includes(folderOf(file) ?? '')
      return isOfCore && others.length === 0 && first?.startsWith('plugins/')
    })
    expect(ofOnePlugin).toEqual([])
  })

  it('use Hono only around requests', () => {
    const uses = files.filter((file) =>
      importsOf(file).some((name) => /^hono(?:\/|$)|\/(?:app-env|new-app)\.ts$/.test(name)),
    )
    expect(
      uses.filter(
        (file) =>
          !/^(?:(?:app|index|instance|join-plugins|plugin|plugin-api)\.ts|http\/|state\/|core\/|plugins\/)/.test(
            file,
          ),
      ),
    ).toEqual([])
  })

  it('import modules of Cloudflare only in files for it', () => {
    const uses = files.filter((file) =>
      importsOf(file).some((name) => name.startsWith('cloudflare:')),
    )
    expect(uses.toSorted()).toEqual([
      ...['plugins/links/cloudflare.ts', 'plugins/upkeep/cloudflare.ts', 'state/cloudflare.ts'],
    ])
  })
})

// @threat credential-misused
it('declares each purpose of a signature in one place', () => {
  const names = files.flatMap((file) =>
    [...sourceOf(file).matchAll(/\bpurpose\(([^)]*)\)/g)].map(([, name = '']) => name),
  )
  expect(names.toSorted()).toEqual([
    ...[
      "'cursor'",
      "'drop-box'",
      "'folder'",
      "'form'",
      "'key'",
      "'link'",
      "'network'",
      "'password'",
    ],
    ...["'proof'", "'step'", "'token'", "'unlock'", "'upload'", "'upload-encryption'", "'user'"],
  ])
})

it('have all that is specific to restrictions of links in one file', () => {
  const knowing = files.filter((file) => sourceOf(file).includes('notCountries'))
  expect(knowing).toEqual(['plugins/links/restrictions.ts'])
})

describe('the seams', () => {
  it('are those of the types', () => {
    const members = (path: string, name: string): string[] => {
      const [, body = ''] =
        new RegExp(`interface ${name}\\b[^{]*\\{\\n([^]*?)\\n\\}`).exec(sourceOf(path)) ?? []
      return [...body.matchAll(/^ {2}readonly (\w+)\??: /gm)].map(([, member = '']) => member)
    }
    const ofPlugin = members('plugin.ts', 'Plugin').filter((name) => !/^(?:name|call)$/.test(name))
    const ofSetup = members('http/app-env.ts', 'Seams')
    expect(ofSetup.length).toBeGreaterThan(5)
    expect(namesIn('Seam').toSorted()).toEqual([...ofPlugin, ...ofSetup].toSorted())
  })
})

describe('a file that docs/maintainers/architecture.md names', () => {
  const inTable = [...page.matchAll(/^\| .*\? \| (`.+`) \|$/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`(.+?)`/g)].map(([, path = '']) => path),
  )
  const inCharts = [
    ...page.matchAll(
      /(?<![\w/.-])(?!(?:src|tools|client|create|examples)\/)([a-z][\w-]*(?:\/[\w-]+)+\.ts)/g,
    ),
  ].map(([, path = '']) => `src/${path}`)

  /** The examples of where a new line belongs, as lists of lines. */
  const examples = (page.split('## Where does a new line belong?')[1] ?? '')
    .split(/^\*\*/m)
    .slice(1)
    .map((example) => example.match(/^- .*/gm) ?? [])
  const inExamples = examples
    .flat()
    .flatMap((line) => [...line.matchAll(/`([\w-]+\/[\w./-]+)`/g)].map(([, path = '']) => path))

  it('answers a question, in at least 15 rows', () => {
    expect(inTable.length).toBeGreaterThanOrEqual(15)
    expect(inCharts.length).toBeGreaterThan(15)
  })

  it('is named in at most three lines for each of five additions', () => {
    expect(examples).toHaveLength(5)
    for (const lines of examples) expect([1, 2, 3]).toContain(lines.length)
    expect(inExamples.length).toBeGreaterThan(10)
  })

  it.each([...new Set([...inTable, ...inCharts, ...inExamples])])('exists: %s', (path) => {
    expect(existsSync(join(ROOT, path))).toBe(true)
  })
})

it('has a reading path of files that exist, and of at most 1,600 lines', () => {
  const path = [...page.matchAll(/^\| `src\/(\S+\.ts)` \|/gm)].map(([, file = '']) => file)
  expect(path.length).toBeGreaterThan(10)
  const lines = path.map((file) => sourceOf(file).split('\n').length - 1)
  expect(lines.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(1600)
})
