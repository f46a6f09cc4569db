import { execFileSync } from 'node:child_process'
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { build } from 'esbuild'
import manifest from '../../package.json' with { type: 'json' }
import { buildDropBox } from './build-drop-box.ts'
import { buildPage } from './build-page.ts'

const ROOT = join(import.meta.dirname, '../..')
const DIST = join(ROOT, 'dist')
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')

/**
 * Packages with many modules, by their names in `imports` of package.json: reading these takes Node longer
 * than all modules of our own. It gets one file with what they use. A bundler gets the package itself.
 */
const PACKAGES = { '#zod': 'zod/mini', '#parse-xml': '@rgrove/parse-xml' } as const

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
  for (const [name, from] of Object.entries(PACKAGES)) await buildOneFile(name, from, kept)
  await buildProgram()
  await buildPage()
  // Not the stamp of the build, and not the file that keeps it from being served.
  const isServed = (path: string) => !['.build', '.assetsignore'].includes(basename(path))
  await cp(join(ROOT, 'public'), join(DIST, 'page'), { recursive: true, filter: isServed })
}

/** Makes the kept modules import the package `from` as `name`, and builds the file that Node gets for it. */
async function buildOneFile(name: string, from: string, kept: ReadonlySet<string>): Promise<void> {
  const used = new Set<string>()
  const IMPORT = new RegExp(`import (?:\\* as (\\w+)|\\{ (.+) \\}) from '${from}'`)
  for (const path of kept) {
    const text = await readFile(path, 'utf8')
    const [statement, namespace, names] = IMPORT.exec(text) ?? []
    if (statement === undefined || !path.endsWith('.js')) continue
    const members = text.matchAll(new RegExp(`\\b${namespace}\\.(\\w+)`, 'g'))
    for (const one of names?.split(', ') ?? Array.from(members, ([, one]) => one ?? ''))
      used.add(one)
    await writeFile(path, text.replace(`'${from}'`, `'${name}'`))
  }
  const owner = from
    .split('/')
    .slice(0, from.startsWith('@') ? 2 : 1)
    .join('/')
  const license = await readFile(join(ROOT, 'node_modules', owner, 'LICENSE'), 'utf8')
  await build({
    stdin: { contents: `export { ${[...used].join()} } from '${from}'`, resolveDir: ROOT },
    outfile: join(DIST, 'packages', `${name.slice(1)}.js`),
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    banner: { js: `/* ${owner}\n${license}*/` },
  })
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
