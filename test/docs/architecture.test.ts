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

/** What biome.json refuses to import, by room. */
const refused = new Map(
  z
    .object({ overrides: z.array(overrideSchema) })
    .parse(JSON.parse(readFileSync(join(ROOT, 'biome.json'), 'utf8')))
    .overrides.map(({ includes, linter }): [string, string[]] => [
      /^src\/([\w-]+)\/\*\*$/.exec(includes.join())?.[1] ?? '',
      linter.rules.style.noRestrictedImports.options.patterns.flatMap(({ group }) => group),
    ]),
)
const rooms = [...refused.keys()].toSorted()

const picture = markedBlock(PAGE, 'rooms')
const arrows = [...picture.matchAll(/^ *([\w-]+) --> ([\w-]+)$/gm)].map(
  ([, from = '', to = '']) => ({
    from,
    to,
  }),
)

/** `- `room` imports neither `a` nor `b`` under "Exceptions". */
const exceptions = new Map(
  [...readPage(PAGE).matchAll(/^- `([\w-]+)` (?:imports neither|doesn't import) ([^:]+):/gm)].map(
    ([, room = '', list = '']) => [room, [...list.matchAll(/`([\w-]+)`/g)].map(([, name]) => name)],
  ),
)

/** Every room that the arrows lead to from `room`. */
function reached(room: string, seen = new Set<string>()): Set<string> {
  for (const { from, to } of arrows) if (from === room && !seen.has(to)) reached(to, seen.add(to))
  return seen
}

const drawn = (room: string): string[] =>
  [...reached(room)].filter((other) => !exceptions.get(room)?.includes(other)).toSorted()

const allowed = (room: string): string[] =>
  rooms.filter((other) => other !== room && !refused.get(room)?.includes(`**/${other}/**`))

const boxed = (name: string): string[] =>
  picture
    .split(`subgraph ${name} `)[1]
    ?.split('\n  end')[0]
    ?.split(/\s+/)
    .filter((word) => rooms.includes(word)) ?? []

describe('the picture of the rooms', () => {
  it('has every folder of src/, and no other room', () => {
    const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
    expect(rooms).toEqual(folders.toSorted())
    expect([...new Set(arrows.flatMap(({ from, to }) => [from, to]))].toSorted()).toEqual(rooms)
  })

  it.each(rooms)('shows what the linter lets %s import', (room) => {
    expect(drawn(room)).toEqual(allowed(room))
  })

  it('has no arrow and no exception that says nothing', () => {
    for (const arrow of arrows) {
      const others = arrows.filter((other) => other.from === arrow.from && other !== arrow)
      expect(
        others.some(({ to }) => reached(to).has(arrow.to)),
        `${arrow.from} --> ${arrow.to}`,
      ).toBe(false)
    }
    for (const [room, names] of exceptions)
      for (const name of names) expect(reached(room)).toContain(name)
  })

  it('boxes the rooms that the linter lets import Hono, and Cloudflare', () => {
    const may = (name: string) => rooms.filter((room) => !refused.get(room)?.includes(name))
    expect(boxed('hono').toSorted()).toEqual(may('hono'))
    expect(boxed('platform')).toEqual(may('cloudflare:*'))
  })

  it('describes each room in the table below', () => {
    const [, table = ''] = readPage(PAGE).split('| Room |')
    const cells = [
      ...table
        .split('\n\n', 1)
        .join()
        .matchAll(/^\| (`.*?`) \|/gm),
    ]
    const described = cells.flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([\w-]+)`/g)].map(([, name]) => name),
    )
    expect(described.toSorted()).toEqual(rooms)
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
