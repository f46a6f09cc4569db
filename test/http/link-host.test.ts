import { describe, expect, it } from 'vitest'
import { type Link, putObject, textOf } from '../support/links.ts'
import { baseVariables, testWorker } from '../support/worker.ts'

const API = 'http://localhost:8787'
const PAGE = 'https://app.example.com'

/** A link, and one Worker on two hosts: the API's host and the link host. */
async function twoHosts(linkOrigin = 'https://img.example:8443') {
  const variables = { ...baseVariables(), LINK_ORIGIN: linkOrigin, CORS_ORIGINS: [PAGE] }
  const api = testWorker(variables, API)
  const links = testWorker(variables, linkOrigin)
  const key = await putObject('cat.png', 'pixels')
  const path = `/files/${encodeURIComponent(key)}/link`
  const linkOf = async (body: object) => (await (await api.post(path, body)).json<Link>()).link
  return { api, links, key, linkOf, linkOrigin }
}

describe('the host of LINK_ORIGIN', () => {
  // @threat link-runs-script
  it('answers 404 to everything except links and /healthz', async () => {
    const { links } = await twoHosts()
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/index.html'],
      ['GET', '/files'],
      ['POST', '/files/upload-url'],
      ['DELETE', '/files/a.png'],
      ['POST', '/s3/sign'],
      ['GET', '/u/token/files'],
      ['GET', '/i'],
      ['GET', '/I/files/a.png'],
      ['GET', '/healthz/x'],
      ['OPTIONS', '/files'],
    ] as const) {
      const label = `${method} ${path}`
      const response = await links.fetch(path, { method, headers: { Origin: PAGE } })
      expect.soft(response.status, label).toBe(404)
      expect.soft(await response.json(), label).toEqual({
        code: 'not_found',
        message: expect.any(String),
        requestId: response.headers.get('X-Request-Id'),
      })
      expect.soft(response.headers.get('Access-Control-Allow-Origin'), label).toBeNull()
    }
  })

  // @threat link-runs-script
  it('is the same host at every port, and with a dot at its end', async () => {
    const { links, linkOf, linkOrigin } = await twoHosts('https://img.example')
    const link = await linkOf({})
    for (const origin of [
      'https://img.example.',
      'https://img.example:8443',
      'http://IMG.example.:8080',
    ]) {
      for (const path of ['/', '/files', '/limits', '/s3/params?filename=a'])
        expect.soft((await links.fetch(origin + path)).status, origin + path).toBe(404)
      const response = await links.fetch(link.replace(linkOrigin, origin), { redirect: 'manual' })
      expect.soft(response.status, origin).toBe(308)
      expect.soft(response.headers.get('Location'), origin).toBe(link)
    }
  })

  it.each(['https://img.example', 'http://127.0.0.1:8787', 'https://img.example:8443'])(
    'serves links and /healthz at %s',
    async (origin) => {
      const { links, linkOf } = await twoHosts(origin)
      const link = await linkOf({})
      expect(new URL(link).origin).toBe(origin)
      expect(await textOf(await links.fetch(link))).toBe('pixels')
      expect((await links.fetch('/healthz')).status).toBe(200)
      expect((await links.fetch('/i/files/a.png')).status).toBe(403)
    },
  )

  it('lets pages of CORS_ORIGINS read the responses to links', async () => {
    const { links, linkOf } = await twoHosts()
    const link = await linkOf({})
    for (const method of ['GET', 'OPTIONS']) {
      const { headers } = await links.fetch(link, { method, headers: { Origin: PAGE } })
      expect(headers.get('Access-Control-Allow-Origin'), method).toBe(PAGE)
      expect(headers.get('Vary'), method).toContain('Origin')
    }
  })
})

describe('every other host', () => {
  // @threat link-runs-script
  it.each(['stream', 'redirect'])(
    'answers a valid link (%s) with 308 to the same link, without a body',
    async (delivery) => {
      const { api, linkOf, linkOrigin } = await twoHosts()
      const link = await linkOf({ delivery, download: 'Zoë & co.png' })
      for (const method of ['GET', 'HEAD']) {
        const old = link.replace(linkOrigin, API)
        const response = await api.fetch(old, { method, redirect: 'manual' })
        expect(response.status).toBe(308)
        expect(response.headers.get('Location')).toBe(link)
        expect(response.headers.get('Cross-Origin-Resource-Policy')).toBe('cross-origin')
        expect(response.headers.get('Cache-Control')).toBe('no-store')
        expect(await textOf(response)).toBe('')
      }
    },
  )

  it('includes the same name with a different port', async () => {
    const { api, linkOf, linkOrigin } = await twoHosts()
    const other = (await linkOf({})).replace(linkOrigin, 'https://img.example')
    expect((await api.fetch(other, { redirect: 'manual' })).status).toBe(308)
  })

  it.each(['http://links.localhost:8787', 'http://127.0.0.1:9999', 'http://[::1]:8787'])(
    'serves a link itself if LINK_ORIGIN is %s, since `wrangler dev` hides which host was asked',
    async (origin) => {
      const { api, linkOf } = await twoHosts(origin)
      const link = await linkOf({})
      expect(link).toContain(origin)
      const response = await api.fetch(link.replace(origin, API), { redirect: 'manual' })
      expect([response.status, await textOf(response)]).toEqual([200, 'pixels'])
    },
  )

  it('refuses an invalid link, as without LINK_ORIGIN', async () => {
    const { api, linkOf, linkOrigin } = await twoHosts()
    const forged = (await linkOf({})).replace(linkOrigin, API).replace(/sig=.{8}/, 'sig=AAAAAAAA')
    const response = await api.fetch(forged, { redirect: 'manual' })
    expect(response.status).toBe(403)
    expect(await response.json()).toMatchObject({ code: 'link_invalid' })
  })

  it('serves the API', async () => {
    const { api } = await twoHosts()
    expect((await api.fetch('/files')).status).toBe(200)
    const preflight = { Origin: PAGE, 'Access-Control-Request-Method': 'POST' }
    expect((await api.fetch('/files', { method: 'OPTIONS', headers: preflight })).status).toBe(204)
  })
})
