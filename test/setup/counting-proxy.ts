import { createServer, request, type Server } from 'node:http'

/**
 * Passes requests on to another port unchanged (including the Host header, so that signatures stay
 * valid) and counts them. `GET /.count?path=PATH` returns the number of requests for PATH.
 */
export function countingProxy(targetPort: number): Server {
  const counts = new Map<string, number>()
  return createServer({ keepAliveTimeout: 0 }, (incoming, outgoing) => {
    const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://proxy')
    if (pathname === '/.count') {
      outgoing.end(String(counts.get(searchParams.get('path') ?? '') ?? 0))
      return
    }
    counts.set(pathname, (counts.get(pathname) ?? 0) + 1)
    const { method, url, headers } = incoming
    const passed = request(
      { host: '127.0.0.1', port: targetPort, path: url, method, headers },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
        answer.pipe(outgoing)
      },
    )
    passed.on('error', () => outgoing.destroy())
    incoming.pipe(passed)
  })
}
