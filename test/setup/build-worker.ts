import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const ROOT = join(import.meta.dirname, '../..')

const run = promisify(execFile)

/**
 * Bundles the Worker into `outdir` as a deployment does. Returns the path of a configuration that
 * runs the bundle.
 */
export async function buildWorker(outdir: string): Promise<string> {
  const wrangler = join(ROOT, 'node_modules/wrangler/bin/wrangler.js')
  await run(process.execPath, [wrangler, 'deploy', '--dry-run', '--outdir', outdir], { cwd: ROOT })
  const config = join(outdir, 'wrangler.toml')
  await writeFile(config, configOfBundle(await readFile(join(ROOT, 'wrangler.toml'), 'utf8')))
  return config
}

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
