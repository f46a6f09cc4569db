import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** A request that a command has sent, with its JSON. */
export interface Asked {
  readonly method: string
  readonly path: string
  readonly body: {
    readonly cursor?: string
    readonly before?: string
    readonly [name: string]: unknown
  }
}

export interface ScriptedWorker extends AsyncDisposable {
  readonly origin: string
  readonly asked: Asked[]
}

/** Starts a server that answers each request in turn, and keeps what was asked. Without an answer, it never answers. */
export async function scriptedWorker(
  answers: readonly (((response: ServerResponse) => unknown) | undefined)[],
): Promise<ScriptedWorker> {
  const asked: Asked[] = []
  const server = createServer(async (request, response) => {
    const body = await text(request)
    const { method = '', url: path = '' } = request
    asked.push({ method, path, body: body === '' ? {} : JSON.parse(body) })
    await answers[asked.length - 1]?.(response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
