import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { freePort } from '../../../cli/ports.ts'

/** A request to the Worker. */
export interface ApiCall {
  readonly method: string
  /** With its query. */
  readonly path: string
}

/** `cut`: the Worker gets nothing. `lost`: the Worker answers, but nobody gets the response. */
export type ApiFailure = 'cut' | 'lost'

/** A proxy in front of the Worker that lets tests see its requests and cause errors. */
export interface ApiProxy {
  readonly origin: string
  readonly calls: ApiCall[]
  failure: (call: ApiCall) => ApiFailure | null
  reset(): void
  close(): Promise<void>
}

export async function startApiProxy(target: string): Promise<ApiProxy> {
  const port = await freePort()
  const { port: targetPort } = new URL(target)
  const server = createServer({ keepAliveTimeout: 0 }, (incoming, outgoing) => {
    const { method = '', url: path = '', headers } = incoming
    proxy.calls.push({ method, path })
    const failure = proxy.failure({ method, path })
    if (failure === 'cut') {
      incoming.socket.destroy()
      return
    }
    const passed = request(
      { host: 'localhost', port: targetPort, path, method, headers },
      (answer) => {
        if (failure === 'lost') {
          answer.resume().once('end', () => incoming.socket.destroy())
          return
        }
        outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
        answer.pipe(outgoing)
      },
    )
    passed.on('error', () => outgoing.destroy())
    incoming.pipe(passed)
  }).listen(port, '127.0.0.1')
  const proxy: ApiProxy = {
    origin: `http://127.0.0.1:${port}`,
    calls: [],
    failure: () => null,
    reset() {
      proxy.calls.length = 0
      proxy.failure = () => null
    },
    async close() {
      server.closeAllConnections()
      await server[Symbol.asyncDispose]()
    },
  }
  await once(server, 'listening')
  return proxy
}
