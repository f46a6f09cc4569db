import { execFileSync } from 'node:child_process'
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { build } from 'esbuild'
import manifest from '../../package.json' with { type: 'json' }
import { buildDropBox } from './build-drop-box.ts'
import { buildPage } from './build-page.ts'

const ROOT = join(import.meta.dirname, '../..')
const DIST = join(ROOT, 'dist')
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')

/** The packages in what Node gets. */
const BUNDLED = ['zod', 'jose', '@rgrove/parse-xml', 'aws4fetch']

/** Matches the relative path in an import, with the words before it. */
const RELATIVE_IMPORT = /(\bfrom |\bimport |\bimport\()(["'])(\.{1,2}\/[^"']+)\2/g

/**
 * Builds dist/, which npm packs. Keeps the modules separate, so that a bundler can drop unused
 * ones. Includes source maps and the types of the entries, the program in cli/, and the page.
 */
async function buildPackage(): Promise<void> {
  await rm(DIST, { recursive: true, force: true })
  await buildDropBox()
  execFileSync(process.execPath, [TSC, '-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  const kept = new Set<string>()
  for (const entry of Object.values(manifest.exports)) {
    if (typeof entry === 'string') continue
    await keep(join(ROOT, entry.default), kept)
    await keep(join(ROOT, entry.types), kept)
  }
  for (const file of await readdir(DIST, { recursive: true, withFileTypes: true })) {
    const path = join(file.parentPath, file.name)
    if (file.isFile() && !kept.has(path.replace(/\.map$/, ''))) await rm(path)
  }
  await buildForNode()
  await buildProgram()
  await buildPage()
  // Not the stamp of the build, and not the file that keeps it from being served.
  const isServed = (path: string) => !['.build', '.assetsignore'].includes(basename(path))
  await cp(join(ROOT, 'public'), join(DIST, 'page'), { recursive: true, filter: isServed })
}

/**
 * Bundles the entries for Node into few files, with the packages: reading two hundred modules takes it longer
 * than running them. For the same reason, all plugins are in one file, which the entry of each exports from.
 */
async function buildForNode(): Promise<void> {
  const node = join(DIST, 'node')
  const entries = Object.values(manifest.exports).filter((entry) => typeof entry !== 'string')
  const isPlugin = (entry: (typeof entries)[number]) => entry.default.includes('/plugins/')
  const together: string[] = []
  for (const entry of entries.filter(isPlugin)) {
    const name = `plugin${together.length}`
    const names = Object.keys(await import(join(ROOT, entry.default)))
    const text = `import { ${name} } from './plugins.js'\nexport const { ${names.join(', ')} } = ${name}\n`
    together.push(`export * as ${name} from ${JSON.stringify(join(ROOT, entry.default))}`)
    await mkdir(node, { recursive: true })
    await writeFile(join(ROOT, entry.node), text)
  }
  const plugins = join(node, 'plugins.js')
  await writeFile(plugins, together.join('\n'))
  const others = entries.filter((entry) => !isPlugin(entry))
  await build({
    entryPoints: [
      { in: plugins, out: 'plugins' },
      ...others.map((entry) => ({
        in: join(ROOT, entry.default),
        out: basename(entry.node, '.js'),
      })),
    ],
    outdir: node,
    allowOverwrite: true,
    bundle: true,
    splitting: true,
    chunkNames: 'shared/[hash]',
    // Names and lines of the sources, whose text is in the maps of the modules.
    sourcemap: true,
    sourcesContent: false,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    external: ['hono', 'cloudflare:*'],
  })
  const licenses = BUNDLED.map(async (name) => {
    const folder = join(ROOT, 'node_modules', name)
    const file = (await readdir(folder)).find((one) => /^licen[cs]e/i.test(one)) ?? 'LICENSE'
    return `${name}\n\n${await readFile(join(folder, file), 'utf8')}`
  })
  await writeFile(join(node, 'LICENSES.txt'), (await Promise.all(licenses)).join('\n\n'))
}

/** Bundles cli/ without its packages. Each command has its own file, which main.js loads. */
async function buildProgram(): Promise<void> {
  const cli = join(ROOT, 'cli')
  await build({
    entryPoints: [join(cli, 'main.ts')],
    outdir: join(DIST, 'cli'),
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    packages: 'external',
  })
  // Not bundled: it becomes a part of the entry of a Worker.
  await build({ entryPoints: [join(cli, 'webhook-log.ts')], outdir: join(DIST, 'cli') })
}

/**
 * Adds the module at `path` and its imports to `kept`. The compiler leaves the extension `.ts` in
 * types. This changes it to `.js`, as in the modules.
 */
async function keep(path: string, kept: Set<string>): Promise<void> {
  if (kept.has(path)) return
  kept.add(path)
  const text = await readFile(path, 'utf8')
  const isTypes = path.endsWith('.d.ts')
  const rewritten = isTypes
    ? text.replace(RELATIVE_IMPORT, (found) => found.replace(/\.ts(?=["'])/, '.js'))
    : text
  if (rewritten !== text) await writeFile(path, rewritten)
  for (const [, , , specifier = ''] of rewritten.matchAll(RELATIVE_IMPORT)) {
    const imported = join(dirname(path), specifier)
    await keep(isTypes ? imported.replace(/\.js$/, '.d.ts') : imported, kept)
  }
}

await buildPackage()
