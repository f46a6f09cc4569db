import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A port that stays the same while the server behind it ends and starts again on another port. */
export interface Forwarder {
  readonly port: number
  close(): Promise<void>
}

/** Passes connections on to `targetPort`. When nothing listens there, they end immediately. */
export async function startForwarder(targetPort: () => number): Promise<Forwarder> {
  const sockets = new Set<Socket>()
  const server = createServer((incoming) => {
    const outgoing = connect(targetPort(), 'localhost')
    for (const [one, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      sockets.add(one)
      one.pipe(other)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
    }
  }).listen(0, 'localhost')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The port is unknown.')
  return {
    port: address.port,
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
