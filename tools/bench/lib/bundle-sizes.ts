import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type BuildOptions, build } from 'esbuild'
import manifest from '../../../package.json' with { type: 'json' }
import { buildDropBox } from '../../dev/build-drop-box.ts'

const ROOT = join(import.meta.dirname, '../../..')

export const CORE = 'the core: `createPresigner` and `defineSettings`'
export const USUAL = 'the core with `files()`, `links()` and `tokens()`'
export const EVERYTHING = 'the core with all plugins'
export const SIGNER = '`createSigner` alone'
export const SIGNER_WITH_SETTINGS = '`createSigner` and `defineSettings`'

/** The calls of each plugin: its own, and those of the plugins that it needs. */
export const PLUGINS = [
  'files()',
  'copies()',
  'fileAdmin()',
  'userData()',
  'links()',
  'links({ images: images({ binding }) })',
  'multipart()',
  'uppy(), multipart()',
  'tokens()',
  'apiKeys({ keys })',
  'jwt({ accept })',
  'events({ onEvent, webhooks, queue })',
  'notifications(), files()',
  'grants(), links()',
  'dropBoxes(), files(), multipart()',
  'upkeep({ settings }), files()',
].map((call) => `\`${call}\``)

/** A minified bundle, as an app's bundler makes it. */
export interface SizedBundle {
  readonly bytes: number
  /** After gzip -9. */
  readonly gzipKib: number
  readonly code: string
  /** The modules of which the bundle has code: paths below the repository. */
  readonly modules: readonly string[]
}

/** Returns the bundle of `entry`, a module or the text of one. */
export async function sizedBundle(
  entry: Pick<BuildOptions, 'stdin' | 'entryPoints' | 'platform' | 'external'>,
): Promise<SizedBundle> {
  await buildDropBox()
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    conditions: ['workerd', 'worker', 'browser'],
    ...entry,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    metafile: true,
  })
  const [output] = outputFiles
  const inputs = Object.values(metafile.outputs).flatMap((one) => Object.entries(one.inputs))
  return {
    bytes: output?.contents.length ?? 0,
    gzipKib: gzipSync(output?.contents ?? '', { level: 9 }).length / 1024,
    code: output?.text ?? '',
    modules: inputs.flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : [])),
  }
}

/** Returns bundles by their names in docs/mount.md and maintainers/performance.md. */
export async function packageBundles(): Promise<ReadonlyMap<string, SizedBundle>> {
  const made: [string, Promise<SizedBundle>][] = [
    [CORE, withPlugins('')],
    [USUAL, withPlugins(USUAL)],
    [EVERYTHING, withPlugins(PLUGINS.join())],
    [SIGNER, bundleOf({ './signer': ['createSigner'] })],
    [SIGNER_WITH_SETTINGS, bundleOf({ './signer': ['createSigner', 'defineSettings'] })],
    ...PLUGINS.map((call): [string, Promise<SizedBundle>] => [call, withPlugins(call)]),
  ]
  return new Map(await Promise.all(made.map(async ([name, one]) => [name, await one] as const)))
}

/** Returns the entries of the package with the plugins that `calls` names, and their functions. */
export function pluginEntries(calls: string): Readonly<Record<string, readonly string[]>> {
  const names = new Set([...calls.matchAll(/(\w+)\(/g)].map(([, name = '']) => name))
  const entry = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  return Object.fromEntries([...names].map((name) => [`./${entry(name)}`, [name]]))
}

const withPlugins = (calls: string): Promise<SizedBundle> =>
  bundleOf({ '.': ['createPresigner', 'defineSettings'], ...pluginEntries(calls) })

/** Returns the bundle of an app that uses each of `names`, a list by entry. */
function bundleOf(names: Readonly<Record<string, readonly string[]>>): Promise<SizedBundle> {
  const lines = Object.entries(names).map(
    ([entry, some]) => `export { ${some.join(', ')} } from ${JSON.stringify(sourceOf(entry))}`,
  )
  return sizedBundle({ stdin: { contents: lines.join('\n'), resolveDir: ROOT } })
}

/** Returns the module in src/ of an entry of the package, such as `./files`. */
const sourceOf = (entry: string): string =>
  join(ROOT, builtEntry(entry).default.replace(/^\.\/dist\/(.+)\.js$/, 'src/$1.ts'))

/** Returns the paths in package.json of the built modules of an entry, for bundlers and for Node. */
export function builtEntry(entry: string): { readonly default: string; readonly node: string } {
  const found = Object.entries(manifest.exports).find(([name]) => name === entry)?.[1]
  if (typeof found !== 'object') throw new Error(`package.json has no module ${entry}.`)
  return found
}
