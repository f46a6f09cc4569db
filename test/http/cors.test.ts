import { expect, it } from 'vitest'
import { testWorker } from '../support/worker.ts'

const APP = 'https://app.example'
const worker = testWorker({ CORS_ORIGINS: [APP, 'http://localhost:5173'], OPEN_ACCESS: undefined })
const from = (Origin: string, method = 'GET') =>
  worker.fetch('/files', {
    method,
    headers: {
      Origin,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'authorization, cf-access-jwt-assertion',
    },
  })

it('answers a preflight of a configured origin without credentials', async () => {
  const { status, headers } = await from(APP, 'OPTIONS')
  expect(status).toBe(204)
  expect(headers.get('Access-Control-Allow-Origin')).toBe(APP)
  expect(headers.get('Access-Control-Allow-Methods')).toBe('GET,HEAD,POST,PATCH,DELETE,OPTIONS')
  expect(headers.get('Access-Control-Allow-Headers')).toBe('authorization,cf-access-jwt-assertion')
  expect(headers.get('Vary')).toContain('Origin')
})

it('lets a configured origin read every response, including errors', async () => {
  const { status, headers } = await from(APP)
  expect(status).toBe(401)
  expect(headers.get('Access-Control-Allow-Origin')).toBe(APP)
  expect(headers.get('Access-Control-Expose-Headers')).toBe(
    'Accept-Ranges,Content-Range,ETag,Location,Retry-After,X-Request-Id,X-User-Tag',
  )
  expect(headers.get('Vary')).toContain('Origin')
})

// @threat cors-other-origin
it('sends no CORS headers to other origins', async () => {
  for (const origin of [
    'https://app.example.evil',
    'https://evil.example',
    'http://app.example',
    'https://app.example:8443',
    'null',
    'https://APP.example',
    '*',
  ])
    for (const method of ['GET', 'OPTIONS']) {
      const { headers } = await from(origin, method)
      const names = [...headers.keys()].filter((name) => name.startsWith('access-control-'))
      expect(names, `${method} ${origin}`).toEqual([])
      expect(headers.get('Vary'), `${method} ${origin}`).toContain('Origin')
    }
})

it('allows an origin that a star matches, and names only that origin', async () => {
  const previews = testWorker({ CORS_ORIGINS: ['https://*.app.pages.dev'], OPEN_ACCESS: undefined })
  const ask = (Origin: string, method: string) =>
    previews.fetch('/files', {
      method,
      headers: { Origin, 'Access-Control-Request-Method': 'GET' },
    })
  for (const method of ['GET', 'OPTIONS'])
    for (const [origin, allowed] of [
      ['https://feature-1.app.pages.dev', 'https://feature-1.app.pages.dev'],
      ['https://app.pages.dev', null],
      ['https://a.b.app.pages.dev', null],
      ['https://evil.app.pages.dev.evil.com', null],
      ['http://a.app.pages.dev', null],
    ] as const) {
      const { headers } = await ask(origin, method)
      expect(headers.get('Access-Control-Allow-Origin'), `${method} ${origin}`).toBe(allowed)
      expect(headers.get('Vary')).toContain('Origin')
      expect(headers.has('Access-Control-Allow-Credentials')).toBe(false)
    }
})

// @threat cors-other-origin
it('does not allow browser credentials', async () => {
  expect((await from(APP, 'OPTIONS')).headers.has('Access-Control-Allow-Credentials')).toBe(false)
})

// @threat cors-other-origin
it('allows cookies only for the origins in CORS_COOKIE_ORIGINS', async () => {
  const INTRANET = 'https://intranet.example'
  const withCookies = testWorker({ CORS_ORIGINS: [APP], CORS_COOKIE_ORIGINS: [INTRANET] })
  const preflight = { method: 'OPTIONS', headers: { 'Access-Control-Request-Method': 'GET' } }
  for (const [origin, allowed] of [
    [INTRANET, 'true'],
    [APP, null],
    ['https://evil.example', null],
  ] as const)
    for (const { method, headers } of [{ method: 'GET', headers: {} }, preflight]) {
      const request = { method, headers: { ...headers, Origin: origin } }
      const answer = await withCookies.fetch('/files', request)
      expect(answer.headers.get('Access-Control-Allow-Credentials'), origin).toBe(allowed)
      if (allowed) expect(answer.headers.get('Access-Control-Allow-Origin')).toBe(origin)
    }
})

it('allows no origin when none is configured', async () => {
  const response = await testWorker().fetch('/files', { headers: { Origin: APP } })
  expect(response.headers.has('Access-Control-Allow-Origin')).toBe(false)
})

it.each([
  ['GET', '/s3/params?filename=a'],
  ['POST', '/s3/multipart'],
  ['POST', '/s3/multipart/x/complete?key=a'],
  ['DELETE', '/s3/multipart/x?key=a'],
  ['POST', '/u/ept_x/s3/sign'],
  ['POST', '/multipart'],
  ['DELETE', '/multipart/x?key=a'],
])(
  "answers the preflight of %s %s, with the headers that Companion's clients send",
  async (method, path) => {
    const asked = 'authorization,content-type,uppy-auth-token,uppy-versions'
    const headers = {
      Origin: APP,
      'Access-Control-Request-Method': method,
      'Access-Control-Request-Headers': asked,
    }
    const preflight = await worker.fetch(path, { method: 'OPTIONS', headers })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('Access-Control-Allow-Origin')).toBe(APP)
    expect(preflight.headers.get('Access-Control-Allow-Methods')?.split(',')).toContain(method)
    expect(preflight.headers.get('Access-Control-Allow-Headers')).toBe(asked)
    const answer = await worker.fetch(path, { method, headers: { Origin: APP } })
    expect(answer.status).toBe(401)
    expect(answer.headers.get('Access-Control-Allow-Origin')).toBe(APP)
  },
)
