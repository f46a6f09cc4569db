/** A request of Node's `http`, as far as the handler needs it. Express adds `originalUrl`. */
export interface NodeRequest extends AsyncIterable<Uint8Array<ArrayBuffer>> {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly originalUrl?: string | undefined
  /** Names and values, one after another. */
  readonly rawHeaders: readonly string[]
  readonly headers: { readonly host?: string | undefined }
  /** Has `encrypted: true` with TLS. Node's types name that member only for such a socket. */
  readonly socket: object
  /** Whether somebody has read its body. */
  readonly readableDidRead: boolean
}

/** A response of Node's `http`, as far as the handler needs it. */
export interface NodeResponse {
  statusCode: number
  setHeader(name: string, value: string | readonly string[]): unknown
  write(chunk: Uint8Array): boolean
  end(): unknown
  destroy(): unknown
  once(event: 'drain' | 'close', listener: () => void): unknown
}

/** Node's request and response, as the type of `env` says. */
type Incoming<B> = B extends { readonly incoming: infer In extends NodeRequest } ? In : NodeRequest
type Outgoing<B> = B extends { readonly outgoing: infer Out extends NodeResponse }
  ? Out
  : NodeResponse

/** A host name or an address, with an optional port. */
const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i
const BAD_TARGET = 'The Host header or the URL is malformed.'
const READ_BEFORE =
  'The body was read before the presigner, as express.json() does. Register the presigner before it.'

/** An error that the client may read, with the status that Express uses. */
class HandlerError extends Error {
  readonly status: number

  constructor(message: string, status: number) {
    super(message)
    this.status = status
  }
}

/**
 * Returns a handler for Node's `http`, and for Express at the path of `basePath`:
 * `app.use('/api/media', toNodeHandler(media))`. Without `given`, such as `process.env`, `env` has Node's own
 * `incoming` and `outgoing`. Ends with an error, which Express gets by `next`, or else the client, if something has read the body.
 */
export const toNodeHandler =
  <B extends object>(
    presigner: { fetch(request: Request, env: B): Promise<Response> },
    given?: B,
  ) =>
  async (
    incoming: Incoming<B>,
    outgoing: Outgoing<B>,
    next?: (error: unknown) => void,
  ): Promise<void> => {
    try {
      const gone = new AbortController()
      outgoing.once('close', () => gone.abort())
      const request = requestOf(incoming, gone.signal)
      // Without `given`, the type of `env` has at most these members.
      const env = given ?? ({ incoming, outgoing } as unknown as B)
      await send(await presigner.fetch(request, env), outgoing, gone.signal)
    } catch (error) {
      if (next) return next(error)
      const known = error instanceof HandlerError ? error : null
      outgoing.statusCode = known?.status ?? 500
      outgoing.setHeader('Content-Type', 'text/plain')
      outgoing.write(new TextEncoder().encode(known?.message ?? 'Internal error.'))
      outgoing.end()
    }
  }

function requestOf(incoming: NodeRequest, signal: AbortSignal): Request {
  const { method = 'GET', url = '/', originalUrl = url, rawHeaders, socket } = incoming
  const isEncrypted = 'encrypted' in socket && socket.encrypted === true
  const { host = 'localhost' } = incoming.headers
  // Most servers accept a whole URL as well (RFC 9112, section 3.2.2).
  const target = originalUrl.replace(/^https?:\/\/[^/?#]*/i, '')
  // Anything else could change the path that a middleware of the app has seen.
  if (!HOST.test(host) || !target.startsWith('/')) throw new HandlerError(BAD_TARGET, 400)
  const headers = new Headers()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const [name = '', value = ''] = rawHeaders.slice(i, i + 2)
    // HTTP/2 has the method and the path there.
    if (!name.startsWith(':')) headers.append(name, value)
  }
  const hasBody = method !== 'GET' && method !== 'HEAD'
  if (hasBody && incoming.readableDidRead) throw new HandlerError(READ_BEFORE, 500)
  return new Request(`${isEncrypted ? 'https' : 'http'}://${host}${target}`, {
    method,
    headers,
    signal,
    ...(hasBody && { body: bodyOf(incoming), duplex: 'half' }),
  })
}

/** Returns the body, which is read as fast as somebody asks for it. */
function bodyOf(incoming: NodeRequest): ReadableStream<Uint8Array> {
  const chunks = incoming[Symbol.asyncIterator]()
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next()
      if (done) controller.close()
      else controller.enqueue(new Uint8Array(value))
    },
  })
}

/** Sends a response as fast as the client takes it, and cancels its body when the client has gone. */
async function send(response: Response, outgoing: NodeResponse, gone: AbortSignal): Promise<void> {
  outgoing.statusCode = response.status
  for (const [name, value] of response.headers)
    if (name !== 'set-cookie') outgoing.setHeader(name, value)
  const cookies = response.headers.getSetCookie()
  if (cookies.length > 0) outgoing.setHeader('set-cookie', cookies)
  const reader = response.body?.getReader()
  gone.addEventListener('abort', () => void reader?.cancel().catch(() => undefined))
  try {
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
      if (done || gone.aborted) break
      if (!outgoing.write(value))
        await new Promise<void>((resolve) => {
          outgoing.once('drain', resolve)
          gone.addEventListener('abort', () => resolve(), { once: true })
        })
    }
    outgoing.end()
  } catch {
    // The client must not take a part for the whole.
    outgoing.destroy()
  }
}
