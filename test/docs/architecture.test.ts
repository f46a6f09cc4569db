import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { markedBlock, ROOT, readPage } from './support/markdown.ts'

const PAGE = 'docs/architecture.md'

const overrideSchema = z.object({
  includes: z.array(z.string()),
  linter: z.object({
    rules: z.object({
      style: z.object({
        noRestrictedImports: z.object({
          options: z.object({ patterns: z.array(z.object({ group: z.array(z.string()) })) }),
        }),
      }),
    }),
  }),
})

/** The imports that biome.json refuses, by folder. */
const refused = new Map(
  z
    .object({ overrides: z.array(overrideSchema) })
    .parse(JSON.parse(readFileSync(join(ROOT, 'biome.json'), 'utf8')))
    .overrides.map(({ includes, linter }): [string, string[]] => [
      /^src\/([\w-]+)\/\*\*$/.exec(includes.join())?.[1] ?? '',
      linter.rules.style.noRestrictedImports.options.patterns.flatMap(({ group }) => group),
    ]),
)
const folders = [...refused.keys()].toSorted()

const picture = markedBlock(PAGE, 'folders')
const arrows = [...picture.matchAll(/^ *([\w-]+) --> ([\w-]+)$/gm)].map(
  ([, from = '', to = '']) => ({
    from,
    to,
  }),
)

/** `- `folder` must not import `a` or `b`` below the picture. */
const exceptions = new Map(
  [...readPage(PAGE).matchAll(/^- `([\w-]+)` must not import ([^.]+)\./gm)].map(
    ([, folder = '', list = '']) => [
      folder,
      [...list.matchAll(/`([\w-]+)`/g)].map(([, name]) => name),
    ],
  ),
)

/** Returns every folder that the arrows lead to from `folder`. */
function reached(folder: string, seen = new Set<string>()): Set<string> {
  for (const { from, to } of arrows) if (from === folder && !seen.has(to)) reached(to, seen.add(to))
  return seen
}

const drawn = (folder: string): string[] =>
  [...reached(folder)].filter((other) => !exceptions.get(folder)?.includes(other)).toSorted()

const allowed = (folder: string): string[] =>
  folders.filter((other) => other !== folder && !refused.get(folder)?.includes(`**/${other}/**`))

const boxed = (name: string): string[] =>
  picture
    .split(`subgraph ${name} `)[1]
    ?.split('\n  end')[0]
    ?.split(/\s+/)
    .filter((word) => folders.includes(word)) ?? []

describe('the picture of the folders', () => {
  it('has exactly the folders of src/', () => {
    const onDisk = readdirSync(join(ROOT, 'src'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
    expect(folders).toEqual(onDisk.toSorted())
    expect([...new Set(arrows.flatMap(({ from, to }) => [from, to]))].toSorted()).toEqual(folders)
  })

  it.each(folders)('shows what the linter lets %s import', (folder) => {
    expect(drawn(folder)).toEqual(allowed(folder))
  })

  it('has no redundant arrow or exception', () => {
    for (const arrow of arrows) {
      const others = arrows.filter((other) => other.from === arrow.from && other !== arrow)
      expect(
        others.some(({ to }) => reached(to).has(arrow.to)),
        `${arrow.from} --> ${arrow.to}`,
      ).toBe(false)
    }
    for (const [folder, names] of exceptions)
      for (const name of names) expect(reached(folder)).toContain(name)
  })

  it('draws boxes around the folders that the linter lets import Hono and Cloudflare', () => {
    const may = (name: string) => folders.filter((folder) => !refused.get(folder)?.includes(name))
    expect(boxed('hono').toSorted()).toEqual(may('hono'))
    expect(boxed('platform')).toEqual(may('cloudflare:*'))
  })

  it('describes each folder in the table below', () => {
    const [, table = ''] = readPage(PAGE).split('| Folder |')
    const cells = [
      ...table
        .split('\n\n', 1)
        .join()
        .matchAll(/^\| (`.*?`) \|/gm),
    ]
    const described = cells.flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([\w-]+)`/g)].map(([, name]) => name),
    )
    expect(described.toSorted()).toEqual(folders)
  })
})

describe('a file that docs/architecture.md names', () => {
  const text = readPage(PAGE)
  const inTable = [...text.matchAll(/^\| .*\? \| (`.+`) \|$/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`(.+?)`/g)].map(([, path = '']) => path),
  )
  const inCharts = [...text.matchAll(/(?<![\w/.])(?!src\/)([a-z][\w-]*\/[\w-]+\.ts)/g)].map(
    ([, path = '']) => `src/${path}`,
  )

  it('answers a question, in at least 15 rows', () => {
    expect(inTable.length).toBeGreaterThanOrEqual(15)
    expect(inCharts.length).toBeGreaterThan(15)
  })

  it.each([...new Set([...inTable, ...inCharts])])('exists: %s', (path) => {
    expect(existsSync(join(ROOT, path))).toBe(true)
  })
})
