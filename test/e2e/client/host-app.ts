import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { freePort } from '../../../cli/ports.ts'

/** The header that the host app requires in each request, besides the session cookie. */
export const CSRF = { 'X-Csrf': 'c5f2' }

/** An app with its own session and the API at `/media`. */
export interface HostApp {
  /** `http://localhost:PORT/media` */
  readonly baseUrl: string
  /** The headers of the accepted requests, in order. */
  readonly passed: readonly IncomingHttpHeaders[]
  reset(): void
  close(): Promise<void>
}

/**
 * Starts an app in front of the Worker. Requests with the cookie `session=alice` and the header
 * `CSRF` use `apiKey`. Pages of `origin` may use it with their cookies.
 */
export async function startHostApp(
  worker: string,
  apiKey: string,
  origin: string,
): Promise<HostApp> {
  const port = await freePort()
  const passed: IncomingHttpHeaders[] = []
  const server = createServer(async (request, response) => {
    response.setHeader('Access-Control-Allow-Origin', origin)
    response.setHeader('Access-Control-Allow-Credentials', 'true')
    response.setHeader(
      'Access-Control-Allow-Headers',
      'Authorization, Content-Type, X-Csrf, X-Turn',
    )
    response.setHeader('Access-Control-Allow-Methods', 'GET, POST, DELETE')
    const { method = 'GET', url = '/', headers } = request
    if (method === 'OPTIONS') return response.writeHead(204).end()
    if (!url.startsWith('/media/')) return response.writeHead(404).end()
    if (!headers.cookie?.includes('session=alice') || headers['x-csrf'] !== CSRF['X-Csrf'])
      return response
        .writeHead(401, { 'Content-Type': 'application/json' })
        .end(JSON.stringify({ code: 'unauthenticated', message: 'Log in first.' }))
    passed.push(headers)
    const body = Buffer.concat(await request.toArray())
    const answer = await fetch(worker + url.slice('/media'.length), {
      method,
      headers: {
        Authorization: `Bearer ${apiKey}`,
        ...(headers['content-type'] && { 'Content-Type': headers['content-type'] }),
      },
      body: body.length > 0 ? body : null,
    })
    response.writeHead(answer.status, { 'Content-Type': 'application/json' })
    return response.end(await answer.text())
  }).listen(port, 'localhost')
  await once(server, 'listening')
  return {
    baseUrl: `http://localhost:${port}/media`,
    passed,
    reset: () => void passed.splice(0),
    close: () => server[Symbol.asyncDispose](),
  }
}
