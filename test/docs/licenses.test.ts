import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import manifest from '../../package.json' with { type: 'json' }
import { ROOT } from './support/markdown.ts'

/** Licenses that ask for no more than their text, in any app. */
const ALLOWED = ['MIT', 'ISC', '0BSD', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0']

const names = z._default(z.record(z.string(), z.string()), {})
const lockFile = z.object({
  packages: z.record(
    z.string(),
    z.object({
      license: z.optional(z.string()),
      dependencies: names,
      optionalDependencies: names,
      peerDependencies: names,
      peerDependenciesMeta: z._default(
        z.record(z.string(), z.object({ optional: z.optional(z.boolean()) })),
        {},
      ),
    }),
  ),
})

/**
 * Returns the packages that an install of the package in `folder` brings, without those of
 * development, by their path in node_modules.
 */
async function broughtBy(folder: string): Promise<ReadonlyMap<string, string | undefined>> {
  const { packages } = lockFile.parse(
    JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')),
  )
  const brought = new Map<string, string | undefined>()
  const add = (path: string): void => {
    const entry = packages[path]
    if (entry === undefined) throw new Error(`package-lock.json has no ${path}`)
    const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } = entry
    const peers = Object.keys(peerDependencies).filter(
      (name) => peerDependenciesMeta[name]?.optional !== true,
    )
    for (const name of [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers]) {
      // As Node does: in the package's own folder, then in those above.
      const folders = [path, ...above(path)]
      const found = folders
        .map((at) => `${at}${at && '/'}node_modules/${name}`)
        .find((at) => packages[at] !== undefined)
      if (found === undefined) throw new Error(`package-lock.json has no ${name} for ${path}`)
      if (brought.has(found)) continue
      brought.set(found, packages[found]?.license)
      add(found)
    }
  }
  add(folder)
  return brought
}

/** Returns the folders above a path of the lock file. The root is ''. */
const above = (path: string): readonly string[] =>
  path
    .split('/node_modules/')
    .map((_, index, parts) => parts.slice(0, index).join('/node_modules/'))
    .toReversed()

describe('the licenses of', () => {
  it.each(['', ...manifest.workspaces])(
    'what the package in "%s" brings are known',
    async (folder) => {
      const brought = await broughtBy(folder)
      const expected =
        folder === '' ? ['@rgrove/parse-xml', 'aws4fetch', 'hono', 'jose', 'zod'] : []
      expect([...brought.keys()].toSorted()).toEqual(expected.map((name) => `node_modules/${name}`))
      for (const [path, license] of brought) expect(ALLOWED, path).toContain(license)
    },
  )

  it('the code in the page are known, and the page has their text', async () => {
    await promisify(execFile)('npm', ['run', 'build'], { cwd: ROOT })
    const text = await readFile(join(ROOT, 'public/assets/licenses.md'), 'utf8')
    const bundled = text.split(/^## /m).slice(1)
    expect(bundled.length).toBeGreaterThan(10)
    for (const entry of bundled) {
      const [, name = entry, license] = /^(\S+) - \S+ \((.*)\)\n/.exec(entry) ?? []
      expect(ALLOWED, name).toContain(license)
    }
    for (const name of ['@uppy/core', 'preact']) expect(text).toContain(`\n## ${name} - `)
  })
})
