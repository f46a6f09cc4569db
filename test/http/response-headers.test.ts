import { describe, expect, it } from 'vitest'
import { app } from '../support/every-plugin.ts'
import { testWorker } from '../support/worker.ts'

/** Without duplicates: Hono lists a route for each of its handlers. */
const routes = [
  ...new Set(
    app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path.replace(':key', 'a.txt')}`),
  ),
]

const expectPrivate = ({ headers }: Response, label: string) => {
  expect.soft(headers.get('Cache-Control'), label).toBe('no-store')
  expect.soft(headers.get('Referrer-Policy'), label).toBe('no-referrer')
  expect.soft(headers.get('X-Content-Type-Options'), label).toBe('nosniff')
  expect.soft(headers.get('X-Request-Id'), label).not.toBeNull()
}

describe.each([
  ['open', {}],
  ['closed', { OPEN_ACCESS: undefined }],
  ['misconfigured', { BUCKETS: undefined }],
])('a Worker that is %s', (_, variables) => {
  const worker = testWorker(variables)

  it('marks its responses to every route as private', async () => {
    for (const route of routes) {
      const [method = '', path = ''] = route.split(' ')
      const body = method === 'POST' ? '{}' : null
      const headers = { 'Content-Type': 'application/json' }
      expectPrivate(await worker.fetch(path, { method, headers, body }), route)
      expectPrivate(await worker.fetch(path, { method: 'POST', body: '{' }), `${route}, malformed`)
      expectPrivate(await worker.fetch(path, { method: 'OPTIONS' }), `${route}, preflight`)
      expectPrivate(await worker.fetch(`${path}/%zz`), `${route}, malformed URL`)
    }
  })

  // @threat response-sniffed
  it('marks its response as private when there is no route', async () => {
    expectPrivate(await worker.fetch('/nowhere'), 'nowhere')
  })
})
