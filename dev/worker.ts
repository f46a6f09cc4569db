import { join } from 'node:path'
import { type Child, startChild } from './child.ts'

const ROOT = join(import.meta.dirname, '..')
const WRANGLER = join(ROOT, 'node_modules', 'wrangler', 'bin', 'wrangler.js')

export interface WorkerOptions {
  /** Where it listens on 127.0.0.1. */
  readonly port: number
  /** The host of every request, as the Worker sees it. */
  readonly publicHost: string
  /** Absolute path of its variables. */
  readonly envFile: string
  /** Absolute path of the folder for its KV. */
  readonly stateDirectory: string
}

/**
 * Starts `wrangler dev`, which rebuilds the Worker on each change of the source; its output goes to
 * this terminal.
 */
export const startWorker = ({
  port,
  publicHost,
  envFile,
  stateDirectory,
}: WorkerOptions): Promise<Child> =>
  startChild(
    process.execPath,
    [
      ...[WRANGLER, 'dev', '--local'],
      ...['--ip', '127.0.0.1', '--port', String(port), '--inspector-port', '0'],
      ...['--local-upstream', publicHost, '--upstream-protocol', 'http'],
      ...['--env-file', envFile, '--persist-to', stateDirectory],
      '--show-interactive-dev-session=false', // its hotkeys would take Ctrl-C
    ],
    {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, WRANGLER_SEND_METRICS: 'false', WRANGLER_HIDE_BANNER: 'true' },
    },
  )
