import fc from 'fast-check'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { compress } from 'hono/compress'
import { cors } from 'hono/cors'
import { csrf } from 'hono/csrf'
import { etag } from 'hono/etag'
import { requestId } from 'hono/request-id'
import { RegExpRouter } from 'hono/router/reg-exp-router'
import { secureHeaders } from 'hono/secure-headers'
import { timeout } from 'hono/timeout'
import { Hono as TinyHono } from 'hono/tiny'
import { trimTrailingSlash } from 'hono/trailing-slash'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createPresigner, defineSettings, type FileIndex } from '../../src/index.ts'
import { noFileIndex } from '../../src/records/file-index.ts'
import { ANN } from '../support/ann.ts'
import { jsonOf, ORIGIN, settingsInput, upload } from '../support/app.ts'
import { everyPlugin } from '../support/every-plugin.ts'
import { runs } from '../support/fuzz.ts'
import { textOf } from '../support/links.ts'
import { clientOf, type Mounted, mount, type TestHost } from '../support/mount.ts'

afterEach(() => vi.restoreAllMocks())

const HOSTS: readonly (readonly [string, () => TestHost])[] = [
  ['new Hono()', () => new Hono()],
  ['RegExpRouter', () => new Hono({ router: new RegExpRouter() })],
  ['hono/tiny', () => new TinyHono()],
]

/** Where a presigner is mounted, and the matching base in a URL. */
const MOUNTS = [
  ['/', ''],
  ['/a/b', '/a/b'],
  ['/t/:tenant', '/t/ann'],
  ['/t/:tenant', '/t/a%20b'],
  ['/t/:tenant', '/t/a%2Fb'],
  ['/t/:tenant', '/t/a%252Fb'],
  ['/t/:tenant', '/t/%C3%A9%E6%BC%A2'],
  ['/t/:tenant', '/t/*'],
  ['/t/:tenant/media', '/t/:x/media'],
] as const

/** Every mount in the first host app, and the hardest one in the others. */
const CASES = HOSTS.flatMap(([name, host], index) =>
  MOUNTS.filter(([, base]) => index === 0 || base === '/t/a%20b').map(([path, base]) => ({
    name,
    host,
    path,
    base,
  })),
)

describe('a host app', () => {
  it.each(CASES)('with $name has all routes below $path at "$base"', async (one) => {
    const { path, base } = one
    const app = mount({ host: one.host(), path })

    const key = await upload(app, base)
    const recorded = await app.post(`${base}/files`, { key, name: 'Cat.png' })
    expect(recorded.status).toBe(201)
    const location = recorded.headers.get('Location') ?? ''
    expect(location).toBe(`${base}/files/${encodeURIComponent(key)}?bucket=files`)
    expect(await jsonOf(await app.fetch(location))).toMatchObject({ key, name: 'Cat.png' })
    expect(await jsonOf(await app.fetch(`${base}/files?prefix=${key}`))).toMatchObject({
      files: [{ key, owner: 'app:ann' }],
    })

    const { link } = await jsonOf<{ link: string }>(await app.post(`${base}/files/${key}/link`, {}))
    expect(link).toMatch(`${ORIGIN}${base}/i/files/${encodeURIComponent(key)}?`)
    const seen = await app.fetch(link)
    expect(seen.headers.get('Content-Type')).toBe('image/png')
    expect(await textOf(seen)).toBe('pixels')
    const { links } = await jsonOf<{ links: { link: string }[] }>(
      await app.post(`${base}/links`, { keys: [key] }),
    )
    expect(links[0]?.link).toBe(link)

    const request = { scopes: ['files:read', 'files:upload'] }
    const { token } = await jsonOf<{ token: string }>(await app.post(`${base}/tokens`, request))
    expect(await jsonOf(await app.fetch(`${base}/u/${token}/files/${key}`))).toMatchObject({ key })
    const uppy = await app.fetch(`${base}/u/${token}/s3/params?filename=a.png&type=image/png`)
    expect(await jsonOf(uppy)).toMatchObject({ method: 'POST' })

    expect((await app.fetch(location, { method: 'DELETE' })).status).toBe(204)
    expect((await app.fetch(link)).status).toBe(404)
    expect(await jsonOf(await app.fetch(`${base}/healthz`))).toMatchObject({ status: 'ok' })
  })

  it.each(HOSTS)('with %s gets one route', (_, create) => {
    const host = create()
    mount({ host })
    expect(Reflect.get(host, 'routes')).toEqual([
      expect.objectContaining({ method: 'ALL', path: '/media/*' }),
    ])
  })

  it('keeps its router', async () => {
    const host = new Hono()
    const app = mount({ host })
    host.get('/users/:id/photos/:photo', (c) => c.text(c.req.param('photo')))
    expect(await (await app.fetch('/users/1/photos/2')).text()).toBe('2')
    expect((await app.fetch('/media/healthz')).status).toBe(200)
    expect(host.router.name).toBe('SmartRouter + RegExpRouter')
  })

  it('may route by host name, have a base path, or nest apps', async () => {
    const byName = new Hono({
      getPath: ({ url }) => url.replace(/^https?:\/\/([^?]+).*$/, '/$1'),
    })
    const routed = mount({ host: byName, path: '/app.example/media' })
    expect(await linkIn(routed, '/media')).toMatch(`${ORIGIN}/media/i/files/`)

    const nested = new Hono()
    const inner = new Hono().onError((_, c) => c.text('inner', 500))
    const client = mount({ host: inner })
    nested.route('/api/:version', inner)
    const app = { ...client, ...clientOf(nested) }
    expect(await linkIn(app, '/api/v1/media')).toMatch(`${ORIGIN}/api/v1/media/i/files/`)

    const based = new Hono().basePath('/base')
    const below = mount({ host: based })
    expect(await linkIn(below, '/base/media')).toMatch(`${ORIGIN}/base/media/i/files/`)
  })

  it('may ignore a trailing slash', async () => {
    const app = mount({ host: new Hono({ strict: false }) })
    expect((await app.fetch('/media/files/a/url/')).status).toBe(404)
    expect((await app.fetch('/media/files/a/url')).status).toBe(200)
    expect(await jsonOf(await app.fetch('/media/files/a//'))).toMatchObject({
      code: 'object_not_found',
    })
  })

  // @threat app-disturbed
  it('keeps its variables, its error and not-found handlers, and its middleware', async () => {
    const host = new Hono<{ Variables: { requestId: string; principal: string } }>()
    const after: unknown[] = []
    host.use(requestId({ generator: () => 'host-id' }))
    host.use(async (c, next) => {
      c.set('principal', 'of the host')
      await next()
      after.push(c.var.requestId, c.var.principal, c.res.status, c.error)
      c.res.headers.set('X-After', 'yes')
    })
    const onError = vi.fn(() => new Response('host error', { status: 500 }))
    const notFound = vi.fn(() => new Response('host not found', { status: 404 }))
    host.onError(onError)
    host.notFound(notFound)
    const app = mount({ host })
    host.get('/own', () => {
      throw new Error('own')
    })

    const ours = await app.fetch('/media/nope')
    expect(ours.headers.get('X-After')).toBe('yes')
    expect(await jsonOf(ours)).toMatchObject({ code: 'not_found' })
    expect(after).toEqual(['host-id', 'of the host', 404, undefined])
    expect(onError).not.toHaveBeenCalled()
    expect(notFound).not.toHaveBeenCalled()
    expect(await (await app.fetch('/own')).text()).toBe('host error')
    expect(await (await app.fetch('/nope')).text()).toBe('host not found')
    expect(await (await app.fetch('/mediax/healthz')).text()).toBe('host not found')
  })

  // @threat app-disturbed
  it.each([
    ['', false],
    [' and has read c.res', true],
  ])('keeps the headers and cookies that it has set before next()%s', async (_, reads) => {
    const host = new Hono().use(async (c, next) => {
      if (reads) void c.res
      c.header('Server-Timing', 'login;dur=1')
      c.header('Server-Timing', 'db;dur=2', { append: true })
      c.header('Set-Cookie', 'a=1; Path=/', { append: true })
      c.header('Set-Cookie', 'b=2, 3', { append: true })
      c.header('Cache-Control', 'public, max-age=60')
      c.header('Content-Type', 'text/html')
      c.header('X-Request-Id', 'of the host')
      c.status(201)
      await next()
      c.header('X-After', c.res.headers.get('Content-Type') ?? 'none')
    })
    const app = mount({ host })
    const key = await upload(app, '/media')
    const link = await linkIn(app, '/media', key)
    const responses = [
      await app.fetch('/media/healthz'),
      await app.fetch('/media/nope'),
      await app.fetch(`/media/files/${key}/url`),
      await app.fetch('/media/links', { method: 'POST' }),
      await app.fetch(link),
      await app.fetch(link, { method: 'HEAD' }),
      await app.fetch(link, { headers: { Range: 'bytes=0-1' } }),
      await app.fetch(link, { headers: { 'If-None-Match': '*' } }),
      await app.fetch(`/media/files/${key}`, { method: 'DELETE' }),
    ]
    for (const { status, headers } of responses) {
      const own = Object.fromEntries(headers)
      expect.soft(headers.getSetCookie(), `${status}`).toEqual(['a=1; Path=/', 'b=2, 3'])
      expect.soft(own, `${status}`).toMatchObject({
        'server-timing': 'login;dur=1, db;dur=2',
        'x-after': own['content-type'] ?? 'none',
      })
      expect.soft(own['cache-control'], `${status}`).not.toContain('public')
      expect.soft(own['x-request-id'], `${status}`).toMatch(/^[0-9a-f-]{36}$/)
    }
    const of = (name: string) => responses.map(({ headers }) => headers.get(name))
    expect(responses.map(({ status }) => status)).toEqual([
      ...[200, 404, 200, 415],
      ...[200, 200, 206, 304, 204],
    ])
    expect(of('Content-Type').slice(0, 7)).toEqual([
      ...Array(4).fill('application/json'),
      ...Array(3).fill('image/png'),
    ])
    expect(await textOf(responses[4] ?? new Response())).toBe('pixels')
  })

  // @threat app-disturbed
  it('has no part in what a browser has already, such as the sandbox of a file', async () => {
    const host = new Hono().use(async (c, next) => {
      c.header('Content-Security-Policy', "default-src 'self'")
      c.header('Content-Type', 'text/html')
      await next()
    })
    const app = mount({ host })
    const key = await upload(app, '/media')
    const link = await linkIn(app, '/media', key)
    const headers = { 'If-None-Match': '*' }
    const { status, headers: updates } = await app.fetch(link, { headers })
    expect(status).toBe(304)
    expect([...updates.keys()].filter((name) => name.startsWith('content-'))).toEqual([])
    const shown = await app.fetch(link)
    expect(shown.headers.get('Content-Security-Policy')).toBe("default-src 'self'")
  })

  // @threat cors-other-origin
  it('keeps no CORS headers for another page, so that cookies stay refused', async () => {
    const own = 'https://own.example'
    const friend = 'https://friend.example'
    const cookies = 'https://cookies.example'
    // Hono's own `cors` lets every origin send credentials, and names only those that may read.
    const host = new Hono().use(cors({ origin: own, credentials: true, exposeHeaders: ['X-Own'] }))
    const corsOrigins = [friend, 'https://*.app.pages.dev']
    const app = mount({ host, settings: { corsOrigins, corsCookieOrigins: [cookies] } })
    const answered = async (Origin: string) => {
      const { headers } = await app.fetch('/media/files', { headers: { Origin, Cookie: 'a=1' } })
      return ['Origin', 'Credentials'].map((name) => headers.get(`Access-Control-Allow-${name}`))
    }
    expect(await answered(friend)).toEqual([friend, null])
    const preview = 'https://evil.app.pages.dev'
    expect(await answered(preview)).toEqual([preview, null])
    expect(await answered(cookies)).toEqual([cookies, 'true'])
    expect(await answered(own)).toEqual([own, 'true'])
  })

  it('has its own parameters in authenticate, but not those of the presigner', async () => {
    const seen: unknown[] = []
    const app = mount({
      path: '/t/:tenant',
      authenticate: (c) => {
        seen.push(c.req.param())
        return ANN
      },
    })
    await app.fetch('/t/a%20b/files/x/url')
    expect(seen).toEqual([{ tenant: 'a b' }])
  })
})

/** A link to an object that may not exist. */
const linkIn = async (app: Parameters<typeof upload>[0], base: string, key = 'a.png') =>
  (await jsonOf<{ link: string }>(await app.post(`${base}/files/${key}/link`, {}))).link

describe('a key below a mount path', () => {
  it.each([
    ['a/b/c.png', 'a/b/c.png'],
    ['a%2Fb.png', 'a/b.png'],
    ['*', '*'],
    ['%2A', '*'],
    [':x', ':x'],
    [':key/url', ':key/url'],
    ['a%252Fb', 'a%2Fb'],
    ['%E6%BC%A2%20%C3%A9', '漢 é'],
    ['media/files/a', 'media/files/a'],
    ['a//b', 'a//b'],
    ['//a/', '//a/'],
  ])('is the same as at the root: %s', async (written, key) => {
    for (const base of ['/media', '/t/a%20b']) {
      const app = mount({ path: base === '/media' ? base : '/t/:tenant' })
      expect(await jsonOf(await app.fetch(`${base}/files/${written}/url`))).toMatchObject({ key })
    }
  })

  it.each(['..%2Fa', 'a%2F..%2F..', 'a%00'])('is refused: %s', async (key) => {
    const app = mount()
    const response = await app.fetch(`/media/files/${key}/url`)
    expect(response.status).toBe(400)
    expect(await jsonOf(response)).toMatchObject({ code: 'invalid_key' })
  })
})

it('answers every path below a mount path the same as at the root', async () => {
  const segment = fc.constantFrom(
    ...['files', 'url', 'link', 'i', 'u', 's3', 'multipart', 'healthz', 'media', 't'],
    ...[
      'a',
      'é',
      '%C3%A9',
      '%20',
      ' ',
      '+',
      '*',
      ':x',
      ':key',
      '%2F',
      '%252F',
      '%5C',
      '\\',
      '%2E%2E',
    ],
    ...['..', '.', '', '%', '%zz', '%E0%A4', '%00', '%0A', '%3F', '?', '?a=b', '#', '&', '@', '//'],
  )
  const path = fc.array(segment, { maxLength: 6 }).map((segments) => `/${segments.join('/')}`)
  const method = fc.constantFrom('GET', 'POST', 'DELETE', 'OPTIONS')
  // Paths that the URL parser normalizes never reach the presigner.
  const stays = (tail: string) =>
    new URL(`${ORIGIN}/t/a%20b${tail}`).pathname.startsWith('/t/a%20b/')
  const root = mount({ path: '/' })
  const guests = [
    { base: '/media', app: mount() },
    { base: '/t/a%20b', app: mount({ path: '/t/:tenant', host: new TinyHono() }) },
    { base: '/x/y', app: mount({ path: '/x/y', host: new Hono({ router: new RegExpRouter() }) }) },
  ]
  const ask = async (app: typeof root, url: string, init: RequestInit) => {
    const response = await app.fetch(url, init)
    const text = await response.text()
    return {
      status: response.status,
      text: text.replace(/"requestId":"[^"]+"/, ''),
      route: app.lines.at(-1)?.route,
    }
  }
  await fc.assert(
    fc.asyncProperty(path.filter(stays), method, async (tail, method) => {
      const expected = await ask(root, `${ORIGIN}${tail}`, { method })
      for (const { base, app } of guests) {
        const answer = await ask(app, `${ORIGIN}${base}${tail}`, { method })
        expect(answer.status, base + tail).toBe(expected.status)
        expect(answer.route, base + tail).toBe(expected.route)
        // A signature depends on the time.
        if (!/"url":/.test(expected.text)) expect(answer.text, base + tail).toBe(expected.text)
      }
    }),
    { numRuns: runs(500) },
  )
})

/** The headers of every presigner response. */
const OURS = {
  'cache-control': 'no-store',
  'content-type': 'application/json',
  'referrer-policy': 'no-referrer',
  vary: 'Origin',
  'x-content-type-options': 'nosniff',
  'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
}

/** Checks the shape of an error response, and returns its status and code. */
async function refusal(response: Response | Promise<Response>) {
  const { status, headers } = await response
  const body = await jsonOf(await response)
  expect(Object.fromEntries(headers)).toMatchObject(OURS)
  expect(body).toEqual({
    code: expect.any(String),
    message: expect.any(String),
    requestId: headers.get('X-Request-Id'),
    ...('issues' in body ? { issues: expect.any(Array) } : {}),
    ...(body.code === 'unauthenticated' ? { reason: 'not_accepted' } : {}),
    ...(body.code === 'misconfigured' ? { reason: 'settings' } : {}),
    ...(body.code === 'unavailable' ? { reason: 'events', deleted: true } : {}),
  })
  return `${status} ${body.code}`
}

/** A host app that records whether an error has reached it. */
function watchedHost() {
  const onError = vi.fn(() => new Response('host error', { status: 500 }))
  return { host: new Hono().onError(onError), onError }
}

const fail = (): never => {
  throw new Error('canary secret=hunter2')
}
const failLater = async (): Promise<never> => fail()
const failOddly = (): never => {
  throw 'no Error at all'
}

describe('a response', () => {
  it("is JSON in one shape with the presigner's headers, for 404, 401 and 500", async () => {
    const app = mount()
    expect(await refusal(app.fetch('/media/nope'))).toBe('404 not_found')
    const closed = mount({ authenticate: () => null })
    const unknown = await closed.fetch('/media/files')
    expect(unknown.headers.get('WWW-Authenticate')).toBe('Bearer')
    expect(await refusal(unknown)).toBe('401 unauthenticated')
    const broken = mount({ authenticate: fail })
    expect(await refusal(broken.fetch('/media/files'))).toBe('500 internal')
  })

  it('to HEAD has no body', async () => {
    const app = mount()
    const response = await app.fetch('/media/healthz', { method: 'HEAD' })
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('')
  })
})

describe('an error that the host app throws', () => {
  const newFile = { fileName: 'a.txt', mimetype: 'text/plain' }

  it.each([
    ['immediately', fail],
    ['later', failLater],
    ['as a value that is not an Error', failOddly],
  ])(
    '%s becomes an error of the presigner, with its reason only in the log',
    async (_, thrower) => {
      const asks: readonly (readonly [
        object,
        (app: ReturnType<typeof mount>) => Promise<Response>,
        number,
        string,
      ])[] = [
        [{ authenticate: thrower }, (app) => app.fetch('/media/files'), 500, 'internal'],
        [
          { beforeUpload: thrower },
          (app) => app.post('/media/files/upload-url', newFile),
          500,
          'internal',
        ],
        [
          { beforeDelete: thrower },
          (app) => app.fetch('/media/files/none', { method: 'DELETE' }),
          500,
          'internal',
        ],
        [
          { events: { onEvent: thrower }, files: { index: () => noFileIndex } },
          (app) => app.fetch('/media/files/none', { method: 'DELETE' }),
          503,
          'unavailable',
        ],
      ]
      for (const [options, ask, status, code] of asks) {
        const { host, onError } = watchedHost()
        const app = mount({ ...options, host })
        const response = await ask(app)
        expect(await response.clone().text()).not.toMatch(/canary|no Error/)
        expect(await refusal(response)).toBe(`${status} ${code}`)
        expect(onError).not.toHaveBeenCalled()
        expect(app.lines).toEqual([
          expect.objectContaining({
            status,
            code,
            reason: expect.stringMatching(/canary|no Error/),
          }),
        ])
      }
    },
  )

  it.each(['settings', 'files.index', 'rateLimiter'] as const)(
    'in %s is named by /healthz without its message, and the function is called again',
    async (name) => {
      for (const thrower of [fail, failOddly]) {
        const { host, onError } = watchedHost()
        const called = vi.fn(thrower)
        const options = {
          ...(name === 'rateLimiter' && { rateLimiter: called }),
          ...(name === 'files.index' && { files: { index: called } }),
        }
        const settings =
          name === 'settings'
            ? {
                get buckets() {
                  return called()
                },
              }
            : {}
        const app = mount({ ...options, settings, host })
        const health = await app.fetch('/media/healthz')
        expect(await health.clone().text()).not.toMatch(/canary|no Error/)
        expect(await jsonOf(health.clone())).toMatchObject({ issues: [{ path: name }] })
        expect(await refusal(health)).toBe('503 misconfigured')
        expect(await refusal(app.fetch('/media/files'))).toBe('503 misconfigured')
        expect(called.mock.calls.length).toBeGreaterThan(1)
        expect(onError).not.toHaveBeenCalled()
      }
    },
  )

  // @threat app-error-shown
  it('in a file index becomes a 500 of the presigner', async () => {
    const { host, onError } = watchedHost()
    const broken: FileIndex = { get: failLater, put: fail, remove: failOddly, list: failOddly }
    const app = mount({ host, files: { index: () => broken } })
    expect(await refusal(app.fetch('/media/files'))).toBe('500 internal')
    expect(await refusal(app.fetch('/media/files/a.txt'))).toBe('500 internal')
    expect(onError).not.toHaveBeenCalled()
  })

  it.each([
    ['immediately', fail],
    ['later', failLater],
    ['as a value that is not an Error', failOddly],
  ])('in its log, %s, changes no response', async (_, log) => {
    const errors = vi.spyOn(console, 'error').mockImplementation(() => {})
    const { host, onError } = watchedHost()
    const app = mount({ host, log })
    expect((await app.fetch('/media/healthz')).status).toBe(200)
    expect(await refusal(app.fetch('/media/nope'))).toBe('404 not_found')
    expect(onError).not.toHaveBeenCalled()
    expect(errors).toHaveBeenCalledTimes(2)
    expect(errors).toHaveBeenCalledWith(expect.stringContaining("The presigner's log failed: "))
  })
})

describe('the log', () => {
  it("goes to the host app's function, one line for each request, with the pattern of the route", async () => {
    const written = vi.spyOn(console, 'log').mockImplementation(() => {})
    const app = mount({ path: '/t/:tenant' })
    await app.fetch('/t/secret-tenant/files/secret-key/url')
    expect(app.lines).toEqual([
      {
        requestId: expect.any(String),
        method: 'GET',
        route: '/files/:key/url',
        status: 200,
        milliseconds: expect.any(Number),
        principal: 'app:ann',
        bucket: 'files',
        cache: undefined,
        warning: undefined,
      },
    ])
    expect(written).not.toHaveBeenCalled()
  })
})

describe('CORS', () => {
  const PAGE = 'https://page.example'
  const asked = { headers: { Origin: PAGE } }
  const corsHeaders = ({ headers }: Response) =>
    [...headers.keys()].filter((name) => name.startsWith('access-control-'))

  it('is left to the host app', async () => {
    const without = mount()
    expect(corsHeaders(await without.fetch('/media/files', asked))).toEqual([])
    expect(
      corsHeaders(await without.fetch('/media/files', { method: 'OPTIONS', ...asked })),
    ).toEqual([])
    const host = new Hono().use(cors({ origin: PAGE }))
    const app = mount({ host })
    const read = await app.fetch('/media/files', asked)
    expect(read.status).toBe(200)
    expect(read.headers.get('Access-Control-Allow-Origin')).toBe(PAGE)
    const preflight = await app.fetch('/media/files', {
      method: 'OPTIONS',
      headers: { Origin: PAGE, 'Access-Control-Request-Method': 'POST' },
    })
    expect(preflight.status).toBe(204)
    expect(app.lines).toHaveLength(1)
  })

  it("comes from the presigner with corsOrigins, even next to the host app's CORS", async () => {
    for (const host of [new Hono(), new Hono().use(cors({ origin: PAGE }))]) {
      const app = mount({ host, settings: { corsOrigins: [PAGE] } })
      const read = await app.fetch('/media/files', asked)
      expect(read.headers.get('Access-Control-Allow-Origin')).toBe(PAGE)
      expect(read.headers.get('Vary')).toContain('Origin')
      const written = await app.post('/media/links', { keys: ['a'] }, asked)
      expect(written.status).toBe(200)
      expect(written.headers.get('Access-Control-Allow-Origin')).toBe(PAGE)
      expect(written.headers.get('Access-Control-Allow-Credentials')).toBeNull()
    }
  })

  it('lets a page of corsOrigins make changes with cookies, when the host app allows them', async () => {
    const host = new Hono().use(cors({ origin: PAGE, credentials: true }))
    const app = mount({ host, settings: { corsOrigins: [PAGE] } })
    const written = await app.post('/media/links', { keys: ['a'] }, asked)
    expect(written.status).toBe(200)
    expect(written.headers.get('Access-Control-Allow-Credentials')).toBe('true')
    expect(written.headers.get('Access-Control-Allow-Origin')).toBe(PAGE)
  })

  it('lets a page of corsCookieOrigins make changes with cookies', async () => {
    const app = mount({ settings: { corsCookieOrigins: [PAGE] } })
    const written = await app.post('/media/links', { keys: ['a'] }, asked)
    expect(written.status).toBe(200)
    expect(written.headers.get('Access-Control-Allow-Credentials')).toBe('true')
    expect(written.headers.get('Access-Control-Allow-Origin')).toBe(PAGE)
  })

  it('of the host app lets a page read, but not make changes or see Retry-After', async () => {
    const host = new Hono().use(cors({ origin: PAGE, credentials: true }))
    const app = mount({ host })
    const read = await app.fetch('/media/files', asked)
    expect(read.status).toBe(200)
    expect(read.headers.get('Access-Control-Expose-Headers')).toBeNull()
    expect((await app.post('/media/links', { keys: ['a'] }, asked)).status).toBe(403)
  })
})

describe('a request', () => {
  it('with a body that the host app has read becomes a 500, with the reason in the log', async () => {
    const host = new Hono().use(async (c, next) => {
      await c.req.text()
      await next()
    })
    const app = mount({ host })
    expect(await refusal(app.post('/media/links', { keys: ['a'] }))).toBe('500 internal')
    expect(app.lines[0]?.reason).toContain('The app read the body before the presigner.')
  })

  it('passes through the usual middleware of a host app', async () => {
    const host = new Hono().use(
      bodyLimit({ maxSize: 1000 }),
      compress(),
      etag(),
      csrf(),
      timeout(5000),
      trimTrailingSlash(),
      secureHeaders({ crossOriginResourcePolicy: false }),
    )
    const app = mount({ host })
    const key = await upload(app, '/media')
    const body = () => new Blob([JSON.stringify({ key, name: 'a.png' })]).stream()
    const headers = { 'Content-Type': 'application/json' }
    const recorded = await app.fetch('/media/files', { method: 'POST', headers, body: body() })
    expect(recorded.status).toBe(201)
    const { link } = await jsonOf<{ link: string }>(await app.post(`/media/files/${key}/link`, {}))
    const seen = await app.fetch(link, { headers: { 'Accept-Encoding': 'gzip' } })
    expect(seen.headers.get('Cross-Origin-Resource-Policy')).toBe('cross-origin')
    expect(await textOf(seen)).toBe('pixels')
    const part = await app.fetch(link, { headers: { Range: 'bytes=0-2' } })
    expect([part.status, await textOf(part)]).toEqual([206, 'pix'])
    const etagOf = seen.headers.get('ETag') ?? ''
    expect((await app.fetch(link, { headers: { 'If-None-Match': etagOf } })).status).toBe(304)
  })

  it('without a Content-Type is refused by csrf() around the mount path, which is not needed', async () => {
    const remove = (app: Mounted, headers: Record<string, string> = {}) =>
      app.fetch('/media/files/uploads%2Fnone.png', { method: 'DELETE', headers })
    const around = mount({ host: new Hono().use(csrf()) })
    const refused = await remove(around)
    expect([refused.status, await refused.text(), around.lines]).toEqual([403, 'Forbidden', []])
    // The form of Uppy's Companion mode, from a page of corsOrigins.
    const page = 'https://page.example'
    const form = { method: 'POST', body: new FormData(), headers: { Origin: page } }
    expect((await around.fetch('/media/s3/form', form)).status).toBe(403)
    expect(around.lines).toEqual([])

    const host = new Hono().use('/own/*', csrf())
    const app = mount({ host, settings: { corsOrigins: [page] } })
    expect((await remove(app)).status).toBe(204)
    expect((await remove(app, { Origin: 'https://foreign.example' })).status).toBe(403)
    expect((await app.fetch('/media/s3/form', form)).status).toBe(400)
  })

  it('reaches a presigner in app.mount without the mount path and the variables of the app', async () => {
    const seen: unknown[] = []
    const presigner = createPresigner(
      defineSettings(() => settingsInput()),
      {
        plugins: everyPlugin(),
        authenticate: (c) => {
          seen.push(c.get('user' as never))
          return ANN
        },
        log: () => undefined,
      },
    )
    const makes = async (host: Hono) => {
      const app = clientOf(host)
      const made = await app.post('/media/files/a.png/link', {})
      const { link } = await jsonOf<{ link: string }>(made)
      return [new URL(link).pathname, (await app.fetch(link)).headers.has('X-Request-Id')]
    }
    const host = () =>
      new Hono<{ Variables: { user: string } }>().use(async (c, next) => {
        c.set('user', 'ann')
        await next()
      }) as unknown as Hono
    expect(await makes(host().route('/media', presigner.app))).toEqual([
      '/media/i/files/a.png',
      true,
    ])
    expect(await makes(host().mount('/media', presigner.fetch))).toEqual(['/i/files/a.png', false])
    expect(seen).toEqual(['ann', undefined])
  })

  it('needs neither an environment nor an execution context', async () => {
    const host = new Hono()
    const app = mount({ host })
    const ask = (path: string, init?: RequestInit) => host.request(path, init)
    expect((await ask('/media/healthz')).status).toBe(200)
    expect(await jsonOf(await ask('/media/healthz'))).toEqual({
      ...{ status: 'ok', edgeCache: false },
      warnings: [
        'drop boxes need Durable Objects',
        'upkeep needs Durable Objects',
        'grants need Durable Objects',
      ],
    })
    const key = await upload(app, '/media')
    const { link } = await jsonOf<{ link: string }>(
      await ask(`/media/files/${key}/link`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: '{}',
      }),
    )
    expect(await textOf(await ask(link))).toBe('pixels')
    expect((await ask(`/media/files/${key}`, { method: 'DELETE' })).status).toBe(204)
  })
})

describe('a separate link host', () => {
  const FILES = 'https://files.example'
  const settings = { linkBase: `${FILES}/media`, linkHostOnly: true }

  it('serves only links and /healthz below the mount path', async () => {
    const app = mount({ settings })
    const key = await upload(app, '/media')
    const { link } = await jsonOf<{ link: string }>(await app.post(`/media/files/${key}/link`, {}))
    expect(link).toMatch(`${FILES}/media/i/files/`)
    expect(await textOf(await app.fetch(link))).toBe('pixels')
    expect((await app.fetch(`${FILES}/media/healthz`)).status).toBe(200)
    expect(await refusal(app.fetch(`${FILES}/media/files`))).toBe('404 not_found')
  })

  it('is the redirect target for links on every other host', async () => {
    const app = mount({ settings, path: '/t/:tenant' })
    const { link } = await jsonOf<{ link: string }>(await app.post('/t/a%20b/files/a.png/link', {}))
    const there = link.replace(`${FILES}/media`, `${ORIGIN}/t/a%20b`)
    const response = await app.fetch(there, { redirect: 'manual' })
    expect(response.status).toBe(308)
    expect(response.headers.get('Location')).toBe(link)
  })
})
