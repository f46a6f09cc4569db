import { once } from 'node:events'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http'
import { performance } from 'node:perf_hooks'
import { type Callers, isKnownHost, isKnownOrigin } from './loopback.ts'

/** They speak of one connection, not of the request (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'upgrade', 'expect']

export interface FrontOptions {
  /** Where it listens: on both loopback addresses, and on the address of `callers`. */
  readonly port: number
  /** Where `wrangler dev` listens on 127.0.0.1. */
  readonly workerPort: number
  /** The origin that the Worker takes for its own, and that its `CORS_ORIGINS` has. */
  readonly origin: string
  /** Who gets the key, and may read the answers in a page. */
  readonly callers: Callers
  /** The API key that a request without a credential gets. */
  readonly apiKey: string
  /** Whether other machines get the key, too. */
  readonly keyForNetwork: boolean
  /** Takes a line about each request that was answered. */
  readonly log: (line: string) => void
}

/** What answers for the Worker on the developer's port. */
export interface Front {
  close(): Promise<void>
}

/**
 * Starts an HTTP proxy in front of `wrangler dev`, which believes a client's `MF-*` headers, the
 * URL of the request among them. The proxy drops those headers, refuses a Host that doesn't name
 * this machine, and gives the API key to requests that bring no credential, unless they come from a
 * page of a foreign origin. To the Worker all pages that may call it have its own origin: so it
 * need not know their ports. Everything else passes as it is.
 */
export async function startFront(options: FrontOptions): Promise<Front> {
  const { port, callers } = options
  const listener: RequestListener = (incoming, outgoing) => {
    const started = performance.now()
    outgoing.once('close', () => {
      const ms = Math.round(performance.now() - started)
      const status = outgoing.headersSent ? outgoing.statusCode : 'cut off'
      options.log(`${incoming.method} ${shownPath(incoming.url)} ${status} ${ms} ms`)
    })
    if (isKnownHost(incoming.headers.host, callers)) return pass(incoming, outgoing, options)
    outgoing.writeHead(403, { 'Content-Type': 'text/plain', Connection: 'close' })
    outgoing.end('"npm run dev" answers for localhost only; --host opens it to your network.\n')
  }
  const servers = [await listen(createServer(listener), port, '127.0.0.1')]
  if (callers.host !== undefined)
    servers.push(await listen(createServer(listener), port, callers.host))
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

/** Passes a request on to the Worker, and its answer back. */
function pass(
  incoming: Parameters<RequestListener>[0],
  outgoing: Parameters<RequestListener>[1],
  { workerPort, origin: ownOrigin, callers, apiKey, keyForNetwork }: FrontOptions,
): void {
  const { method, url } = incoming
  const { authorization, origin } = incoming.headers
  const isKnown = origin !== undefined && isKnownOrigin(origin, callers)
  const headers = passedHeaders(
    incoming.rawHeaders,
    (name) => !name.startsWith('mf-') && !(isKnown && name === 'origin'),
  )
  if (isKnown) headers.push('Origin', ownOrigin)
  // A page sends its Origin along with whatever changes something or is read across origins.
  const mayHaveKey = (origin === undefined || isKnown) && (keyForNetwork || isFromHere(incoming))
  if (authorization === undefined && mayHaveKey) headers.push('Authorization', `Bearer ${apiKey}`)

  const passed = httpRequest(
    { host: '127.0.0.1', port: workerPort, path: url, method, headers, agent: false },
    (answer) => {
      // wrangler puts its own address in place of the Worker's origin in the headers of answers.
      const answered = passedHeaders(answer.rawHeaders).map((value) =>
        value.replaceAll(`http://127.0.0.1:${workerPort}`, ownOrigin),
      )
      const allowed = answered.indexOf('Access-Control-Allow-Origin') + 1
      if (isKnown && answered[allowed] === ownOrigin) answered[allowed] = origin
      outgoing.writeHead(answer.statusCode ?? 502, answer.statusMessage, answered)
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

/** Whether a request comes from this machine, whatever its Host says. */
const isFromHere = ({ socket }: IncomingMessage): boolean =>
  socket.remoteAddress !== undefined && socket.remoteAddress === socket.localAddress

/** The path for the log: no query, which may hold a signature, and no token. */
const shownPath = (url = ''): string => url.replace(/\?.*$/s, '').replace(/^\/u\/[^/]+/, '/u/…')

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
