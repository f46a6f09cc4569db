import { createInterface } from 'node:readline'
import { type Child, startChild } from './child.ts'
import { WorkerOutput } from './worker-output.ts'
import { wranglerProgram } from './wrangler.ts'

export interface WorkerOptions {
  /** The port on 127.0.0.1. */
  readonly port: number
  /** The host that the Worker sees in every request. */
  readonly publicHost: string
  /** Absolute paths of its variable files. A later file overrides the earlier ones. */
  readonly envFiles: readonly string[]
  /** Absolute path of its configuration. */
  readonly configFile: string
  /** Absolute path of the folder for its local KV. */
  readonly stateDirectory: string
}

/** A running `wrangler dev`. */
export interface Worker extends Child {
  readonly output: WorkerOutput
}

/** Starts `wrangler dev`, which rebuilds the Worker on each change of the source. */
export async function startWorker(
  { port, publicHost, envFiles, configFile, stateDirectory }: WorkerOptions,
  print: (line: string) => void,
): Promise<Worker> {
  const child = await startChild(
    process.execPath,
    [
      ...[wranglerProgram(), 'dev', '--local'],
      ...['--ip', '127.0.0.1', '--port', String(port), '--inspector-port', '0'],
      ...['--local-upstream', publicHost, '--upstream-protocol', 'http'],
      ...envFiles.flatMap((file) => ['--env-file', file]),
      ...['--config', configFile],
      ...['--persist-to', stateDirectory],
      '--show-interactive-dev-session=false', // its hotkeys would intercept Ctrl-C
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        WRANGLER_SEND_METRICS: 'false',
        WRANGLER_HIDE_BANNER: 'true',
        CLOUDFLARE_CF_FETCH_ENABLED: 'false', // the Worker doesn't use `request.cf`, and fetching it needs the network
      },
    },
  )
  const output = new WorkerOutput(print)
  for (const stream of child.streams)
    createInterface({ input: stream }).on('line', (line) => output.add(line))
  return { ...child, output }
}
