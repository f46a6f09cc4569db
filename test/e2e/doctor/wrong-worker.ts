import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ORIGIN } from './run.ts'

export interface Reply {
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly body?: unknown
}

/** The response to a request. Undefined means the correct response, and null means none. */
export type Wrong = (path: string, request: IncomingMessage) => Reply | null | undefined

export const WORKER_HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'X-Request-Id': 'id',
  Vary: 'Origin',
}

function rightReply(path: string, { method, headers }: IncomingMessage): Reply {
  if (method === 'OPTIONS') {
    if (headers.origin !== ORIGIN) return { status: 404 }
    return {
      status: 204,
      headers: {
        'Access-Control-Allow-Origin': ORIGIN,
        'Access-Control-Allow-Headers': 'authorization,content-type',
      },
    }
  }
  switch (path) {
    case '/healthz':
      return { body: { status: 'ok', edgeCache: true, images: true }, headers: WORKER_HEADERS }
    case '/openapi.json':
      return { body: { info: { version: '0.1.0' } } }
    case '/':
      return {
        headers: {
          'Content-Type': 'text/html',
          'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
        },
      }
    default:
      return { status: path.startsWith('/files') ? 401 : 404 }
  }
}

/** Starts a server that answers like the Worker, except for `wrong`. */
export async function startWorker(wrong: Wrong = () => undefined) {
  const server = createServer((request, response) => {
    const path = (request.url ?? '').replace(/\?.*/, '')
    const own = wrong(path, request)
    if (own === null) return
    const { status = 200, headers = {}, body = '' } = own ?? rightReply(path, request)
    response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
