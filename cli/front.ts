import { once } from 'node:events'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http'
import { performance } from 'node:perf_hooks'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import * as z from 'zod/mini'
import { withoutUrls } from '../src/errors/describe.ts'
import { type Callers, isKnownHost, isKnownOrigin } from './loopback.ts'

/** Headers that apply to one connection, not to the request (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'upgrade', 'expect']

export interface FrontOptions {
  /** The port on both loopback addresses and on the address of `callers`. */
  readonly port: number
  /** The port of `wrangler dev` on 127.0.0.1. */
  readonly workerPort: number
  /** The Worker's own origin, which is in its `CORS_ORIGINS`. */
  readonly origin: string
  /** Who gets the key. Pages of these origins may read the responses. */
  readonly callers: Callers
  /** The API key that a request without a credential gets. */
  readonly apiKey: string
  /** Whether other machines also get the key. */
  readonly keyForNetwork: boolean
  /** Called with a line about each finished request, and before it with one about its failure. */
  readonly log: (line: string) => void
}

/** The proxy on the developer's port. */
export interface Front {
  close(): Promise<void>
}

/**
 * Starts an HTTP proxy in front of `wrangler dev`, which trusts `MF-*` headers from clients, even
 * for the URL of the request. The proxy removes those headers, and refuses a Host that doesn't name
 * this machine. It adds the API key to requests without a credential, unless they come from a page
 * of a foreign origin. It replaces the Origin of known pages with the Worker's own, so that the
 * Worker doesn't need their ports. Everything else passes unchanged.
 */
export async function startFront(options: FrontOptions): Promise<Front> {
  const { port, callers } = options
  const listener: RequestListener = (incoming, outgoing) => {
    const started = performance.now()
    let failure: () => string | undefined = () => undefined
    outgoing.once('close', () => {
      const ms = Math.round(performance.now() - started)
      const status = outgoing.headersSent ? outgoing.statusCode : 'cut off'
      const reason = failure()
      if (reason !== undefined) options.log(`  ${reason}`)
      options.log(`${incoming.method} ${shownPath(incoming.url)} ${status} ${ms} ms`)
    })
    const explain = (reason: () => string | undefined) => {
      failure = reason
    }
    if (isKnownHost(incoming.headers.host, callers))
      return pass(incoming, outgoing, options, explain)
    explain(() => 'The Host header does not name this machine.')
    outgoing.writeHead(403, { 'Content-Type': 'text/plain', Connection: 'close' })
    outgoing.end(
      '"edge-presigner dev" accepts requests to localhost only. Use --host to open it to your network.\n',
    )
  }
  const servers = [await listen(createServer(listener), port, '127.0.0.1')]
  if (callers.host !== undefined)
    servers.push(await listen(createServer(listener), port, callers.host))
  const ipv6 = await listen(createServer(listener), port, '::1').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code !== 'EADDRINUSE') return undefined
    throw error
  })
  if (ipv6 !== undefined) servers.push(ipv6) // some machines have no IPv6
  return {
    async close() {
      for (const server of servers) {
        server.close()
        server.closeAllConnections()
      }
    },
  }
}

/**
 * Forwards a request to the Worker, and sends back the response. `explain` gets a function that
 * tells, after the response, why the request failed.
 */
function pass(
  incoming: Parameters<RequestListener>[0],
  outgoing: Parameters<RequestListener>[1],
  { workerPort, origin: ownOrigin, callers, apiKey, keyForNetwork }: FrontOptions,
  explain: (failure: () => string | undefined) => void,
): void {
  const { method, url } = incoming
  const { authorization, origin } = incoming.headers
  const page = origin ?? embeddingPage(incoming)
  const isKnown = origin !== undefined && isKnownOrigin(origin, callers)
  const headers = passedHeaders(
    incoming.rawHeaders,
    (name) => !name.startsWith('mf-') && !(isKnown && name === 'origin'),
  )
  if (isKnown) headers.push('Origin', ownOrigin)
  const isForeign = page !== undefined && !isKnownOrigin(page, callers)
  const mayHaveKey = !isForeign && (keyForNetwork || isFromHere(incoming))
  if (authorization === undefined && mayHaveKey) headers.push('Authorization', `Bearer ${apiKey}`)

  const passed = httpRequest(
    { host: '127.0.0.1', port: workerPort, path: url, method, headers, agent: false },
    (answer) => {
      // In response headers, wrangler replaces the Worker's origin with its own address.
      const answered = passedHeaders(answer.rawHeaders).map((value) =>
        value.replaceAll(`http://127.0.0.1:${workerPort}`, ownOrigin),
      )
      const isAllowed = (name: string) => name.toLowerCase() === 'access-control-allow-origin'
      const allowed = answered.findIndex(isAllowed) + 1
      if (isKnown && allowed > 0 && answered[allowed] === ownOrigin) answered[allowed] = origin
      outgoing.writeHead(answer.statusCode ?? 502, answer.statusMessage, answered)
      if (
        answer.statusCode === 401 &&
        authorization === undefined &&
        isForeign &&
        !url?.startsWith('/u/') // its credential is in the path
      )
        explain(() => `${method}: ${notLetIn(page, callers)}`)
      else if (isClientError(answer.statusCode)) {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        explain(() => failureIn(Buffer.concat(chunks), answer.headers['content-encoding']))
      }
      answer.on('error', () => outgoing.destroy())
      answer.pipe(outgoing)
    },
  )
  passed.on('error', () => {
    if (outgoing.headersSent) outgoing.destroy()
    else {
      explain(() => 'The Worker does not respond.')
      outgoing
        .writeHead(502, { 'Content-Type': 'text/plain' })
        .end('The Worker does not respond.\n')
    }
  })
  outgoing.on('close', () => passed.destroy())
  incoming.pipe(passed)
}

/** Tells whether the Worker's own log lacks the message of this failure. */
const isClientError = (status = 0): boolean => status >= 400 && status < 500

/** Says why a page of `origin` gets no key, and what lets it in. */
function notLetIn(origin: string, callers: Callers): string {
  const url = URL.parse(origin)
  if (url === null || url.origin !== origin || !/^https?:$/.test(url.protocol))
    return 'pages without an origin are not let in, such as a file that a browser opens'
  return url.port === `${callers.bucketPort}`
    ? `pages in the bucket (${origin}) are not let in`
    : `pages of ${origin} are not let in: restart with --origin ${origin}`
}

/** What the log needs of an error in JSON (docs/api.md). */
const errorSchema = z.object({
  code: z.string(),
  message: z.string(),
  issues: z._default(z.array(z.object({ path: z.string(), message: z.string() })), []),
})

/** Returns the code and the message of an error in JSON or in S3's XML, without its URLs. */
function failureIn(body: Buffer, encoding: string | undefined): string | undefined {
  try {
    const text = DECODERS[encoding ?? '']?.(body).toString() ?? body.toString()
    const [, xmlCode, xmlMessage] =
      /<Code>([^<]*)<\/Code>\s*<Message>([^<]*)<\/Message>/.exec(text) ?? []
    if (xmlCode !== undefined) return oneLine(`${xmlCode}: ${xmlMessage}`)
    const { code, message, issues } = errorSchema.parse(JSON.parse(text))
    return oneLine([`${code}: ${message}`, ...issues.map(issueText)].join(' '))
  } catch {
    return undefined // not an error of the Worker
  }
}

const issueText = ({ path, message }: { path: string; message: string }): string =>
  `${path}: ${message}.`

const DECODERS: Readonly<Record<string, (body: Buffer) => Buffer>> = {
  br: brotliDecompressSync,
  gzip: gunzipSync,
}

const MAX_FAILURE_CHARACTERS = 400

/** A message can contain a client's text, even text that moves the cursor of a terminal. */
const oneLine = (text: string): string =>
  withoutUrls(text)
    .replace(/\p{C}+/gu, ' ')
    .slice(0, MAX_FAILURE_CHARACTERS)

/**
 * Returns the origin of a page of another site that embeds or links to this URL. A browser sends no
 * Origin then.
 */
function embeddingPage({ headers }: IncomingMessage): string | undefined {
  if (headers['sec-fetch-site'] !== 'cross-site') return undefined
  const { referer = '' } = headers
  return URL.canParse(referer) ? new URL(referer).origin : 'null'
}

/** Tells whether a request comes from this machine, independent of its Host. */
const isFromHere = ({ socket }: IncomingMessage): boolean =>
  socket.remoteAddress !== undefined && socket.remoteAddress === socket.localAddress

/**
 * Returns the path for the log, without a token or the secret of a page, and without the query, which may contain a
 * signature.
 */
const shownPath = (url = ''): string =>
  url.replace(/\?.*$/s, '').replace(/^\/([ugd])\/[^/]+/, '/$1/…')

/** Returns names and values in turn, the format of Node's raw headers. */
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
