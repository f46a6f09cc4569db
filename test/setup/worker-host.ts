import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createTestHarness, type TestHarness } from 'wrangler'
import { serveCalls } from './calls.ts'

export interface HostedWorkerOptions {
  readonly root: string
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

/** Starts a Worker in this process. */
export function createWorker({
  root,
  configPath,
  others,
  secrets,
}: HostedWorkerOptions): TestHarness {
  const beside = others.map((path) => ({ configPath: path }))
  return createTestHarness({
    root,
    workers: [{ configPath, secrets: { ...secrets } }, ...beside],
  })
}

export const logsOf = (harness: TestHarness): string =>
  harness
    .getLogs()
    .map(({ message }) => message)
    .join('\n')

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
  const harnesses = new Map<string, TestHarness>()
  const found = (port: string): TestHarness => {
    const harness = harnesses.get(port)
    if (harness === undefined) throw new Error(`No Worker has port ${port}.`)
    return harness
  }
  const host: WorkerHost = {
    async start(options) {
      const harness = createWorker(options)
      const { port } = (await harness.listen()).url
      harnesses.set(port, harness)
      return port
    },
    logs: async (port) => logsOf(found(port)),
    async close(port) {
      await found(port).close()
      harnesses.delete(port)
    },
  }
  const server = serveCalls(host).listen(0, '127.0.0.1')
  await once(server, 'listening')
  process.once('disconnect', async () => {
    await Promise.all([...harnesses.values()].map((harness) => harness.close()))
    process.exit()
  })
  process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}
