import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { LoadGenerator } from './load.ts'
import type { RunningServer } from './workerd.ts'

/** A server that reports how much its JavaScript heap has allocated. */
export interface TracedServer extends RunningServer {
  /** Megabytes that V8 allocated up to its last collection. */
  allocatedMegabytes(): number
}

/**
 * Makes V8 write a line for each collection. A young generation of 1 MiB makes them frequent, so
 * that little is uncounted after the last one.
 */
export const TRACE_FLAGS = ['--trace-gc', '--max-semi-space-size=1']

/** `Scavenge 2.6 (4.5) -> 1.9 (4.5) MB`, `Mark-Compact 38.2 (58.5) -> 0.5 (28.2) MB`. */
const COLLECTION = /: [A-Z][\w-]+(?: \([\w ]+\))? ([\d.]+) \([\d.]+\) -> ([\d.]+) \([\d.]+\) MB/

/**
 * Adds up the growth of the heap between collections, from the lines that V8 writes to `stdout`.
 */
export function countAllocation(stdout: Readable): TracedServer['allocatedMegabytes'] {
  let allocated = 0
  let afterLast = 0
  createInterface(stdout).on('line', (line) => {
    const [, before, after] = COLLECTION.exec(line) ?? []
    if (before === undefined || after === undefined) return
    allocated += Number(before) - afterLast
    afterLast = Number(after)
  })
  return () => allocated
}

const WARM_UP_REQUESTS = 5000
const COUNTED_REQUESTS = 10_000

/** Returns the kilobytes that one request allocates after V8 has compiled the code. */
export async function allocatedKilobytes(
  generator: LoadGenerator,
  server: TracedServer,
  requests: readonly string[],
): Promise<number> {
  const load = (count: number) =>
    generator.load(server, { requests, connections: 16, seconds: 600, count })
  await load(WARM_UP_REQUESTS)
  const before = server.allocatedMegabytes()
  await load(COUNTED_REQUESTS)
  const megabytes = server.allocatedMegabytes() - before
  if (megabytes === 0) throw new Error('V8 reported no collections.')
  return (megabytes * 1024) / COUNTED_REQUESTS
}
