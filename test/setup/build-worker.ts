import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const ROOT = join(import.meta.dirname, '../..')

const run = promisify(execFile)

/** The Worker with all plugins, of which most tests need some, or the one that a deployment gets. */
export type WorkerKind = 'everything' | 'default'

/**
 * Bundles the Worker into `outdir` as a deployment does. Returns the path of a configuration that
 * runs the bundle. That of `everything` has the repository's own with the blocks of all plugins.
 */
export async function buildWorker(
  outdir: string,
  kind: WorkerKind = 'everything',
): Promise<string> {
  const wrangler = join(ROOT, 'node_modules/wrangler/bin/wrangler.js')
  const args = kind === 'default' ? [] : ['--config', 'examples/everything/wrangler.toml']
  await run(process.execPath, [wrangler, 'deploy', ...args, '--dry-run', '--outdir', outdir], {
    cwd: ROOT,
  })
  const config = join(outdir, 'wrangler.toml')
  const text = await readFile(join(ROOT, 'wrangler.toml'), 'utf8')
  await writeFile(config, configOfBundle(kind === 'default' ? text : withClasses(text)))
  return config
}

/** Removes the "# " of the blocks of Durable Objects. */
export const withClasses = (toml: string): string =>
  toml.replace(/^# \[exports\.[\s\S]+?(?=\n\n)/gm, (blocks) => blocks.replace(/^# ?/gm, ''))

/** Returns the configuration for a bundle in its own folder. It builds nothing. */
function configOfBundle(text: string): string {
  const changes: readonly (readonly [pattern: RegExp, replacement: string])[] = [
    [/^main = .*$/m, 'main = "worker.js"\nno_bundle = true'],
    [/^minify = .*\n/m, ''],
    [/^directory = "public"$/m, `directory = ${JSON.stringify(join(ROOT, 'public'))}`],
    [/^\[build\]\n(?:.+\n)*/m, ''],
  ]
  return changes.reduce((config, [pattern, replacement]) => {
    if (!pattern.test(config)) throw new Error(`wrangler.toml has nothing that matches ${pattern}`)
    return config.replace(pattern, replacement)
  }, text)
}
