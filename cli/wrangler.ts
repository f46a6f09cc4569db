import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { UsageError } from './command.ts'

export interface WranglerRun {
  readonly stdout: string
  readonly stderr: string
  readonly ok: boolean
}

/**
 * Returns the path of a file of wrangler: the one of the project in the current folder, or the one
 * that this package finds.
 */
function resolveWrangler(id: string): string {
  for (const from of [join(process.cwd(), 'package.json'), import.meta.filename])
    try {
      return createRequire(from).resolve(id)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND'))
        throw error
    }
  throw new UsageError('wrangler is missing. Run `npm install --save-dev wrangler`.')
}

/** Returns the path of the program, for `node`. */
export const wranglerProgram = (): string =>
  join(dirname(resolveWrangler('wrangler/package.json')), 'bin/wrangler.js')

/** Loads wrangler as a library, which takes a second. */
export const loadWrangler = async (): Promise<typeof import('wrangler')> =>
  import(pathToFileURL(resolveWrangler('wrangler')).href)

/** Runs wrangler without a terminal. Secrets in `input` are not visible in the list of processes. */
export const runWrangler = (args: readonly string[], input = ''): Promise<WranglerRun> =>
  new Promise((resolve) => {
    const env = { ...process.env, WRANGLER_HIDE_BANNER: 'true' }
    const child = execFile(
      process.execPath,
      [wranglerProgram(), ...args],
      { env, windowsHide: true },
      (error, stdout, stderr) => resolve({ stdout, stderr, ok: error === null }),
    )
    // A wrangler that ends early doesn't read the rest. Its exit code reports that.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
