import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import { principalOfApp } from '../../src/http/app-principal.ts'
import type { Plugin } from '../../src/index.ts'
import { kvFileIndex } from '../../src/plugins/files/kv-file-index.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, ORIGIN } from '../support/app.ts'
import { everyPlugin } from '../support/every-plugin.ts'
import { type Mounted, mount } from '../support/mount.ts'
import {
  allowedWithoutKey,
  outcomeOf,
  type ProtectedRoute,
  ROUTES,
  requestTo,
} from '../support/protected-routes.ts'

const FOREIGN = 'https://evil.example'
const FRIEND = 'https://friend.example'

const methodOf = ({ route }: ProtectedRoute): string => route.split(' ')[0] ?? ''

/** Routes that change something, or that call beforeUpload. */
const CHANGES = ROUTES.filter(({ reads }) => !reads)

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

/** Returns the JSON that `route` expects, or null for none. */
const jsonFor = (route: ProtectedRoute): string | null => {
  const [, { body }] = requestTo(route, 'a.txt')
  return typeof body === 'string' ? body : null
}

/** Sends a request to `route` as a page does, by default with the body that the route expects. */
function send(
  app: Mounted,
  route: ProtectedRoute,
  from: Readonly<Record<string, string>>,
  { body = null, headers }: RequestInit = requestTo(route, 'a.txt')[1],
  base = '/media',
): Promise<Response> {
  const [path, { method = '' }] = requestTo(route, 'a.txt')
  const sent = new Headers(headers)
  for (const [name, value] of Object.entries(from)) sent.set(name, value)
  return app.fetch(base + path, { method, headers: sent, body: method === 'GET' ? null : body })
}

/** Every request's credential, as a cookie would be. */
const sessions: Plugin = {
  name: 'sessions',
  setup: () => ({
    identify: { ambient: true, find: () => ({ ok: true, principal: principalOfApp(ANN) }) },
  }),
}

/** An app that records its calls. Its login is `authenticate`, or a plugin. */
function watched(settings = {}, login = 'authenticate') {
  const authenticate = vi.fn(() => ANN)
  const beforeUpload = vi.fn(() => undefined)
  const beforeDelete = vi.fn(() => undefined)
  const onEvent = vi.fn()
  const files = { index: kvFileIndex(env.FILE_INDEX) }
  const app = mount({
    ...(login === 'authenticate'
      ? { authenticate, files, events: { onEvent } }
      : {
          authenticate: undefined as never,
          plugins: [...everyPlugin({ files, events: { onEvent } }), sessions],
        }),
    ...{ beforeUpload, beforeDelete, settings },
  })
  return { app, authenticate, beforeUpload, beforeDelete, onEvent }
}

describe.each(['authenticate', 'a plugin'])(
  'every route that changes something, with %s',
  (login) => {
    // @threat app-csrf
    it('does nothing for a page of a different origin, whatever it sends', async () => {
      for (const route of CHANGES) {
        const { app, authenticate, beforeUpload, beforeDelete, onEvent } = watched({}, login)
        const json = jsonFor(route) ?? '{}'
        for (const [page, from] of Object.entries(PAGES))
          for (const [name, init] of Object.entries(BODIES)) {
            const label = `${route.route}: ${name} from ${page}`
            const response = await send(app, route, from, init(json))
            const { code, requestId } = await jsonOf(response)
            expect.soft(`${response.status} ${code}`, label).toBe('403 forbidden')
            expect.soft(requestId, label).toBe(response.headers.get('X-Request-Id'))
          }
        if (methodOf(route) !== 'GET') expect.soft(authenticate, route.route).not.toHaveBeenCalled()
        expect.soft(beforeUpload, route.route).not.toHaveBeenCalled()
        expect.soft(beforeDelete, route.route).not.toHaveBeenCalled()
        expect.soft(onEvent, route.route).not.toHaveBeenCalled()
      }
    })

    // @threat app-csrf
    it('refuses a form, text and an empty body, even without an Origin header', async () => {
      for (const route of CHANGES) {
        const json = jsonFor(route)
        if (json === null) {
          expect.soft(['GET', 'DELETE'], route.route).toContain(methodOf(route))
          continue
        }
        const { app, beforeUpload, onEvent } = watched({}, login)
        for (const name of ['a form', 'a form with a file', 'JSON as text', 'nothing']) {
          const response = await send(app, route, {}, BODIES[name]?.(json))
          expect.soft(response.status, `${route.route}: ${name}`).toBe(415)
        }
        expect.soft(beforeUpload, route.route).not.toHaveBeenCalled()
        expect.soft(onEvent, route.route).not.toHaveBeenCalled()
      }
    })

    it('works for pages of its own origin and of corsOrigins, and for clients other than browsers', async () => {
      const { app } = watched({ corsOrigins: [FRIEND, 'https://*.previews.example'] }, login)
      for (const route of CHANGES)
        for (const from of [
          { Origin: ORIGIN },
          { Origin: ORIGIN, 'Sec-Fetch-Site': 'same-origin' },
          { 'Sec-Fetch-Site': 'same-origin' },
          { Origin: 'null', 'Sec-Fetch-Site': 'same-origin' },
          { Origin: FRIEND, 'Sec-Fetch-Site': 'cross-site' },
          { Origin: 'https://a.previews.example', 'Sec-Fetch-Site': 'cross-site' },
          {},
        ]) {
          const outcome = await outcomeOf(route, await send(app, route, from))
          expect
            .soft(outcome, `${route.route} from ${JSON.stringify(from)}`)
            .toBe(allowedWithoutKey(route))
        }
    })

    it('works for a token from any page', async () => {
      const { app } = watched({}, login)
      const { scopes } = ANN
      const { token } = await jsonOf<{ token: string }>(await app.post('/media/tokens', { scopes }))
      const from = { Origin: FOREIGN, 'Sec-Fetch-Site': 'cross-site' }
      for (const route of CHANGES) {
        const inPath = await send(app, route, from, undefined, `/media/u/${token}`)
        expect.soft(await outcomeOf(route, inPath), route.route).toBe(allowedWithoutKey(route))
        const inHeader = await send(app, route, { ...from, Authorization: `Bearer ${token}` })
        expect.soft(await outcomeOf(route, inHeader), route.route).toBe(allowedWithoutKey(route))
      }
    })
  },
)

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

  it('gets no CORS headers from the routes that only read', async () => {
    const { app } = watched({ corsOrigins: [FRIEND] })
    for (const route of ROUTES.filter(({ reads }) => reads)) {
      expect.soft(methodOf(route), route.route).toBe('GET')
      const response = await send(app, route, PAGES['another site'] ?? {})
      const allowed = response.headers.get('Access-Control-Allow-Origin')
      expect.soft(allowed, route.route).toBeNull()
      expect.soft(await outcomeOf(route, response), route.route).toBe(allowedWithoutKey(route))
    }
  })

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
