import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** A port of the loopback interface was asked for that another program listens on. */
export class PortInUseError extends Error {
  override readonly name = 'PortInUseError'
}

/**
 * Throws PortInUseError unless `port` is free on both loopback addresses; `option` is the flag that
 * chooses another.
 */
export async function requireFreePort(port: number, option: string): Promise<void> {
  for (const host of ['127.0.0.1', '::1'])
    if (!(await isFree(port, host)))
      throw new PortInUseError(
        `Port ${port} is in use: end the program that listens there, or choose another port with ${option} N.`,
      )
}

/**
 * A port that nothing listens on at this moment. It is below the ports that systems give to
 * outgoing connections (Linux: from 32768), so none of these takes it before its server starts.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_768)
    if ((await isFree(port, '127.0.0.1')) && (await isFree(port, '::1'))) return port
  }
}

/**
 * Whether a server could listen there. An address that the machine lacks (no IPv6) counts as free.
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
