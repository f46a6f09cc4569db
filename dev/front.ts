import { once } from 'node:events'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http'
import { isLoopbackHost } from './loopback.ts'

/** They speak of one connection, not of the request (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'upgrade', 'expect']

export interface FrontOptions {
  /** Where it listens, on both loopback addresses. */
  readonly port: number
  /** Where `wrangler dev` listens on 127.0.0.1. */
  readonly workerPort: number
  /** The API key that a request from this machine gets. */
  readonly apiKey: string
}

/** What answers for the Worker on the developer's port. */
export interface Front {
  close(): Promise<void>
}

/**
 * Starts an HTTP proxy in front of `wrangler dev`, which believes a client's `MF-*` headers, the
 * URL of the request among them. The proxy drops those headers, refuses a Host that isn't
 * this machine, and gives the API key to requests that bring no credential, unless they come from a
 * page of a foreign origin. Everything else passes as it is.
 */
export async function startFront({ port, workerPort, apiKey }: FrontOptions): Promise<Front> {
  const listener: RequestListener = (incoming, outgoing) => {
    if (!isLoopbackHost(incoming.headers.host)) {
      outgoing.writeHead(403, { 'Content-Type': 'text/plain', Connection: 'close' })
      outgoing.end('"npm run dev" answers for localhost only.\n')
      return
    }
    const { method, url } = incoming
    const headers = passedHeaders(incoming.rawHeaders, (name) => !name.startsWith('mf-'))
    if (mayHaveKey(incoming)) headers.push('Authorization', `Bearer ${apiKey}`)
    const passed = httpRequest(
      { host: '127.0.0.1', port: workerPort, path: url, method, headers, agent: false },
      (answer) => {
        outgoing.writeHead(
          answer.statusCode ?? 502,
          answer.statusMessage,
          passedHeaders(answer.rawHeaders),
        )
        answer.on('error', () => outgoing.destroy())
        answer.pipe(outgoing)
      },
    )
    passed.on('error', () => {
      if (outgoing.headersSent) outgoing.destroy()
      else outgoing.writeHead(502, { 'Content-Type': 'text/plain' }).end('No Worker answers yet.\n')
    })
    outgoing.on('close', () => passed.destroy())
    incoming.pipe(passed)
  }
  const servers = [await listen(createServer(listener), port, '127.0.0.1')]
  const ipv6 = await listen(createServer(listener), port, '::1').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code !== 'EADDRINUSE') return undefined
    throw error
  })
  if (ipv6 !== undefined) servers.push(ipv6) // a machine may have no IPv6
  return {
    async close() {
      for (const server of servers) {
        server.close()
        server.closeAllConnections()
      }
    },
  }
}

/** A page sends its Origin along with whatever changes something or is read across origins. */
const mayHaveKey = ({ headers: { authorization, origin } }: IncomingMessage): boolean =>
  authorization === undefined &&
  (origin === undefined || isLoopbackHost(/^https?:\/\/([^/]+)$/.exec(origin)?.[1]))

/** Names and values in turns, as Node takes and gives them. */
const passedHeaders = (
  rawHeaders: readonly string[],
  passes: (name: string) => boolean = () => true,
): string[] => {
  const headers: string[] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    const lowerCase = name.toLowerCase()
    if (!HOP_BY_HOP.includes(lowerCase) && passes(lowerCase))
      headers.push(name, rawHeaders[i + 1] ?? '')
  }
  return headers
}

async function listen(server: Server, port: number, host: string): Promise<Server> {
  server.listen(port, host)
  await once(server, 'listening')
  return server
}
