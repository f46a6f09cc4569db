import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  CORE,
  EVERYTHING,
  packageBundles,
  SIGNER,
  SIGNER_WITH_SETTINGS,
  type SizedBundle,
  sizedBundle,
  USUAL,
} from '../../tools/bench/lib/bundle-sizes.ts'
import { readPage } from '../docs/support/markdown.ts'

/** In KiB. */
const LIMITS = {
  [CORE]: 43.9,
  [USUAL]: 70.3,
  [EVERYTHING]: 152,
  [SIGNER]: 11,
  [SIGNER_WITH_SETTINGS]: 15.7,
}

/** How far a size may be from the one in docs/mount.md. */
const ROOM = 0.03
/** The page rounds to 0.1 KiB, and bundles of any two commits differ by some bytes. */
const ROUNDING_KIB = 0.1

/** Text that only one folder below src/plugins/ has, also after the code is minified. */
const TEXTS = [
  ['api-keys', 'ep_[a-z0-9-]{1,32}_'],
  ['api-keys', 'the SHA-256 of the key'],
  ['copies', '/files/copy'],
  ['copies', 'copied onto itself'],
  ['user-data', '/files/delete-all'],
  ['user-data', 'IsLatest'],
  ['drop-boxes', '/d/:secret'],
  ['events', 'webhook-signature'],
  ['files', 'DeleteResult'],
  ['grants', '/g/:secret'],
  ['jwt', 'The key set'],
  ['jwt', 'scopesClaim'],
  ['links', '/i/:bucket'],
  ['links', 'X-Fetched-At'],
  ['links', 'must be a country'],
  ['links/images', 'image/avif'],
  ['links/images', 'needs a height for its fit'],
  ['multipart', 'ListParts'],
  ['notifications', 'ObjectCreated'],
  ['notifications', 'LifecycleDeletion'],
  ['tokens', 'ept_'],
  ['upkeep', '/upkeep/walk'],
  ['upkeep', 'many records differ'],
  ['uppy', 'success_action_status'],
] as const

const kib = (size: number): string => `${size.toFixed(1)} KiB`

/** The plugins of docs/mount.md: the first cell, all cells before the last, and the size. */
const PLUGINS = [...readPage('docs/mount.md').matchAll(/^(\| (.+?) \|.*) ([\d.]+) KiB \|$/gm)].map(
  ([, start = '', name = '', size]) => ({
    start,
    name,
    size: Number(size),
    folder: /`edge-presigner\/([\w-]+)`/.exec(start)?.[1],
  }),
)

let bundles: ReadonlyMap<string, SizedBundle> = new Map()
const bundleOf = (name: string): SizedBundle => {
  const found = bundles.get(name)
  if (found === undefined) throw new Error(`No bundle is called ${name}.`)
  return found
}
/** Returns what a plugin adds to the core, in KiB. */
const sizeOf = ({ name }: (typeof PLUGINS)[number]): number =>
  bundleOf(name).gzipKib - bundleOf(CORE).gzipKib

beforeAll(async () => {
  bundles = await packageBundles()
})

describe('the sizes of bundles', () => {
  it('are those in docs/mount.md, or have a limit here', () => {
    const listed = PLUGINS.map(({ name }) => name)
    expect([...listed, ...Object.keys(LIMITS)].toSorted()).toEqual([...bundles.keys()].toSorted())
    const wrong = PLUGINS.filter(
      (row) => Math.abs(sizeOf(row) - row.size) > Math.max(ROOM * row.size, ROUNDING_KIB),
    ).map(({ name, size }) => `${name}: ${size} KiB`)
    const table = PLUGINS.map((row) => `${row.start} ${kib(sizeOf(row))} |`).join('\n')
    expect(wrong, `docs/mount.md should have these sizes:\n${table}\n`).toEqual([])
  })

  it.each(Object.entries(LIMITS))('stay within a limit: %s, %d KiB', (name, limit) => {
    expect(bundleOf(name).gzipKib).toBeLessThanOrEqual(limit)
  })
})

describe('the bundle of the core', () => {
  it.each(TEXTS)('has nothing of the plugin %s: "%s"', (folder, text) => {
    const own = PLUGINS.find((row) => row.folder === folder.split('/').at(-1))?.name
    expect(bundleOf(own ?? EVERYTHING).code, 'the bundle with the plugin').toContain(text)
    expect(bundleOf(CORE).code.includes(text), 'whether the core has it').toBe(false)
  })

  it('has no module of a plugin', () => {
    const modules = bundleOf(CORE).modules.filter((path) => path.startsWith('src/plugins/'))
    expect(modules).toEqual([])
    expect(bundleOf(EVERYTHING).modules.join()).toContain('src/plugins/') // The paths look like this.
  })

  it('has a text of every plugin to look for', () => {
    const paths = bundleOf(EVERYTHING).modules
    const folders = paths.flatMap((path) => /^src\/plugins\/([\w-]+)\//.exec(path)?.[1] ?? [])
    expect(folders.filter((name) => !TEXTS.some(([folder]) => folder === name))).toEqual([])
  })
})

describe('the bundle of a Worker with two plugins', () => {
  /** Returns the bundle of a Worker, as a project with `edge-presigner/worker` writes it. */
  const workerWith = (plugins: string): Promise<SizedBundle> =>
    sizedBundle({
      stdin: {
        contents: `import { ${plugins.replaceAll('()', '')}, createWorker } from './src/worker/index.ts'
          export default createWorker({ plugins: [${plugins}] }).handler`,
        resolveDir: join(import.meta.dirname, '../..'),
      },
    })

  it('has nothing of the others', async () => {
    const { code, modules } = await workerWith('apiKeys(), tokens()')
    const found = TEXTS.flatMap(([folder, text]) => (code.includes(text) ? [folder] : []))
    expect([...new Set(found)]).toEqual(['api-keys', 'tokens'])
    const folders = modules.flatMap((path) => /^src\/plugins\/([\w-]+)\//.exec(path)?.[1] ?? [])
    expect([...new Set(folders)].toSorted()).toEqual(['api-keys', 'tokens'])
    const others = await workerWith('jwt(), events()')
    expect(others.code).toContain('webhook-signature')
    expect(others.code).toContain('scopesClaim')
    expect(others.code).not.toContain('ept_')
  })
})

it.each([
  [SIGNER_WITH_SETTINGS, ['aws4fetch']],
  // Without jose and a parser of XML.
  [CORE, ['aws4fetch', 'hono', 'zod']],
])('a bundle has no other package than it needs: %s', (name, needed) => {
  const packages = bundleOf(name).modules.flatMap(
    (path) => /.*\/?node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? [],
  )
  expect([...new Set(packages)].toSorted()).toEqual(needed)
})
