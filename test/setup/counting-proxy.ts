import { createServer, request, type Server } from 'node:http'
import type { WriteLimit } from '../../tools/dev/r2.ts'

/**
 * Passes requests on to another port unchanged (including the Host header, so that signatures stay
 * valid) and counts them. `GET /.count?path=PATH` returns the number of requests for PATH. The status of
 * a write that `limit` doesn't allow is 429.
 */
export function countingProxy(targetPort: number, limit?: WriteLimit): Server {
  const counts = new Map<string, number>()
  return createServer({ keepAliveTimeout: 0 }, (incoming, outgoing) => {
    const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://proxy')
    const isWrite = incoming.method === (searchParams.has('uploadId') ? 'POST' : 'PUT')
    if (pathname === '/.count') {
      outgoing.end(String(counts.get(searchParams.get('path') ?? '') ?? 0))
      return
    }
    counts.set(pathname, (counts.get(pathname) ?? 0) + 1)
    const { method, url, headers } = incoming
    const passed = request(
      { host: '127.0.0.1', port: targetPort, path: url, method, headers },
      (answer) => {
        const isTooSoon = isWrite && answer.statusCode === 200 && limit?.(pathname) === false
        outgoing.writeHead(isTooSoon ? 429 : (answer.statusCode ?? 502), answer.rawHeaders)
        answer.pipe(outgoing)
      },
    )
    passed.on('error', () => outgoing.destroy())
    incoming.pipe(passed)
  })
}
