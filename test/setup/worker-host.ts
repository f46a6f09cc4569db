import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { dirname } from 'node:path'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { unstable_getMiniflareWorkerOptions, unstable_readConfig } from 'wrangler'
import { serveCalls } from './calls.ts'

export interface HostedWorkerOptions {
  readonly configPath: string
  /** Paths of the configurations of other Workers next to it. */
  readonly others: readonly string[]
  readonly secrets: Readonly<Record<string, string>>
}

/** What the host does for test files, which name a Worker by its port. */
export interface WorkerHost {
  /** Starts a bundled Worker. Returns its port. */
  start(options: HostedWorkerOptions): Promise<string>
  /** Returns what a Worker has written to the console. */
  logs(port: string): Promise<string>
  close(port: string): Promise<void>
}

/** A Worker that runs in workerd. */
export interface RunningWorker {
  readonly miniflare: Miniflare
  /** What it has written to the console. */
  readonly lines: readonly string[]
}

/**
 * Starts a Worker for this process, without the proxy that wrangler has in front of one: each would be a
 * second workerd, and cost more than the Worker itself.
 */
export function createWorker({ configPath, others, secrets }: HostedWorkerOptions): RunningWorker {
  const lines: string[] = []
  const workers = [configPath, ...others].map((path, index) => {
    const config = unstable_readConfig({ config: path })
    const { workerOptions, main = '' } = unstable_getMiniflareWorkerOptions(config)
    const bindings = Object.assign({}, workerOptions.bindings, index === 0 ? secrets : {})
    const modules = [{ type: 'ESModule' as const, path: main }]
    return { ...workerOptions, name: config.name, modules, modulesRoot: dirname(main), bindings }
  })
  const options = convertV4MiniflareOptions({
    workers,
    cf: false,
    unsafeTriggerHandlers: true,
    handleStructuredLogs: ({ message }) => lines.push(message),
  })
  return { miniflare: new Miniflare(options), lines }
}

/**
 * Starts the host: a process that has loaded wrangler once, for all test files. Returns it and its
 * address. It ends all Workers when it is disconnected.
 */
export async function startWorkerHost(): Promise<{ child: ChildProcess; address: string }> {
  const child = fork(import.meta.filename, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const [address] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`The host of the Workers ended with code ${code}.`)
    }),
  ])
  return { child, address: String(address) }
}

if (import.meta.main) {
  const workers = new Map<string, RunningWorker>()
  const found = (port: string): RunningWorker => {
    const worker = workers.get(port)
    if (worker === undefined) throw new Error(`No Worker has port ${port}.`)
    return worker
  }
  const host: WorkerHost = {
    async start(options) {
      const worker = createWorker(options)
      const { port } = await worker.miniflare.ready
      workers.set(port, worker)
      return port
    },
    logs: async (port) => found(port).lines.join('\n'),
    async close(port) {
      await found(port).miniflare.dispose()
      workers.delete(port)
    },
  }
  const server = serveCalls(host).listen(0, '127.0.0.1')
  await once(server, 'listening')
  process.once('disconnect', async () => {
    await Promise.all([...workers.values()].map(({ miniflare }) => miniflare.dispose()))
    process.exit()
  })
  process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}
