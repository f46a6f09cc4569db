import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http'
import { freePort } from '../../../cli/ports.ts'

/** A request from the page to the bucket. */
export interface BucketRequest {
  readonly method: string
  readonly key: string
  /** These two are empty when the request is not for one part. */
  readonly partNumber: number
  readonly s3UploadId: string
  readonly headers: IncomingHttpHeaders
  /** The status of the response, when there is one. */
  status?: number
}

/**
 * The error: the connection ends, the body is lost although the response reports success, or the
 * response is an error with that status.
 */
export type Failure = 'cut' | 'lost' | number | null

export interface BucketProxyOptions {
  /**
   * Sends parts one after the other, because Ceph RGW 18 on its SQLite store loses some of the
   * parts that arrive at the same time.
   */
  readonly partsInTurn: boolean
  /** Tells the requests of the client under test from those of the Worker. Default: those of a page. */
  readonly isClient?: (incoming: IncomingMessage) => boolean
}

/** A server in front of the bucket that lets tests see its requests and cause errors. */
export interface BucketProxy {
  readonly endpoint: string
  /** The requests from the page, without preflights. */
  readonly requests: BucketRequest[]
  /** Decides on each request, and may delay it. */
  failure: (request: BucketRequest) => Failure | Promise<Failure>
  /** Resets both. */
  reset(): void
  close(): Promise<void>
}

/**
 * Passes requests on to `endpoint` unchanged, including the Host header, so that signatures stay
 * valid.
 */
export async function startBucketProxy(
  endpoint: string,
  {
    partsInTurn,
    isClient = ({ method, headers }) => method !== 'OPTIONS' && headers.origin !== undefined,
  }: BucketProxyOptions,
): Promise<BucketProxy> {
  let turn = Promise.resolve()
  const port = await freePort()
  const targetPort = Number(new URL(endpoint).port)
  const server = createServer({ keepAliveTimeout: 0 }, async (incoming, outgoing) => {
    if (!isClient(incoming)) {
      pass(incoming, outgoing, targetPort)
      return
    }
    const known = toBucketRequest(incoming)
    proxy.requests.push(known)
    outgoing.once('finish', () => {
      known.status = outgoing.statusCode
    })
    const failure = await proxy.failure(known)
    if (incoming.destroyed) return
    if (failure === 'cut') incoming.socket.destroy()
    else if (failure !== null) answer(incoming, outgoing, failure)
    else {
      const inTurn = partsInTurn && known.partNumber > 0
      if (inTurn) {
        const previous = turn
        turn = new Promise((resolve) => outgoing.once('close', () => resolve()))
        await previous
      }
      pass(incoming, outgoing, targetPort)
    }
  }).listen(port, '127.0.0.1')
  const proxy: BucketProxy = {
    endpoint: `http://127.0.0.1:${port}`,
    requests: [],
    failure: () => null,
    reset() {
      proxy.requests.length = 0
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

function toBucketRequest({ method = '', url = '/', headers }: IncomingMessage): BucketRequest {
  const { pathname, searchParams } = new URL(url, 'http://proxy')
  return {
    method,
    key: decodeURIComponent(pathname.split('/').slice(2).join('/')),
    partNumber: Number(searchParams.get('partNumber') ?? Number.NaN),
    s3UploadId: searchParams.get('uploadId') ?? '',
    headers,
  }
}

/** A browser reads the response after it has sent everything. */
function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  failure: number | 'lost',
): void {
  const cors = { 'Access-Control-Allow-Origin': '*', 'Access-Control-Expose-Headers': 'ETag' }
  incoming.resume().once('end', () => {
    if (failure === 'lost') outgoing.writeHead(200, { ...cors, ETag: '"0123"' }).end()
    else outgoing.writeHead(failure, cors).end('<Error><Code>MadeUp</Code></Error>')
  })
}

function pass(incoming: IncomingMessage, outgoing: ServerResponse, port: number): void {
  const { method, url, headers } = incoming
  const passed = request({ host: '127.0.0.1', port, path: url, method, headers }, (response) => {
    outgoing.writeHead(response.statusCode ?? 502, response.rawHeaders)
    response.pipe(outgoing)
    // The server may stop reading when it refuses a request. A browser reads the response after it
    // has sent everything.
    incoming.unpipe(passed).resume()
  })
  passed.on('error', () => outgoing.destroy())
  incoming.on('error', () => passed.destroy())
  incoming.pipe(passed)
}
