import { createServer, type Server, type ServerResponse } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'

const ETAG = '"0123456789abcdef0123456789abcdef"'

const headers = (length?: number) => ({
  'Content-Type': 'image/png',
  ...(length === undefined ? {} : { 'Content-Length': String(length) }),
  'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT',
  ETag: ETAG,
})

/** 50 MB of one repeated byte, compressed to about 50 KB. */
const bomb = gzipSync(Buffer.alloc(50_000_000, 'A'), { level: 9 })

/** The server's behavior, by the first segment of the object key. */
const FAILURES: Readonly<
  Record<string, (response: ServerResponse, hit: number, detail: string) => Promise<void>>
> = {
  /** An error with that status. */
  async 403(response) {
    response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>')
  },
  async 404(response) {
    response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>')
  },
  async 500(response) {
    response.writeHead(500).end('<Error><Code>InternalError</Code></Error>')
  },
  /** A busy bucket, and a missing one. */
  async busy(response) {
    const error = '<Error><Code>SlowDown</Code><Message>canary</Message></Error>'
    response.writeHead(503, { 'Retry-After': '7' }).end(error)
  },
  async 'no-bucket'(response) {
    response.writeHead(404).end('<Error><Code>NoSuchBucket</Code></Error>')
  },
  /** An error the first time, then the object. */
  async 'once-500'(response, hit) {
    if (hit === 1) response.writeHead(500).end()
    else response.writeHead(200, headers(4)).end('good')
  },
  async 'once-cut'(response, hit) {
    if (hit === 1) await cut(response)
    else response.writeHead(200, headers(1000)).end('x'.repeat(1000))
  },
  /** Half a body, then a closed connection. */
  cut,
  /** More bytes than Content-Length states. The bytes after that length must be ignored. */
  async long(response) {
    response.writeHead(200, headers(4)).flushHeaders()
    response.socket?.end('good and more')
  },
  /** No Content-Length. */
  async chunked(response) {
    response.writeHead(200, headers())
    response.write('good')
    response.end()
  },
  /** The same bytes with the coding that the rest of the segment names. */
  async encoded(response, _, coding) {
    response.writeHead(200, { ...headers(bomb.length), 'Content-Encoding': coding }).end(bomb)
  },
  /** Encodes the body unless the request refuses that, as a proxy in front of a bucket may do. */
  async negotiated(response) {
    if (response.req.headers['accept-encoding'] === 'identity')
      response.writeHead(200, headers(4)).end('good')
    else response.writeHead(200, { ...headers(), 'Content-Encoding': 'gzip' }).end(gzipSync('good'))
  },
  /** A body that arrives in parts, with pauses. */
  async slow(response) {
    response.writeHead(200, headers(4))
    for (const byte of 'good') {
      response.write(byte)
      await wait(50)
    }
    response.end()
  },
  /** Half a body, and the rest after the object was deleted. */
  async 'deleted-midway'(response) {
    const { method, url = '' } = response.req
    const deletion = deletions.get(url) ?? Promise.withResolvers<void>()
    deletions.set(url, deletion)
    if (method === 'DELETE') {
      deletion.resolve()
      deleted.add(url)
      response.writeHead(204).end()
    } else if (deleted.has(url)) response.writeHead(404).end()
    else if (method === 'HEAD') response.writeHead(200, headers(4)).end()
    else {
      response.writeHead(200, headers(4)).write('go')
      await deletion.promise
      response.end('od')
    }
  },
  /**
   * An almost endless object, in small pieces. `GET /.open?path=PATH` returns whether it is being
   * sent.
   */
  async endless(response) {
    const { url = '' } = response.req
    response.writeHead(200, headers(10_000_000)).write('x')
    waiting.add(url)
    response.on('close', () => waiting.delete(url))
    while (waiting.has(url)) {
      response.write('x')
      await wait(10)
    }
  },
  /** The object is deleted, but the response is lost. */
  async 'delete-lost'(response) {
    const { method, url = '' } = response.req
    if (method === 'DELETE') {
      deleted.add(url)
      response.destroy()
    } else if (deleted.has(url)) response.writeHead(404).end()
    else response.writeHead(200, headers(4)).end('good')
  },
  /** White space while it works, and then the result, like S3's CompleteMultipartUpload. */
  async 'late-result'(response) {
    await afterWhiteSpace(response, '<CompleteMultipartUploadResult/>')
  },
  async 'late-error'(response) {
    await afterWhiteSpace(response, '<Error><Code>InternalError</Code></Error>')
  },
  /** Headers that must not be passed on. */
  async loud(response) {
    response
      .writeHead(200, {
        ...headers(4),
        'Set-Cookie': 'a=b',
        Server: 'faulty',
        'x-amz-request-id': '1',
        'x-amz-meta-secret': 'canary',
        'Cache-Control': 'public, max-age=999999',
        'Content-Security-Policy': 'none',
        'Access-Control-Allow-Origin': '*',
      })
      .end('good')
  },
}

/** The paths of deleted objects, of objects to delete, and of bodies that are being sent. */
const deleted = new Set<string>()
const deletions = new Map<string, PromiseWithResolvers<void>>()
const waiting = new Set<string>()

async function cut(response: ServerResponse): Promise<void> {
  response.writeHead(200, headers(1000))
  response.write('x'.repeat(500))
  await wait(20)
  response.destroy()
}

async function afterWhiteSpace(response: ServerResponse, document: string): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'application/xml' })
  response.write('<?xml version="1.0" encoding="UTF-8"?>\n')
  for (let i = 0; i < 3; i++) {
    response.write(' \n')
    await wait(20)
  }
  response.end(document)
}

/**
 * A bucket that breaks each response as the first segment of the key says. `GET /.count?path=PATH`
 * returns the number of requests.
 */
export function faultyServer(): Server {
  const counts = new Map<string, number>()
  return createServer({ keepAliveTimeout: 0 }, (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://faulty')
    if (pathname === '/.count') {
      response.end(String(counts.get(searchParams.get('path') ?? '') ?? 0))
      return
    }
    if (pathname === '/.open') {
      response.end(String(waiting.has(searchParams.get('path') ?? '')))
      return
    }
    const hit = (counts.get(pathname) ?? 0) + 1
    counts.set(pathname, hit)
    const [name = '', detail = ''] = decodeURIComponent(pathname.split('/')[2] ?? '').split(':')
    const failure = FAILURES[name]
    if (failure === undefined) response.writeHead(400).end()
    else void failure(response, hit, detail)
  })
}
