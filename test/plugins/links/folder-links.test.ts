import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../../src/access/scopes.ts'
import { captureLog } from '../../support/capture-log.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import { inWords } from '../../support/errors.ts'
import { linkTo, open, putUnder, requestsFor, textOf } from '../../support/links.ts'
import { baseVariables, s3rverBucket, testWorker } from '../../support/worker.ts'

const ORIGIN = 'http://localhost:8787'
const worker = testWorker()
let serial = 0

interface Folder {
  readonly base: string
  readonly expiresAt: string
}

/** Returns a prefix that no other test uses. */
const newFolder = () => `folders/${serial++}-${crypto.randomUUID()}/`

async function linkFolder(prefix: string, body: object = {}, from = worker): Promise<Folder> {
  const response = await from.post('/links/folder', { prefix, bucket: 'counted', ...body })
  if (response.status !== 200) throw new Error(`No base: ${await response.text()}`)
  return response.json()
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const PLAYLIST = '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nseg 1.ts\n'

describe('a folder link', () => {
  it('shows every file below the prefix by a relative address', async () => {
    const prefix = newFolder()
    await putUnder(`${prefix}v/index.m3u8`, PLAYLIST, 'application/vnd.apple.mpegurl')
    await putUnder(`${prefix}v/seg 1.ts`, 'segment', 'video/mp2t')
    await putUnder(`${prefix}é (1).png`, 'pixels')
    const { base } = await linkFolder(prefix)
    expect(base).toMatch(/^http:\/\/localhost:8787\/f\/[\w.-]+\/folders\/[\w-]+\/$/)

    const index = new URL('v/index.m3u8', base).href
    const playlist = await open(index)
    expect(playlist.status).toBe(200)
    const [segment = ''] = (await textOf(playlist)).match(/^seg.*$/m) ?? []
    expect(await textOf(await open(new URL(segment, index).href))).toBe('segment')
    expect(await textOf(await open(new URL('é (1).png', base).href))).toBe('pixels')
    expect(await textOf(await open(`${base}${encodeURIComponent('é (1).png')}`))).toBe('pixels')
  })

  it('stays the same within its window and is valid for at least expiresIn', async () => {
    const prefix = newFolder()
    await putUnder(`${prefix}a.ts`, 'x')
    vi.setSystemTime(new Date('2026-11-24T12:00:00Z'))
    const made = await linkFolder(prefix, { expiresIn: 3600 })
    expect(made.expiresAt).toBe('2026-11-24T14:00:00.000Z')
    vi.setSystemTime(new Date('2026-11-24T12:59:59.999Z'))
    expect(await linkFolder(prefix, { expiresIn: 3600 })).toEqual(made)
    vi.setSystemTime(new Date('2026-11-24T13:59:59.999Z'))
    expect((await open(`${made.base}a.ts`)).status).toBe(200)
    expect((await linkFolder(prefix, { expiresIn: 3600 })).base).not.toBe(made.base)
    vi.setSystemTime(new Date('2026-11-24T14:00:00Z'))
    const gone = await open(`${made.base}a.ts`)
    expect(gone.status).toBe(410)
    expect(await gone.json()).toMatchObject({ code: 'link_expired' })
    expect(gone.headers.get('Cache-Control')).toBe('no-store')
  })

  it('shares the edge copy with other links, and has the same response', async () => {
    const prefix = newFolder()
    const key = await putUnder(`${prefix}a.png`, 'pixels')
    const { base } = await linkFolder(prefix)
    const { link } = await linkTo(key)
    const first = await open(link)
    await textOf(first)
    const second = await open(`${base}a.png`)
    expect(await textOf(second)).toBe('pixels')
    expect(second.headers.get('Cache-Status')).toBe('edge-presigner; hit')
    expect(await requestsFor(key)).toBe(1)
    const shown = ({ headers }: Response) =>
      [...headers].filter(([name]) => !['cache-status', 'x-request-id'].includes(name))
    expect(shown(second)).toEqual(shown(first))
  })

  it('answers ranges, conditions and HEAD', async () => {
    const prefix = newFolder()
    await putUnder(`${prefix}a.m4s`, '0123456789', 'video/iso.segment')
    const { base } = await linkFolder(prefix)
    const part = await open(`${base}a.m4s`, { Range: 'bytes=2-4' })
    expect(part.status).toBe(206)
    expect(part.headers.get('Content-Range')).toBe('bytes 2-4/10')
    expect(await textOf(part)).toBe('234')
    const head = await open(`${base}a.m4s`, {}, 'HEAD')
    expect([head.status, head.headers.get('Content-Length'), await textOf(head)]).toEqual([
      200,
      '10',
      '',
    ])
    const condition = { 'If-None-Match': head.headers.get('ETag') ?? '' }
    expect((await open(`${base}a.m4s`, condition)).status).toBe(304)
  })

  // @threat link-runs-script
  it.each([
    ['a.html', 'text/html', true],
    ['a.svg', 'image/svg+xml', true],
    ['a.m3u8', 'application/vnd.apple.mpegurl', true],
    ['a.mpd', 'application/dash+xml', true],
    ['a.vtt', 'text/plain', false],
    ['a.png', 'image/png', false],
  ])('shows %s as other links do', async (name, type, isSaved) => {
    const prefix = newFolder()
    await putUnder(prefix + name, 'x', type)
    const { base } = await linkFolder(prefix)
    const { headers } = await open(base + name)
    expect(headers.get('Content-Type')).toBe(type)
    expect(headers.get('Content-Disposition')).toBe(isSaved ? 'attachment' : null)
    expect(headers.get('Content-Security-Policy')).toBe(
      isSaved ? "sandbox; default-src 'none'" : null,
    )
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
    expect(headers.get('Cross-Origin-Resource-Policy')).toBe('cross-origin')
  })

  // @threat folder-escaped
  it('shows nothing outside its folder, and asks no bucket for it', async () => {
    const prefix = newFolder()
    const outside = await putUnder(`${prefix.slice(0, -1)}-b/secret.png`, 'secret')
    const above = await putUnder(`${prefix}secret.png`, 'secret')
    const { base } = await linkFolder(`${prefix}sub/`)
    const { base: sibling } = await linkFolder(prefix)
    for (const url of [
      new URL('../secret.png', base).href,
      `${base}..%2Fsecret.png`,
      `${base}%2e%2e/secret.png`,
      base.replace(/sub\/$/, 'secret.png'),
      `${sibling.slice(0, -1)}-b/secret.png`,
      base,
      sibling,
      base.slice(0, -1),
      `${base}a//b.png`,
      `${ORIGIN}/f/`,
      `${ORIGIN}/f`,
      `${ORIGIN}/f/a`,
    ]) {
      const response = await open(url)
      expect.soft(response.status, url).toBe(403)
      expect.soft(await response.json(), url).toMatchObject({ code: 'link_invalid' })
      expect.soft(response.headers.get('Cache-Control'), url).toBe('no-store')
    }
    expect(await requestsFor(outside)).toBe(0)
    expect(await requestsFor(above)).toBe(0)
  })

  // @threat link-two-spellings
  it('takes no query and no other method', async () => {
    const prefix = newFolder()
    await putUnder(`${prefix}a.ts`, 'x')
    const { base } = await linkFolder(prefix)
    for (const query of ['?', '?x=1', '?exp=1']) {
      const response = await open(`${base}a.ts${query}`)
      expect(response.status, query).toBe(403)
    }
    for (const method of ['POST', 'PUT', 'DELETE'])
      expect((await open(`${base}a.ts`, {}, method)).status, method).toBe(403)
    expect((await open(`${base}a.ts`)).status).toBe(200)
  })

  it('answers 404 for a missing object, and does not cache that response', async () => {
    const prefix = newFolder()
    const { base } = await linkFolder(prefix)
    for (const expected of [1, 2]) {
      const response = await open(`${base}none.ts`)
      expect(response.status).toBe(404)
      expect(await response.json()).toMatchObject({ code: 'object_not_found' })
      expect(await requestsFor(`${prefix}none.ts`)).toBe(expected)
    }
  })

  // @threat folder-leaked
  it('is in no log line and no Referer', async () => {
    const prefix = newFolder()
    await putUnder(`${prefix}a.ts`, 'x')
    const { base } = await linkFolder(prefix)
    const [, token = ''] = /\/f\/([^/]+)/.exec(base) ?? []
    const lines = captureLog()
    const responses = [
      await open(`${base}a.ts`),
      await open(`${base}none.ts`),
      await open(base),
      await open(`${base}a.ts`, {}, 'POST'),
      await open(`${base.replace('counted', 'x')}a.ts?`),
    ]
    for (const response of responses) {
      expect(response.headers.get('Referrer-Policy')).toBe('no-referrer')
      expect(await textOf(response)).not.toContain(token)
    }
    expect(lines.join('\n')).not.toContain(token)
    expect(lines.join('\n')).not.toContain(token.split('.')[2])
    expect(lines.join('\n')).not.toContain(prefix)
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { route: '/f/:token/:key', status: 200, bucket: 'counted' },
      { route: '/f/:token/:key', status: 404, bucket: 'counted' },
      { route: '/f/:token/:key', status: 403, reason: 'link malformed' },
      { status: 403, code: 'link_invalid' },
      { route: '/f/:token/:key', status: 403, reason: 'link rewritten' },
    ])
  })

  it('lets a player of a configured origin read ranges', async () => {
    const page = 'https://app.example'
    const variables = { ...baseVariables(), CORS_ORIGINS: [page] }
    const set = testWorker(variables)
    const prefix = newFolder()
    await putUnder(`${prefix}a.ts`, '0123456789', 'video/mp2t')
    const { base } = await linkFolder(prefix, { bucket: 'files' }, set)
    const headers = { Origin: page, Range: 'bytes=0-1' }
    const response = await set.fetch(`${base}a.ts`, { headers })
    expect(response.status).toBe(206)
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe(page)
    expect(response.headers.get('Access-Control-Expose-Headers')).toContain('Content-Range')
    const preflight = await set.fetch(`${base}a.ts`, {
      method: 'OPTIONS',
      headers: {
        Origin: page,
        'Access-Control-Request-Method': 'GET',
        'Access-Control-Request-Headers': 'range',
      },
    })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('Access-Control-Allow-Headers')).toBe('range')
    const foreign = await set.fetch(`${base}a.ts`, { headers: { Origin: 'https://evil.example' } })
    expect(foreign.headers.get('Access-Control-Allow-Origin')).toBeNull()
  })

  it('is on LINK_ORIGIN where that is set, and other hosts redirect to it', async () => {
    const variables = { ...baseVariables(), LINK_ORIGIN: 'https://img.example' }
    const api = testWorker(variables)
    const links = testWorker(variables, 'https://img.example')
    const prefix = newFolder()
    await putUnder(`${prefix}é.ts`, 'segment', 'video/mp2t')
    const { base } = await linkFolder(prefix, { bucket: 'files' }, api)
    expect(base.startsWith('https://img.example/f/')).toBe(true)
    expect(await textOf(await links.fetch(`${base}%C3%A9.ts`))).toBe('segment')
    const old = `${base.replace('https://img.example', ORIGIN)}%C3%A9.ts`
    const response = await api.fetch(old, { redirect: 'manual' })
    expect(response.status).toBe(308)
    expect(response.headers.get('Location')).toBe(`${base}%C3%A9.ts`)
    expect(response.headers.get('Referrer-Policy')).toBe('no-referrer')
    expect((await api.fetch(base.replace('https://img.example', ORIGIN))).status).toBe(403)
    expect((await links.post('/links/folder', { prefix })).status).toBe(404)
  })
})

describe('a folder link with restrictions', () => {
  const openFrom = (url: string, ip: string, country: string, method = 'GET') =>
    worker.fetch(url, {
      method,
      headers: { 'CF-Connecting-IP': ip },
      cf: { country } as CfProperties,
      redirect: 'manual',
    })

  // @threat link-restriction restricted-link-cached
  it('checks them for every file, before the edge copy, and is no-store', async () => {
    vi.setSystemTime(new Date('2026-11-24T12:00:00Z'))
    const prefix = newFolder()
    const key = await putUnder(`${prefix}a.ts`, 'segment', 'video/mp2t')
    const { link } = await linkTo(key)
    await textOf(await open(link)) // now the edge has a copy
    const { base, expiresAt } = await linkFolder(prefix, {
      notBefore: '2026-11-24T13:00:00Z',
      expiresIn: 3600,
      ips: ['192.0.2.0/24'],
      countries: ['DE'],
    })
    expect(expiresAt).toBe('2026-11-24T14:00:00.000Z')
    const code = async (response: Response) =>
      response.ok ? textOf(response) : inWords(await response.json<{ code: string }>())
    const from = async (ip: string, country: string) =>
      code(await openFrom(`${base}a.ts`, ip, country))
    expect(await from('192.0.2.7', 'DE')).toBe('link_invalid not_yet')
    vi.setSystemTime(new Date('2026-11-24T13:00:00Z'))
    expect(await from('192.0.2.7', 'DE')).toBe('segment')
    expect(await from('192.0.3.7', 'DE')).toBe('link_invalid address')
    expect(await from('192.0.2.7', 'FR')).toBe('link_invalid country')
    expect(await from('192.0.2.7', 'XX')).toBe('link_invalid country')
    expect((await open(`${base}a.ts`)).status).toBe(403)
    expect((await openFrom(`${base}a.ts`, '192.0.3.7', 'DE', 'HEAD')).status).toBe(403)
    const { headers } = await openFrom(`${base}a.ts`, '192.0.2.7', 'DE')
    expect(headers.get('Cache-Control')).toBe('no-store')
    expect(headers.get('Cache-Status')).toBe('edge-presigner; hit')
    // One for each copy: the first one has expired since noon.
    expect(await requestsFor(key)).toBe(2)
    vi.setSystemTime(new Date('2026-11-24T14:00:00Z'))
    expect(await from('192.0.2.7', 'DE')).toBe('link_expired')
  })

  it('refuses what other links refuse', async () => {
    for (const body of [
      { ips: ['192.0.2.1/24'] },
      { ips: [] },
      { countries: ['UK'] },
      { countries: ['DE'], notCountries: ['FR'] },
      { notBefore: 'tomorrow' },
    ]) {
      const response = await worker.post('/links/folder', { prefix: 'a/', ...body })
      expect(await response.json(), JSON.stringify(body)).toMatchObject({ code: 'invalid_request' })
    }
  })
})

describe('POST /links/folder', () => {
  // @threat folder-too-wide
  it.each([
    ['', 'invalid_key'],
    ['a', 'invalid_key'],
    ['/', 'invalid_key'],
    ['/a/', 'invalid_key'],
    ['a//', 'invalid_key'],
    ['a/../', 'invalid_key'],
    ['a/./b/', 'invalid_key'],
    ['e\u0301/', 'invalid_key'],
    ['a\n/', 'invalid_key'],
    ['a\\b/', 'invalid_key'],
    [`${'a'.repeat(1024)}/`, 'invalid_key'],
  ])('refuses the prefix %j', async (prefix, code) => {
    const response = await worker.post('/links/folder', { prefix })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code })
  })

  it.each([0, -1, 15_768_001])('refuses a lifetime of %d seconds', async (expiresIn) => {
    const response = await worker.post('/links/folder', { prefix: 'a/', expiresIn })
    expect(await response.json()).toMatchObject({ code: 'invalid_expiry' })
  })

  // @threat folder-too-wide
  it("needs links:create and files:read, and a folder below the caller's prefix", async () => {
    const ask = async (scopes: readonly (typeof SCOPES)[number][], prefix: string) => {
      const key = await testApiKey('a', scopes, 'team-a/')
      const set = testWorker({ API_KEYS: [key.entry], OPEN_ACCESS: undefined })
      return (await set.post('/links/folder', { prefix }, bearer(key.token))).status
    }
    expect(await ask(['links:create', 'files:read'], 'team-a/')).toBe(200)
    expect(await ask(['links:create', 'files:read'], 'team-a/b/')).toBe(200)
    expect(await ask(SCOPES, 'team-ab/')).toBe(403)
    expect(await ask(SCOPES, 'team-b/')).toBe(403)
    expect(await ask(['links:create', 'files:list'], 'team-a/')).toBe(403)
    expect(await ask(['files:read', 'files:list'], 'team-a/')).toBe(403)
  })

  // @threat token-limit-skipped
  it("keeps the limits of the caller's token", async () => {
    const key = await testApiKey('a', SCOPES)
    const BUCKETS = { files: s3rverBucket(), other: s3rverBucket() }
    const set = testWorker({ BUCKETS, API_KEYS: [key.entry], OPEN_ACCESS: undefined })
    const request = { scopes: SCOPES, buckets: ['other'], maxExpiresIn: 600, prefix: 'team-a/' }
    const minted = await set.post('/tokens', request, bearer(key.token))
    const { token } = await minted.json<{ token: string }>()
    const ask = (body: object) => set.post('/links/folder', body, bearer(token))
    const made = await ask({ prefix: 'team-a/' })
    const { base, expiresAt } = await made.json<Folder>()
    expect((Date.parse(expiresAt) - Date.now()) / 1000).toBeLessThanOrEqual(600)
    expect(atob(base.split('.')[1] ?? '')).toContain('"bucket":"other"')
    expect((await ask({ prefix: 'team-a/', bucket: 'files' })).status).toBe(403)
    expect((await ask({ prefix: 'team-a/', expiresIn: 301 })).status).toBe(400)
    expect((await ask({ prefix: 'team-a/', expiresIn: 300 })).status).toBe(200)
    expect((await ask({ prefix: 'team-b/' })).status).toBe(403)
  })

  it('refuses another body', async () => {
    for (const body of [{}, { prefix: 1 }, { prefix: 'a/', download: 'x' }, { prefix: ['a/'] }])
      expect((await worker.post('/links/folder', body)).status).toBe(400)
  })
})
