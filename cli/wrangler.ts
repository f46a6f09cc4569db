import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as z from 'zod/mini'
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

/**
 * The oldest wrangler that was tried. Much older ones start, and leave out `[exports]` and `[cache]` of
 * the configuration with a warning.
 */
const OLDEST = { major: 4, minor: 156 }

/** Returns the path of the program, for `node`. Throws UsageError if wrangler is missing or too old. */
export function wranglerProgram(): string {
  const file = resolveWrangler('wrangler/package.json')
  const { version } = z
    .object({ version: z.string() })
    .parse(JSON.parse(readFileSync(file, 'utf8')))
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < OLDEST.major || (major === OLDEST.major && minor < OLDEST.minor))
    throw new UsageError(
      `This project has wrangler ${version}, and needs ${OLDEST.major}.${OLDEST.minor} or newer. Run: npm install --save-dev wrangler@latest`,
    )
  return join(dirname(file), 'bin/wrangler.js')
}

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
