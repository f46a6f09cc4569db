import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { run } from './process.ts'

const ROOT = new URL('../../../', import.meta.url)
const wranglerPath = createRequire(import.meta.url).resolve('wrangler/package.json')
const WRANGLER = join(wranglerPath, '../bin/wrangler.js')

/** A Worker in the form that `wrangler deploy` uploads. */
export interface Bundle {
  readonly script: string
  readonly bytes: number
  /** After gzip -9. */
  readonly gzipKib: number
}

/** Runs wrangler in the project's folder. */
const wrangler = (args: readonly string[]): Promise<string> =>
  run(process.execPath, [WRANGLER, ...args], {
    cwd: ROOT,
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', WRANGLER_HIDE_BANNER: 'true' },
  })

/** This project's Workers, by their configuration. */
export const DEFAULT_WORKER = 'wrangler.toml'
export const EVERYTHING = 'examples/everything/wrangler.toml'

/**
 * Builds one of this project's Workers, minified by its configuration, or the Worker in `file` (relative to
 * the project's folder).
 */
export async function bundle(file: string): Promise<Bundle> {
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-bench-'))
  const isOwn = file.endsWith('.toml')
  const which = isOwn ? ['--config', file] : [file, '--config', 'tools/bench/peers/wrangler.toml']
  await wrangler(['deploy', ...which, '--dry-run', '--outdir', directory])
  const name = isOwn ? 'worker.js' : file.replace(/^.*\/|\.ts$/g, '').concat('.js')
  const bytes = await readFile(join(directory, name))
  await rm(directory, { recursive: true })
  return {
    script: bytes.toString(),
    bytes: bytes.length,
    gzipKib: gzipSync(bytes, { level: 9 }).length / 1024,
  }
}

/** Returns the compatibility date in wrangler.toml, which every Worker of the bench uses. */
export async function compatibilityDate(): Promise<string> {
  const toml = await readFile(new URL('wrangler.toml', ROOT), 'utf8')
  const date = /^compatibility_date = "([\d-]+)"$/m.exec(toml)?.[1]
  if (date === undefined) throw new Error('wrangler.toml has no compatibility_date.')
  return date
}
