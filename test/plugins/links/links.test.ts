import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../../src/access/scopes.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import {
  type Link,
  linkTo,
  open,
  putObject as put,
  putChosen,
  requestsFor,
  textOf,
} from '../../support/links.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

const ORIGIN = 'http://localhost:8787'
const worker = testWorker()
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
})

afterEach(() => {
  vi.useRealTimers()
})

describe('a link', () => {
  it('is absolute, shows the object, and is the same when requested again', async () => {
    const key = await put('cat.png', 'pixels')
    const { link, expiresAt } = await linkTo(key)
    expect(link.startsWith(`${ORIGIN}/i/counted/links%2F`)).toBe(true)
    expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThanOrEqual(86_400_000)
    expect(await linkTo(key)).toEqual({ link, expiresAt })

    const response = await open(link)
    expect(response.status).toBe(200)
    expect(await textOf(response)).toBe('pixels')
    expect(response.headers.get('Content-Type')).toBe('image/png')
    expect(response.headers.get('Content-Length')).toBe('6')
    expect(response.headers.get('ETag')).toMatch(/^"[0-9a-f]{32}"$/)
    expect(response.headers.get('Content-Disposition')).toBeNull()
  })

  it('stays the same within its window and is valid for at least expiresIn', async () => {
    const key = await put('cat.png', 'x')
    vi.setSystemTime(new Date('2026-11-24T12:00:00Z'))
    const { link, expiresAt } = await linkTo(key, { expiresIn: 3600 })
    expect(expiresAt).toBe('2026-11-24T14:00:00.000Z')
    vi.setSystemTime(new Date('2026-11-24T12:59:59.999Z'))
    expect((await linkTo(key, { expiresIn: 3600 })).link).toBe(link)
    vi.setSystemTime(new Date('2026-11-24T13:00:00Z'))
    expect((await linkTo(key, { expiresIn: 3600 })).link).not.toBe(link)
  })

  // @threat link-outlived
  it('expires at the exact second', async () => {
    const key = await put('cat.png', 'x')
    vi.setSystemTime(new Date('2026-11-24T12:00:00Z'))
    const { link } = await linkTo(key, { expiresIn: 60 })
    vi.setSystemTime(new Date('2026-11-24T12:01:59.999Z'))
    expect((await open(link)).status).toBe(200)
    vi.setSystemTime(new Date('2026-11-24T12:02:00Z'))
    const gone = await open(link)
    expect(gone.status).toBe(410)
    expect(await gone.json()).toMatchObject({ code: 'link_expired' })
    expect(gone.headers.get('Cache-Control')).toBe('no-store')
  })

  it("has the bucket's default lifetime when none is requested", async () => {
    const files = { ...s3rverBucket(), defaultExpiresIn: { view: 60, upload: 1800, link: 600 } }
    const set = testWorker({ BUCKETS: { files } })
    const { expiresAt } = await (await set.post('/files/a.png/link', {})).json<Link>()
    const seconds = (Date.parse(expiresAt) - Date.now()) / 1000
    expect(seconds).toBeGreaterThan(590)
    expect(seconds).toBeLessThanOrEqual(1200)
    const many = await (await set.post('/links', { keys: ['a.png'] })).json<Link>()
    expect((Date.parse(many.expiresAt) - Date.now()) / 1000).toBeLessThanOrEqual(1200)
    expect(await (await set.fetch('/files/a.png/url')).json()).toMatchObject({ expiresIn: 60 })
    const upload = { fileName: 'a.png', mimetype: 'image/png' }
    expect(await (await set.post('/files/upload-url', upload)).json()).toMatchObject({
      expiresIn: 1800,
    })
    expect(
      await (await set.post('/files/upload-url', { ...upload, expiresIn: 9 })).json(),
    ).toMatchObject({ expiresIn: 9 })
    expect(await (await set.fetch('/s3/params?filename=a.png')).json()).toMatchObject({
      expires: 1800,
    })
  })

  it.each([0, -1, 15_768_001])('refuses a lifetime of %d seconds', async (expiresIn) => {
    const response = await worker.post('/files/a/link', { expiresIn })
    expect(await response.json()).toMatchObject({ code: 'invalid_expiry' })
  })

  it('is by default valid for no longer than the bucket allows', async () => {
    vi.setSystemTime(new Date('2026-11-24T12:00:00Z'))
    const files = { ...s3rverBucket(), maxExpiresIn: { link: 3600 } }
    const response = await testWorker({ BUCKETS: { files } }).post('/files/a/link', {})
    expect(response.status).toBe(200)
    const { expiresAt }: Link = await response.json()
    expect(expiresAt).toBe('2026-11-24T13:00:00.000Z')
  })

  it('refuses a download name that is not well-formed', async () => {
    for (const download of ['', '\ud800', 'x'.repeat(256)]) {
      const response = await worker.post('/files/a/link', { download })
      expect(await response.json()).toMatchObject({ code: 'invalid_request' })
    }
  })

  it('has the configured origin', async () => {
    const other = testWorker({ LINK_ORIGIN: 'https://img.example' })
    const response = await other.post('/files/a.png/link', {})
    const { link }: Link = await response.json()
    expect(link.startsWith('https://img.example/i/files/a.png?')).toBe(true)
  })

  // @threat link-forged
  it('is refused with any character of path or query changed, without a request to the bucket', async () => {
    const key = await put('Zoë & co.png', 'x')
    const { link } = await linkTo(key, { download: 'a b.png' })
    const start = `${ORIGIN}/i/`.length
    for (let at = start; at < link.length; at++) {
      for (const other of ['A', '0', '%', '/', '&'].filter((character) => character !== link[at])) {
        const changed = link.slice(0, at) + other + link.slice(at + 1)
        const { status } = await open(changed)
        expect(status, changed).toBe(403)
      }
    }
    expect(await requestsFor(key)).toBe(0)
  })

  // @threat link-two-spellings
  it.each([
    ['an extra parameter', (link: string) => `${link}&x=1`],
    ['a parameter twice', (link: string) => link.replace(/(exp=\d+)/, '$1&$1')],
    ['parameters in a different order', (link: string) => link.replace(/(exp=\d+)&(.*)$/, '$2&$1')],
    ['an empty download name', (link: string) => link.replace('&kid', '&dl=&kid')],
    ['a different mode', (link: string) => link.replace('&kid', '&mode=stream&kid')],
    ['a redirect instead of bytes', (link: string) => link.replace('&kid', '&mode=redirect&kid')],
    ['a plain slash', (link: string) => link.replace('%2F', '/')],
    ['lower-case hexadecimal', (link: string) => link.replace('%2F', '%2f')],
    ['an encoded letter', (link: string) => link.replace('cat', '%63at')],
    [
      'a longer lifetime',
      (link: string) => link.replace(/exp=(\d+)/, (_, exp) => `exp=${Number(exp) + 1}`),
    ],
    ['a lifetime with a leading zero', (link: string) => link.replace('exp=', 'exp=0')],
    ['no signature', (link: string) => link.replace(/&sig=.*/, '')],
    ['a short signature', (link: string) => link.slice(0, -1)],
    ['a different kid', (link: string) => link.replace('kid=k1', 'kid=k2')],
    ['a different bucket', (link: string) => link.replace('/counted/', '/files/')],
    ['malformed encoding', (link: string) => link.replace('%2F', '%zz')],
    ['no query', (link: string) => link.replace(/\?.*/, '')],
    ['no key', () => `${ORIGIN}/i/counted`],
  ])('is refused with %s', async (_, change) => {
    const { link } = await linkTo(await put('cat.png', 'x'))
    const response = await open(change(link))
    expect(response.status).toBe(403)
    expect(await response.json()).toMatchObject({ code: 'link_invalid' })
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    expect(response.headers.get('Content-Type')).toContain('application/json')
  })

  it('stays valid during a rotation of the secrets, until the old one is removed', async () => {
    const old = `old:${'o'.repeat(32)}`
    const next = `next:${'n'.repeat(32)}`
    const key = await put('cat.png', 'x')
    const made = await testWorker({ SIGNING_SECRETS: old }).post(
      `/files/${encodeURIComponent(key)}/link`,
      {},
    )
    const { link }: Link = await made.json()
    const status = async (SIGNING_SECRETS: string) =>
      (await testWorker({ SIGNING_SECRETS }).fetch(link)).status
    expect(await status(`${next},${old}`)).toBe(200)
    expect(await status(next)).toBe(403)
  })

  it('answers 404 for a missing object, and does not cache that response', async () => {
    const { link } = await linkTo('links/none.png')
    for (const expected of [1, 2]) {
      const response = await open(link)
      expect(response.status).toBe(404)
      expect(await response.json()).toMatchObject({ code: 'object_not_found' })
      expect(response.headers.get('Cache-Control')).toBe('no-store')
      expect(await requestsFor('links/none.png')).toBe(expected)
    }
  })
})

describe('POST /links', () => {
  it('answers in order, with an error for each refused key', async () => {
    const apiKey = await testApiKey('a', SCOPES, 'team-a/')
    const ofTeam = testWorker({ API_KEYS: [apiKey.entry], OPEN_ACCESS: undefined })
    const keys = ['team-a/1.png', 'team-b/2.png', 'team-a/../3.png', 'team-a/4.png']
    const response = await ofTeam.post('/links', { keys }, bearer(apiKey.token))
    expect(await response.json()).toEqual({
      links: [
        { key: keys[0], link: expect.stringContaining('/i/files/team-a%2F1.png?') },
        { key: keys[1], error: { code: 'forbidden', message: expect.any(String) } },
        { key: keys[2], error: { code: 'invalid_key', message: expect.any(String) } },
        { key: keys[3], link: expect.stringContaining('/i/files/team-a%2F4.png?') },
      ],
      expiresAt: expect.any(String),
    })
  })

  it('returns the same link as POST /files/:key/link', async () => {
    const { link } = await linkTo('a/b.png')
    const response = await worker.post('/links', { keys: ['a/b.png'], bucket: 'counted' })
    expect(await response.json()).toMatchObject({ links: [{ link }] })
  })

  it('accepts 1000 keys of 1000 bytes, and not one more', async () => {
    const keys = Array.from({ length: 1000 }, (_, i) => String(i).padStart(1000, 'k'))
    const response = await worker.post('/links', { keys })
    const { links }: { links: { link: string }[] } = await response.json()
    expect(new Set(links.map(({ link }) => link)).size).toBe(1000)
    expect((await worker.post('/links', { keys: [...keys, 'one'] })).status).toBe(400)
    expect((await worker.post('/links', { keys: [] })).status).toBe(400)
  })
})

describe('the edge copy', () => {
  it('serves a thousand requests, through older and newer links, with one request to the bucket a minute', async () => {
    const key = await put('cat.png', 'pixels')
    vi.setSystemTime(new Date('2026-11-24T12:00:00Z'))
    const links = new Set<string>()
    for (let i = 0; i < 1000; i++) {
      if (i % 100 === 0) vi.setSystemTime(Date.now() + 61_000)
      const { link } = await linkTo(key, { expiresIn: 60 + (i % 3) })
      links.add(link)
      const response = await open(link)
      expect(response.status).toBe(200)
      expect(await textOf(response)).toBe('pixels')
      expect(response.headers.get('Cache-Status')).toBe(
        i % 100 === 0 ? 'edge-presigner; fwd=uri-miss' : 'edge-presigner; hit',
      )
    }
    expect(links.size).toBeGreaterThan(20)
    expect(await requestsFor(key)).toBe(10)
  })

  // @threat copy-undeleted
  it('is deleted with the file', async () => {
    const key = await put('cat.png', 'pixels')
    const { link } = await linkTo(key)
    await textOf(await open(link))
    await textOf(await open(link))
    expect(await requestsFor(key)).toBe(1)
    const path = `/files/${encodeURIComponent(key)}?bucket=counted`
    expect((await worker.fetch(path, { method: 'DELETE' })).status).toBe(204)
    expect((await open(link)).status).toBe(404)
  })

  it('is shared by clients with and without cookies and credentials', async () => {
    const key = await put('cat.png', 'pixels')
    const { link } = await linkTo(key)
    await textOf(await open(link, { Cookie: 'a=b', Authorization: 'Bearer x' }))
    const hit = await open(link)
    expect(hit.headers.get('Cache-Status')).toBe('edge-presigner; hit')
    expect(await textOf(hit)).toBe('pixels')
    expect(await requestsFor(key)).toBe(1)
  })

  it('is not created when the bucket has edgeTtl 0', async () => {
    // `Objects` has the variables of vitest.config.ts, which set it for the bucket "uncached".
    const key = await put('cat.png', 'pixels')
    const { link } = await linkTo(key, {}, 'uncached')
    for (let i = 0; i < 2; i++) {
      const response = await open(link)
      expect(await textOf(response)).toBe('pixels')
      expect(response.headers.get('Cache-Status')).toBe('edge-presigner; fwd=bypass')
      expect(response.headers.get('Cache-Control')).toBe('private, max-age=0')
    }
  })
})

describe('the response to a link', () => {
  // @threat replaced-after-immutable
  it('is immutable only when no URL that could replace the object can be valid any more', async () => {
    const madeAt = Date.parse('2026-11-24T12:00:00Z')
    vi.setSystemTime(madeAt)
    const { key } = await (
      await worker.post('/files/upload-url', { fileName: 'a.png', mimetype: 'image/png' })
    ).json<{ key: string }>()
    await bucketFetch(key, { method: 'PUT', body: 'x' })
    const { link, expiresAt } = await linkTo(key, { expiresIn: 2_592_000 })
    const cacheControl = async () => (await open(link)).headers.get('Cache-Control')
    expect(await cacheControl()).toBe('private, max-age=86400')
    // Seven days for a multipart upload, an hour for its last signature, ten minutes for the clock of
    // its client, a day to send a body, and a day for the edge copy of the replaced object.
    const settled = madeAt + (604_800 + 3600 + 600 + 86_400 + 86_400) * 1000
    vi.setSystemTime(settled)
    expect(await cacheControl()).toBe('private, max-age=86400')
    vi.setSystemTime(settled + 1000)
    const left = (Date.parse(expiresAt) - settled) / 1000 - 1
    expect(await cacheControl()).toBe(`private, max-age=${left}, immutable`)
  })

  // @threat link-outlived
  it("has the edge copy's lifetime as max-age until then, and never more than the link's", async () => {
    vi.setSystemTime(new Date('2026-11-24T12:00:00Z'))
    const other = await linkTo(await put('a.png', 'x'), { expiresIn: 864_000 })
    expect((await open(other.link)).headers.get('Cache-Control')).toBe('private, max-age=86400')
    const short = await linkTo(await put('a.png', 'x'), { expiresIn: 60 })
    vi.setSystemTime(Date.parse(short.expiresAt) - 5000)
    expect((await open(short.link)).headers.get('Cache-Control')).toBe('private, max-age=5')
  })

  it('is checked for changes each time when the key is not a generated one', async () => {
    const key = await putChosen('a.png', 'x')
    for (const bucket of ['counted', 'uncached']) {
      const { link } = await linkTo(key, {}, bucket)
      expect((await open(link)).headers.get('Cache-Control')).toBe('private, no-cache')
    }
  })

  it.each([
    ['a.html', 'text/html', 'attachment'],
    ['a.svg', 'image/svg+xml', 'attachment'],
    ['a.png', 'image/svg+xml; charset=utf-8', 'attachment'],
    ['a.svg', 'image/png', 'attachment'],
    ['a.png', 'image/png, text/html', 'attachment'],
    ['a.json', 'application/json', 'attachment'],
    ['a.bin', 'application/octet-stream', 'attachment'],
    ['a.png', 'image/png', null],
    ['a.txt', 'Text/Plain; charset=utf-8', null],
    ['a.pdf', 'application/pdf', null],
  ])('shows %s of type %s as %s', async (name, type, disposition) => {
    const { link } = await linkTo(await put(name, 'x', type))
    const { headers } = await open(link)
    expect(headers.get('Content-Disposition')).toBe(disposition)
    expect(headers.get('Content-Security-Policy')).toBe(
      disposition === null ? null : "sandbox; default-src 'none'",
    )
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
    expect(headers.get('Referrer-Policy')).toBe('no-referrer')
    expect(headers.get('Cross-Origin-Resource-Policy')).toBe('cross-origin')
  })

  it.each([
    ['text/html, image/png', 'application/octet-stream'],
    ['image/svg+xml; charset=utf-8', 'image/svg+xml; charset=utf-8'],
    ['Image/PNG', 'image/png'],
  ])('sends the type %s as %s', async (stored, sent) => {
    const { link } = await linkTo(await put('a.png', 'x', stored))
    expect((await open(link)).headers.get('Content-Type')).toBe(sent)
  })

  it('saves the object under the name in the link', async () => {
    const { link } = await linkTo(await put('a.png', 'x'), { download: 'Zoë "1".png' })
    expect((await open(link)).headers.get('Content-Disposition')).toBe(
      'attachment; filename="Zo_ 1.png"; filename*=UTF-8\'\'Zo%C3%AB%201.png',
    )
  })

  // @threat hotlinking
  it("allows embedding as the bucket's settings say", async () => {
    const { link } = await linkTo(await put('a.png', 'x'), {}, 'files')
    for (const crossOriginResourcePolicy of ['same-origin', 'same-site', 'cross-origin']) {
      const files = { ...s3rverBucket(), crossOriginResourcePolicy }
      const response = await testWorker({ BUCKETS: { files } }).fetch(link)
      expect(response.status).toBe(200)
      expect(response.headers.get('Cross-Origin-Resource-Policy')).toBe(crossOriginResourcePolicy)
    }
  })

  // @threat link-shows-headers
  it("passes on only the bucket's headers that describe the object", async () => {
    const { link } = await linkTo('loud/a.png', {}, 'faulty')
    const response = await open(link)
    expect(await textOf(response)).toBe('good')
    expect([...response.headers.keys()].sort()).toEqual([
      'accept-ranges',
      'cache-control',
      'cache-status',
      'content-length',
      'content-type',
      'cross-origin-resource-policy',
      'etag',
      'last-modified',
      'referrer-policy',
      'vary',
      'x-content-type-options',
      'x-request-id',
    ])
  })
})

describe('a redirect', () => {
  it('leads to the bucket, and expires well before its target', async () => {
    const key = await put('a.png', 'pixels')
    vi.setSystemTime(Math.floor(Date.now() / 1000) * 1000)
    const { link } = await linkTo(key, { delivery: 'redirect' }, 'files')
    const response = await worker.fetch(link, { redirect: 'manual' })
    expect(response.status).toBe(302)
    const target = new URL(response.headers.get('Location') ?? '')
    expect(await textOf(await fetch(target))).toBe('pixels')
    const [, maxAge] =
      /^private, max-age=(\d+)$/.exec(response.headers.get('Cache-Control') ?? '') ?? []
    const signed = target.searchParams
    const [, day, hours, minutes, seconds] =
      /^(\d{8})T(\d\d)(\d\d)(\d\d)Z$/.exec(signed.get('X-Amz-Date') ?? '') ?? []
    const date = `${day?.slice(0, 4)}-${day?.slice(4, 6)}-${day?.slice(6)}T${hours}:${minutes}:${seconds}Z`
    const left = (Date.parse(date) - Date.now()) / 1000 + Number(signed.get('X-Amz-Expires'))
    expect(Number(maxAge)).toBeGreaterThan(0)
    expect(Number(maxAge)).toBeLessThanOrEqual(left / 2)
  })

  it('is the same for everyone within a window, and downloads what runs script', async () => {
    vi.setSystemTime(new Date('2026-11-24T12:00:00Z'))
    const { link } = await linkTo('a.svg', { delivery: 'redirect' }, 'files')
    const target = async () => (await worker.fetch(link)).headers.get('Location')
    const first = await target()
    vi.setSystemTime(new Date('2026-11-24T12:04:59Z'))
    expect(await target()).toBe(first)
    expect(first).toContain('response-content-disposition=attachment')
  })

  it('has a max-age that ends no later than the link', async () => {
    vi.setSystemTime(new Date('2026-11-24T12:00:00Z'))
    const { link } = await linkTo('a.png', { delivery: 'redirect', expiresIn: 60 }, 'files')
    vi.setSystemTime(new Date('2026-11-24T12:01:57Z'))
    expect((await worker.fetch(link)).headers.get('Cache-Control')).toBe('private, max-age=3')
  })

  it('limits its target to what the bucket and temporary credentials allow', async () => {
    vi.setSystemTime(new Date('2026-11-24T12:00:00Z'))
    const { link } = await linkTo('a.png', { delivery: 'redirect' }, 'files')
    const secondsOf = async (variables: object) => {
      const response = await testWorker({ ...variables }).fetch(link)
      expect(response.status).toBe(302)
      return new URL(response.headers.get('Location') ?? '').searchParams.get('X-Amz-Expires')
    }
    expect(await secondsOf({})).toBe('600')
    expect(
      await secondsOf({ BUCKETS: { files: { ...s3rverBucket(), maxExpiresIn: { view: 2 } } } }),
    ).toBe('2')
    expect(await secondsOf({ S3_CREDENTIAL_EXPIRATION: '2026-11-24T12:01:00Z' })).toBe('60')
  })
})
