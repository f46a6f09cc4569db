import { afterEach, beforeAll, expect, it, vi } from 'vitest'
import { PLUGINS } from '../../examples/everything/src/presigner.ts'
import { SCOPES } from '../../src/access/scopes.ts'
import { createApp } from '../../src/app.ts'
import { joinPlugins } from '../../src/join-plugins.ts'
import { captureLog } from '../support/capture-log.ts'
import { bearer, type TestApiKey, testApiKey } from '../support/credentials.ts'
import { app } from '../support/every-plugin.ts'
import { type TestWorker, testWorker } from '../support/worker.ts'

const counted: string[] = []
let apiKey: TestApiKey
let worker: TestWorker
let token: string

beforeAll(async () => {
  apiKey = await testApiKey('ci', SCOPES)
  worker = testWorker({
    OPEN_ACCESS: undefined,
    API_KEYS: [apiKey.entry],
    RATE_LIMITER: {
      async limit({ key }: RateLimitOptions) {
        counted.push(key)
        return { success: true }
      },
    },
  })
  const minted = await worker.post('/tokens', { scopes: ['files:read'] }, bearer(apiKey.token))
  token = (await minted.json<{ token: string }>()).token
})

afterEach(() => vi.restoreAllMocks())

/**
 * Requests `path`; returns the status, the code, what was counted, and the request ids in the log.
 */
async function ask(path: string, init?: RequestInit) {
  counted.length = 0
  const lines = captureLog()
  const response = await worker.fetch(path, init)
  const { code, requestId } = await response.json<{ code?: string; requestId?: string }>()
  const logged = lines.map((line) => JSON.parse(line).requestId)
  return { status: response.status, code, requestId, counted: [...counted], logged }
}

// @threat route-run-twice
it.each<readonly [string, () => Parameters<typeof ask>]>([
  ['a token in the path', () => [`/u/${token}/nope`]],
  ['only a token in the path', () => [`/u/${token}`]],
  ['a token in the path, for an Uppy route', () => [`/u/${token}/s3/nope`]],
  ['an API key', () => ['/nope', bearer(apiKey.token)]],
  [
    'an API key and a different method',
    () => ['/files', { ...bearer(apiKey.token), method: 'PUT' }],
  ],
])('answers an unknown route with 404 for %s', async (_, request) => {
  expect(await ask(...request())).toMatchObject({
    status: 404,
    code: 'not_found',
    counted: ['principal key:ci'],
  })
})

// @threat route-run-twice
it.each<readonly [string, () => Parameters<typeof ask>]>([
  ['a wrong token in the path', () => [`/u/${token}x/nope`]],
  ['a wrong token in the path next to a valid API key', () => ['/u/x/nope', bearer(apiKey.token)]],
  ['a wrong API key', () => ['/nope', bearer(`${apiKey.token}x`)]],
  ['no credentials', () => ['/nope']],
])('answers an unknown route with 401 for %s', async (_, request) => {
  expect(await ask(...request())).toMatchObject({
    status: 401,
    code: 'unauthenticated',
    counted: ['network unknown'],
  })
})

// @threat route-run-twice
it('logs and counts a request once, whatever path it has', async () => {
  for (const path of [
    '/*',
    '/u/*',
    '/u/*/*',
    '/u/:token',
    '/u/:token/files',
    '/u/:token/*',
    '/files/*',
    '/files/:key',
    '/files/*/url',
    '/multipart/:uploadId',
    '/multipart/*',
    '/s3/*',
    '/s3/multipart/:uploadId/:partNumber',
    '/:key',
    '/:token',
  ]) {
    for (const init of [bearer(apiKey.token), {}]) {
      const { counted, logged, requestId } = await ask(path, init)
      expect.soft(counted, path).toHaveLength(1)
      expect.soft(logged, path).toEqual([requestId ?? expect.any(String)])
    }
  }
})

/** Returns the route that matches a request, and its decoded parameters. */
function find(method: string, path: string) {
  const request = new Request(`https://presigner.example${path}`, { method })
  const [handlers, values = []] = app.router.match(method, app.getPath(request))
  const found = handlers.find(([[, { method }]]) => method !== 'ALL')
  if (found === undefined) return null
  const [[, { path: route }], params] = found
  const decoded = Object.entries(params).map(([name, index]) => [
    name,
    decodeURIComponent(values[Number(index)] ?? ''),
  ])
  return { route, ...Object.fromEntries(decoded) }
}

it('finds the route and the key of every kind of path', () => {
  for (const [method, path, route, key] of [
    ['GET', '/files/a.txt', '/files/:key', 'a.txt'],
    ['GET', '/files/a/b/c.txt', '/files/:key', 'a/b/c.txt'],
    ['GET', '/files/a/', '/files/:key', 'a/'],
    ['GET', '/files//', '/files/:key', '/'],
    ['GET', '/files/url', '/files/:key', 'url'],
    ['GET', '/files//url', '/files/:key', '/url'],
    ['GET', '/files///url', '/files/:key/url', '/'],
    ['GET', '/files/a/b/url', '/files/:key/url', 'a/b'],
    ['GET', '/files/a/url/url', '/files/:key/url', 'a/url'],
    ['GET', '/files/a/url/', '/files/:key', 'a/url/'],
    ['GET', '/files/a%2Furl', '/files/:key', 'a/url'],
    ['GET', '/files/a%2Fb/url', '/files/:key/url', 'a/b'],
    ['GET', '/files/a/link', '/files/:key', 'a/link'],
    ['GET', '/files/urls', '/files/:key', 'urls'],
    ['GET', '/files/a%0Ab/url', '/files/:key/url', 'a\nb'],
    ['GET', '/files/a/url?bucket=b', '/files/:key/url', 'a'],
    ['GET', '/files/a%3Fb', '/files/:key', 'a?b'],
    ['POST', '/files/a/b/link', '/files/:key/link', 'a/b'],
    ['POST', '/files/upload-url/link', '/files/:key/link', 'upload-url'],
    ['DELETE', '/files/a/url', '/files/:key', 'a/url'],
    ['GET', '/u/t/files/a/b/url', '/u/:token/files/:key/url', 'a/b'],
    ['GET', '/u/%2F/files/a', '/u/:token/files/:key', 'a'],
    ['GET', '/i/files/a/url', '/i/:bucket/:key', 'a/url'],
    ['GET', '/i/files//', '/i/:bucket/:key', '/'],
  ] as const) {
    expect.soft(find(method, path), `${method} ${path}`).toMatchObject({ route, key })
  }
})

it('has no route for a path that only looks like one', () => {
  for (const [method, path] of [
    ['GET', '/files/'],
    ['GET', '//files/a'],
    ['GET', '/f%69les/a'],
    ['GET', '/files%2Fa'],
    ['POST', '/files/a'],
    ['POST', '/files//link'],
    ['POST', '/files/a/link/'],
    ['POST', '/files/a%2Flink'],
    ['DELETE', '/files/'],
    ['GET', '/u//files/a'],
    ['GET', '/u/t'],
    ['GET', '/u/t/u/t/files/a'],
    ['GET', '/u/t/i/files/a'],
    ['GET', '/i//a'],
    ['GET', '/i/files/'],
    ['PUT', '/files/a'],
    ['GET', '/tokens/'],
  ] as const) {
    expect.soft(find(method, path), `${method} ${path}`).toBeNull()
  }
})

it('sorts routes without a collator, which takes 10 ms to load', () => {
  const compare = vi.spyOn(String.prototype, 'localeCompare')
  createApp(joinPlugins(PLUGINS).plugins).router.match('GET', '/files')
  expect(compare).not.toHaveBeenCalled()
})

it('prefers a literal segment to a parameter that is registered later', () => {
  expect(find('GET', '/s3/multipart/id/batch')?.route).toBe('/s3/multipart/:uploadId/batch')
  expect(find('GET', '/s3/multipart/id/7')?.route).toBe('/s3/multipart/:uploadId/:partNumber')
})

it('reads a segment that looks like a pattern as the key', async () => {
  for (const [path, key] of [
    ['*', '*'],
    ['%2A', '*'],
    [':key', ':key'],
    ['a/*/:key/**', 'a/*/:key/**'],
    ['%252A', '%2A'],
  ] as const) {
    const response = await worker.fetch(`/files/${path}/url`, bearer(apiKey.token))
    expect.soft(await response.json(), path).toMatchObject({ key })
  }
})
