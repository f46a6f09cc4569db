import { execFileSync } from 'node:child_process'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import manifest from '../package.json' with { type: 'json' }

const ROOT = join(import.meta.dirname, '..')
const DIST = join(ROOT, 'dist')
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')

/** Matches the relative path in an import, with the words before it. */
const RELATIVE_IMPORT = /(\bfrom |\bimport |\bimport\()(["'])(\.{1,2}\/[^"']+)\2/g

/**
 * Builds dist/, which npm packs. Keeps the modules separate, so that a bundler can drop unused
 * ones. Includes source maps and the types of the entries.
 */
async function buildPackage(): Promise<void> {
  await rm(DIST, { recursive: true, force: true })
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
