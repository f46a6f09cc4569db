import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A port that stays the same while the server behind it ends and starts again on another port. */
export interface Forwarder {
  readonly port: number
  /** Ends all connections. */
  cut(): void
  close(): Promise<void>
}

/**
 * Passes connections to `port` on to `targetPort`. When nothing listens there, they end
 * immediately. When it is 0, they get no answer.
 */
export async function startForwarder(targetPort: () => number, port = 0): Promise<Forwarder> {
  const sockets = new Set<Socket>()
  const keep = (socket: Socket) => sockets.add(socket.on('close', () => sockets.delete(socket)))
  const server = createServer((incoming) => {
    keep(incoming)
    if (targetPort() === 0) {
      incoming.on('error', () => {})
      return
    }
    const outgoing = connect(targetPort(), 'localhost')
    keep(outgoing)
    for (const [one, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      one.pipe(other)
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  }).listen(port, 'localhost')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The port is unknown.')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: address.port,
    cut,
    async close() {
      const closed = once(server, 'close')
      server.close()
      cut()
      await closed
    },
  }
}
