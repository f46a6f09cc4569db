import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { ROOT } from './support/markdown.ts'

const TYPES_ONLY = /^(?:import|export) type [^']*'[^']+'$/gm

/** Returns every module outside src/ that an entry needs at run time, directly or indirectly. */
async function modulesOf(entry: string): Promise<string[]> {
  const seen = new Set<string>()
  const modules = new Set<string>()
  const files = [join(ROOT, 'src', entry)]
  for (const file of files) {
    if (seen.has(file)) continue
    seen.add(file)
    const source = (await readFile(file, 'utf8')).replace(TYPES_ONLY, '')
    for (const [, name = ''] of source.matchAll(/(?:\bfrom|\bimport|import\()\s*'([^']+)'/g))
      if (name.startsWith('.')) files.push(resolve(file, '..', name))
      else modules.add(name)
  }
  return [...modules]
}

/** The plugins, by their folders. */
const plugins = globSync('src/plugins/*/index.ts', { cwd: ROOT })
  .map((path) => basename(dirname(path)))
  .toSorted()

const ofWorkers = /^(?:cloudflare|node):/

describe('an entry of the package', () => {
  it.each([
    'index.ts',
    'signer.ts',
    'testing.ts',
    'indexes.ts',
    'node.ts',
    'sqlite.ts',
    'plugin-api.ts',
    'worker/index.ts',
    'plugins/links/images/index.ts',
    ...plugins.map((name) => `plugins/${name}/index.ts`),
  ])("runs on every runtime: %s imports no runtime's modules", async (entry) => {
    expect((await modulesOf(entry)).filter((name) => ofWorkers.test(name))).toEqual([])
  })

  it('for Cloudflare imports a module of Workers, which shows that these tests detect it', async () => {
    expect(await modulesOf('cloudflare.ts')).toContain('cloudflare:workers')
    expect(await modulesOf('index.ts')).toContain('hono/hono-base')
  })

  it('exists for each plugin', () => {
    const entries = Object.entries(manifest.exports).flatMap(([name, entry]) => {
      const [, plugin] = /plugins\/([\w-]+)\/index\.js$/.exec(Object(entry).default) ?? []
      return plugin === undefined ? [] : [[name, plugin]]
    })
    expect(plugins.length).toBeGreaterThan(5)
    expect(entries).toEqual(plugins.map((name) => [`./${name}`, name]))
  })

  it('is listed in docs/mount.md, in the Worker and in the tests of all routes, for each plugin', async () => {
    const read = (path: string) => readFile(join(ROOT, path), 'utf8')
    const page = await read('docs/mount.md')
    for (const name of [...plugins, 'images'])
      expect.soft(page).toContain(`| \`edge-presigner/${name}\` |`)
    for (const name of [...plugins, 'links/images'])
      for (const path of ['src/worker/plugins.ts', 'test/support/every-plugin.ts'])
        expect.soft(await read(path), path).toContain(`/plugins/${name}/index.ts'`)
  })

  it('without plugins needs neither jose nor an XML parser', async () => {
    const others = (modules: readonly string[]) => modules.filter((name) => !/^hono\b/.test(name))
    expect(others(await modulesOf('index.ts')).toSorted()).toEqual(['aws4fetch', 'zod/mini'])
    expect(await modulesOf('plugins/multipart/index.ts')).toContain('@rgrove/parse-xml')
    expect(await modulesOf('plugins/jwt/index.ts')).toContain('jose')
    for (const name of plugins.filter((one) => one !== 'jwt'))
      expect.soft(await modulesOf(`plugins/${name}/index.ts`), name).not.toContain('jose')
  })

  it('for signing needs neither Hono nor zod nor jose', async () => {
    const modules = await modulesOf('signer.ts')
    expect(modules.filter((name) => /^(?:hono|zod|jose)\b/.test(name))).toEqual([])
  })
})
