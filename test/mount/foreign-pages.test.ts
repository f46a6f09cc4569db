import { describe, expect, it, vi } from 'vitest'
import { app as presignerRoutes } from '../../src/app.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, ORIGIN } from '../support/app.ts'
import { bearer } from '../support/credentials.ts'
import { type Mounted, mount } from '../support/mount.ts'
import { type ProtectedRoute, ROUTES } from '../support/protected-routes.ts'

const FOREIGN = 'https://evil.example'
const FRIEND = 'https://friend.example'

const methodOf = ({ route }: ProtectedRoute): string => route.split(' ')[0] ?? ''

/** Routes that change something, or that call beforeUpload. */
const CHANGES = ROUTES.filter(
  (route) => methodOf(route) !== 'GET' || route.route === 'GET /s3/params',
)
/** Routes that only read. CORS keeps their responses from other origins. */
const READS = [
  'GET /files/:key/url',
  'GET /files',
  'GET /files/:key',
  'GET /limits',
  'GET /multipart/:uploadId',
  'GET /s3/multipart/:uploadId',
  'GET /s3/multipart/:uploadId/batch',
  'GET /s3/multipart/:uploadId/:partNumber',
  'GET /s3/sts',
]
/** Routes without the app's authentication. */
const STEPS = ['POST /s3/uploads', 'POST /s3/uploads/complete']
const OPEN = [
  'GET /healthz',
  'GET /i/:bucket/:key',
  'POST /notifications',
  'POST /s3/form',
  ...STEPS,
]

const form = 'application/x-www-form-urlencoded'

/** The headers in which a browser names the origin of a request. */
const PAGES: Readonly<Record<string, Record<string, string>>> = {
  'another origin': { Origin: FOREIGN },
  'another site': { Origin: FOREIGN, 'Sec-Fetch-Site': 'cross-site' },
  'another origin of the same site': {
    Origin: 'https://other.app.example',
    'Sec-Fetch-Site': 'same-site',
  },
  'a sandbox': { Origin: 'null', 'Sec-Fetch-Site': 'cross-site' },
  'another site that hides its origin': { Origin: 'null' },
  'another site without an origin': { 'Sec-Fetch-Site': 'cross-site' },
  'a browser without a page': { 'Sec-Fetch-Site': 'none' },
  'another port': { Origin: `${ORIGIN}:8443` },
  'the same host over HTTP': { Origin: ORIGIN.replace('https', 'http') },
}

/** Bodies that a page can send without a preflight, and JSON, which it can't. */
const BODIES: Readonly<Record<string, (json: string) => RequestInit>> = {
  'a form': () => ({ body: 'a=b', headers: { 'Content-Type': form } }),
  'a form with a file': () => {
    const data = new FormData()
    data.set('a', 'b')
    return { body: data }
  },
  'JSON as text': (json) => ({ body: json, headers: { 'Content-Type': 'text/plain' } }),
  nothing: () => ({}),
  JSON: (json) => ({ body: json, headers: { 'Content-Type': 'application/json' } }),
}

/** Sends a request to `route` as a page does. */
function send(
  app: Mounted,
  route: ProtectedRoute,
  from: Readonly<Record<string, string>>,
  { body, headers }: RequestInit = {},
  prefix = '/media',
): Promise<Response> {
  const [path] = route.request('a.txt')
  const method = methodOf(route)
  return app.fetch(prefix + path, {
    method,
    headers: { ...Object.fromEntries(new Headers(headers)), ...from },
    ...(method === 'GET' || body === undefined ? {} : { body }),
  })
}

const bodyOf = (route: ProtectedRoute): RequestInit => {
  const [, json] = route.request('a.txt')
  return json === undefined ? {} : (BODIES.JSON?.(JSON.stringify(json)) ?? {})
}

/** An app that records its calls. */
function watched(settings = {}) {
  const authenticate = vi.fn(() => ANN)
  const beforeUpload = vi.fn(() => undefined)
  const onEvent = vi.fn()
  const app = mount({ authenticate, beforeUpload, onEvent, settings })
  return { app, authenticate, beforeUpload, onEvent }
}

// @threat app-csrf
it('tests every route of the presigner', () => {
  const registered = presignerRoutes.routes
    .filter(({ method, path }) => method !== 'ALL' && !path.startsWith('/u/:token/'))
    .map(({ method, path }) => `${method} ${path}`)
  const known = [...CHANGES.map(({ route }) => route), ...READS, ...OPEN]
  expect([...new Set(registered)].toSorted()).toEqual(known.toSorted())
})

describe.each(CHANGES)('$route', (route) => {
  // @threat app-csrf
  it('does nothing for a page of a different origin, whatever it sends', async () => {
    const { app, authenticate, beforeUpload, onEvent } = watched()
    const json = JSON.stringify(route.request('a.txt')[1] ?? {})
    for (const [page, from] of Object.entries(PAGES))
      for (const [name, init] of Object.entries(BODIES)) {
        const response = await send(app, route, from, init(json))
        const { code, requestId } = await jsonOf(response)
        expect(`${response.status} ${code}`, `${name} from ${page}`).toBe('403 forbidden')
        expect(requestId).toBe(response.headers.get('X-Request-Id'))
      }
    if (methodOf(route) !== 'GET') expect(authenticate).not.toHaveBeenCalled()
    expect(beforeUpload).not.toHaveBeenCalled()
    expect(onEvent).not.toHaveBeenCalled()
  })

  // @threat app-csrf
  it('refuses a form, text and an empty body, even without an Origin header', async () => {
    const takesBody = route.request('a.txt')[1] !== undefined
    if (!takesBody) return expect(['GET', 'DELETE']).toContain(methodOf(route))
    const { app, beforeUpload, onEvent } = watched()
    for (const name of ['a form', 'a form with a file', 'JSON as text', 'nothing']) {
      const json = JSON.stringify(route.request('a.txt')[1])
      const response = await send(app, route, {}, BODIES[name]?.(json))
      expect(response.status, name).toBe(415)
    }
    expect(beforeUpload).not.toHaveBeenCalled()
    expect(onEvent).not.toHaveBeenCalled()
  })

  it('works for pages of its own origin and of corsOrigins, and for clients other than browsers', async () => {
    const { app } = watched({ corsOrigins: [FRIEND, 'https://*.previews.example'] })
    for (const from of [
      { Origin: ORIGIN },
      { Origin: ORIGIN, 'Sec-Fetch-Site': 'same-origin' },
      { 'Sec-Fetch-Site': 'same-origin' },
      { Origin: 'null', 'Sec-Fetch-Site': 'same-origin' },
      { Origin: FRIEND, 'Sec-Fetch-Site': 'cross-site' },
      { Origin: 'https://a.previews.example', 'Sec-Fetch-Site': 'cross-site' },
      {},
    ]) {
      const response = await send(app, route, from, bodyOf(route))
      expect(response.status, JSON.stringify(from)).toBe(route.allowed)
    }
  })

  it('works for a token from any page', async () => {
    const { app } = watched()
    const { scopes } = ANN
    const { token } = await jsonOf<{ token: string }>(await app.post('/media/tokens', { scopes }))
    const from = { Origin: FOREIGN, 'Sec-Fetch-Site': 'cross-site' }
    const inPath = await send(app, route, from, bodyOf(route), `/media/u/${token}`)
    expect(inPath.status).toBe(route.allowed)
    const { Authorization } = bearer(token).headers as Record<string, string>
    const header = { ...from, Authorization: Authorization ?? '' }
    expect((await send(app, route, header, bodyOf(route))).status).toBe(route.allowed)
  })
})

describe('a page of a different origin', () => {
  // @threat app-csrf
  it('refuses cookies from an origin that only a star matches', async () => {
    const { app } = watched({ corsOrigins: [FRIEND, 'https://*.previews.example'] })
    const ask = async (Origin: string, headers: Record<string, string> = {}) => {
      const init = { headers: { Origin, 'Sec-Fetch-Site': 'cross-site', ...headers } }
      return (await app.fetch('/media/s3/params?filename=a.png', init)).status
    }
    const Cookie = 'session=1'
    expect(await ask('https://a.previews.example', { Cookie })).toBe(403)
    expect(await ask('https://a.previews.example')).toBe(200)
    expect(await ask(FRIEND, { Cookie })).toBe(200)
  })

  it.each(ROUTES.filter(({ route }) => READS.includes(route)))(
    'gets no CORS headers from $route',
    async (route) => {
      const { app } = watched({ corsOrigins: [FRIEND] })
      const response = await send(app, route, PAGES['another site'] ?? {})
      expect(response.status).toBe(route.allowed)
      expect(response.headers.get('Access-Control-Allow-Origin')).toBeNull()
    },
  )

  it('is refused only for missing credentials when the built-in credentials apply', async () => {
    const app = mount({ authenticate: undefined as never })
    const response = await app.post(
      '/media/links',
      { keys: ['a'] },
      { headers: { Origin: FOREIGN } },
    )
    expect(response.status).toBe(401)
  })

  it('can show a link in an <img>', async () => {
    const { app } = watched()
    const { link } = await jsonOf<{ link: string }>(await app.post('/media/files/a.png/link', {}))
    const from = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Dest': 'image' }
    const response = await app.fetch(link, { headers: from })
    expect(await jsonOf(response)).toMatchObject({ code: 'object_not_found' })
  })
})
