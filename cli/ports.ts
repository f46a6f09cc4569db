import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Another program listens on the port. */
export class PortInUseError extends Error {
  override readonly name = 'PortInUseError'
}

/**
 * Throws PortInUseError unless `port` is free on both loopback addresses. `option` is the flag that
 * sets the port.
 */
export async function requireFreePort(port: number, option: string): Promise<void> {
  for (const host of ['127.0.0.1', '::1'])
    if (!(await isFree(port, host)))
      throw new PortInUseError(
        `Port ${port} is in use. Stop the program that listens there, or choose another port with ${option} N.`,
      )
}

/**
 * Returns a port that is free at this moment. It is below the range for outgoing connections
 * (Linux: from 32768), so none of them can use the port before its server starts.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_768)
    if ((await isFree(port, '127.0.0.1')) && (await isFree(port, '::1'))) return port
  }
}

/**
 * Tells whether a server can listen there. An address that the machine doesn't have (no IPv6)
 * counts as free.
 */
async function isFree(port: number, host: string): Promise<boolean> {
  const server = createServer().listen(port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')
  }
  server.close()
  await once(server, 'close')
  return true
}
