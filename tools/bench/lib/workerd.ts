import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { countAllocation, TRACE_FLAGS, type TracedServer } from './allocation.ts'
import { pidOf, start, stop } from './process.ts'

// workerd comes with wrangler. `npm run dev` and the tests use the same runtime.
const fromWrangler = createRequire(createRequire(import.meta.url).resolve('wrangler'))
const { default: workerdPath, version } = fromWrangler('workerd') as {
  default: string
  version: string
}

export const WORKERD_VERSION = version

/** A binding in the terms of workerd.capnp: `{ text: '…' }`, `{ json: … }`, or Cap'n Proto text. */
export type Binding =
  | { readonly text: string }
  | { readonly json: unknown }
  | { readonly raw: string }

export interface WorkerdOptions {
  /** Source of the Worker: one ES module. */
  readonly script: string
  readonly compatibilityDate: string
  readonly bindings?: Readonly<Record<string, Binding>>
  /** More entries of `services`, as Cap'n Proto text. */
  readonly services?: readonly string[]
  /** Internal modules for `wrapped` bindings, by name. */
  readonly extensions?: Readonly<Record<string, string>>
}

/** A Worker that listens on the loopback interface. */
export interface RunningServer {
  readonly port: number
  readonly pid: number
  close(): Promise<void>
}

/** Runs one Worker directly under `workerd serve`. Discards its log. */
export async function startWorkerd(options: WorkerdOptions): Promise<RunningServer> {
  const { server } = await serve(options, [], workerdPath, [])
  return server
}

/** Runs one Worker under `workerd serve`, and counts what V8 allocates. */
export async function startTracedWorkerd(options: WorkerdOptions): Promise<TracedServer> {
  // V8 buffers its lines in a pipe. stdbuf writes each line immediately.
  const { server, child } = await serve(options, TRACE_FLAGS, 'stdbuf', ['-oL', workerdPath])
  if (child.stdout === null) throw new Error('workerd has no stdout.')
  return { ...server, allocatedMegabytes: countAllocation(child.stdout) }
}

async function serve(
  options: WorkerdOptions,
  v8Flags: readonly string[],
  command: string,
  args: readonly string[],
) {
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-bench-'))
  const file = join(directory, 'config.capnp')
  await writeFile(join(directory, 'worker.js'), options.script)
  await writeFile(file, configText(options, v8Flags))
  const child = start(command, [...args, 'serve', '--control-fd=3', file], {
    stdio: [
      'ignore',
      v8Flags.length > 0 ? 'pipe' : 'ignore',
      process.env.BENCH_VERBOSE ? 'inherit' : 'ignore',
      'pipe',
    ],
  })
  const server: RunningServer = {
    port: await listeningPort(child),
    pid: pidOf(child),
    async close() {
      await stop(child)
      await rm(directory, { recursive: true })
    },
  }
  return { server, child }
}

function configText(options: WorkerdOptions, v8Flags: readonly string[]): string {
  const { compatibilityDate, bindings = {}, services = [], extensions = {} } = options
  const bindingList = Object.entries(bindings).map(
    ([name, binding]) => `(name = ${quote(name)}, ${bindingText(binding)})`,
  )
  const extensionList = Object.entries(extensions).map(
    ([name, source]) =>
      `(modules = [(name = ${quote(name)}, internal = true, esModule = ${quote(source)})])`,
  )
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker", esModule = embed "worker.js")],
      compatibilityDate = ${quote(compatibilityDate)},
      bindings = [${bindingList.join(', ')}],
      globalOutbound = "loopback",
    )),
    (name = "loopback", network = (allow = ["local"])),
    ${services.join(',\n    ')}
  ],
  sockets = [(name = "main", address = "127.0.0.1:0", http = (), service = "main")],
  extensions = [${extensionList.join(', ')}],
  v8Flags = [${v8Flags.map(quote).join(', ')}],
);
`
}

function bindingText(binding: Binding): string {
  if ('raw' in binding) return binding.raw
  if ('text' in binding) return `text = ${quote(binding.text)}`
  return `json = ${quote(JSON.stringify(binding.json))}`
}

/** Returns a Cap'n Proto text literal, with C's escapes. */
export const quote = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`

/**
 * Waits for workerd's message on its control pipe, `{"event":"listen","socket":"main","port":N}`.
 */
async function listeningPort({ stdio: [, , , control] }: ChildProcess): Promise<number> {
  if (!(control instanceof Readable)) throw new Error('workerd has no control pipe.')
  for await (const line of createInterface(control)) {
    const message: unknown = JSON.parse(line)
    if (typeof message === 'object' && message !== null && 'port' in message)
      return Number(message.port)
  }
  throw new Error('workerd did not start. BENCH_VERBOSE=1 shows its output.')
}
