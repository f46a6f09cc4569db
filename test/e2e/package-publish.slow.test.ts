import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { PACKAGES, type PackageName, rehearsePublish } from './package/packed.ts'
import { shared } from './shared.ts'

/** What each package contains: files and bytes by kind. `UPDATE_DOCS=1` writes it again. */
const LIST = join(import.meta.dirname, 'package/published.json')
const listSchema = z.record(
  z.string(),
  z.record(z.string(), z.object({ files: z.number(), bytes: z.number() })),
)
const writes = process.env.UPDATE_DOCS === '1'
/** How much a number may differ from the list. More is a change to know about. */
const ROOM = 0.1
const NAMES = Object.keys(PACKAGES) as PackageName[]

/** Returns the kind of a file: `dist/**.d.ts`, or its own path outside dist/. */
const kindOf = (path: string): string =>
  path.replace(/^dist\/.*?((?:\.d)?\.\w+(?:\.map)?)$/, 'dist/**$1')

const isNear = (value: number, listed: number): boolean => Math.abs(value - listed) <= listed * ROOM

let listed: z.infer<typeof listSchema>
beforeAll(async () => {
  listed = listSchema.parse(JSON.parse(await readFile(LIST, 'utf8')))
})
afterAll(async () => {
  if (writes) await writeFile(LIST, `${JSON.stringify(listed, null, 2)}\n`)
})

describe.each(NAMES)('npm publish --dry-run of %s', (name) => {
  it('publishes the listed kinds of files, about as many and as large', async () => {
    const { size, files } = await rehearsePublish(name, await shared('tarball', name))
    const found: Record<string, { files: number; bytes: number }> = {
      tarball: { files: 1, bytes: size },
    }
    for (const { path, size: bytes } of files) {
      const before = found[kindOf(path)] ?? { files: 0, bytes: 0 }
      found[kindOf(path)] = { files: before.files + 1, bytes: before.bytes + bytes }
    }
    if (writes) listed[name] = found
    const rows = listed[name] ?? {}
    expect(Object.keys(found).toSorted()).toEqual(Object.keys(rows).toSorted())
    for (const [kind, row] of Object.entries(rows))
      for (const member of ['files', 'bytes'] as const)
        expect(found[kind]?.[member], `${member} of ${kind}`).toSatisfy((value: number) =>
          isNear(value, row[member]),
        )
  })
})
