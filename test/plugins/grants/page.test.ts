import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { newSecretId } from '../../../src/state/item.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { captureLog } from '../../support/capture-log.ts'
import { runs } from '../../support/fuzz.ts'
import {
  currently,
  type Grant,
  grantFor,
  inFuture,
  outcome,
  putReport,
  submit,
  visit,
  workerWith,
} from '../../support/grants.ts'
import { hostileText } from '../../support/hostile.ts'
import { putChosen, textOf } from '../../support/links.ts'
import { baseVariables, testWorker } from '../../support/worker.ts'

const worker = testWorker()
const HTML = { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

/** Opens the page of a grant as a browser does. */
const pageOf = async ({ url }: Grant, headers: Record<string, string> = HTML): Promise<string> =>
  (await visit(url, { headers })).text()

describe('the page of a grant', () => {
  it('shows name, size, label and a button, and neither a script nor the secret', async () => {
    const grant = await grantFor({ label: 'For you' })
    const response = await visit(grant.url, { headers: HTML })
    expect(response.status).toBe(200)
    const text = await response.text()
    expect(text).toContain('<h1>report.pdf</h1>')
    expect(text).toMatch(/<p>8 bytes \u00b7 Works until .* UTC\.<\/p>/)
    expect(text).toContain('<blockquote>For you</blockquote>')
    expect(text).toContain('<form method="post">')
    expect(text).toContain('<button>Download</button>')
    expect(text).not.toMatch(/<script|password|javascript:/i)
    expect(text).not.toContain(grant.url.slice(-22))
  })

  it('has a labelled field for a password', async () => {
    const grant = await grantFor({ password: 'open door', label: 'For you', uses: 1 })
    const text = await pageOf(grant)
    expect(text).toContain('<label for="password">Password</label>')
    expect(text).toContain('<button>Continue</button>')
    // Nothing of the file is shown before.
    expect(text).not.toMatch(/report|bytes|For you/)
    expect(text).toMatch(/Works once, until .* UTC\./)
    const body = new URLSearchParams({ show: '1', password: 'open door' })
    const shown = await worker.fetch(grant.url, { method: 'POST', body })
    expect(shown.status).toBe(200)
    const page = await shown.text()
    expect(page).toMatch(/<h1>report\.pdf<\/h1>[\s\S]*8 bytes[\s\S]*For you/)
    expect((await currently(grant)).usesLeft).toBe(1)
    const [, unlocked = ''] = /name="unlocked" value="([^"]+)"/.exec(page) ?? []
    const take = (proof: string, of = grant) =>
      worker.fetch(of.url, {
        ...{ method: 'POST', redirect: 'manual' },
        body: new URLSearchParams({ unlocked: proof }),
      })
    expect(await outcome(take(`${unlocked}x`))).toBe('403 password_wrong')
    const other = await grantFor({ password: 'open door' })
    expect(await outcome(take(unlocked, other))).toBe('403 password_wrong')
    expect(await outcome(take(unlocked))).toBe('303')
    expect((await currently(grant)).usesLeft).toBe(0)
    expect(text).toMatch(/<input id="password" name="password" type="password" required/)
  })

  // @threat grant-page-framed
  it('can be neither framed nor cached, and tells nobody its URL', async () => {
    const { headers } = await visit((await grantFor()).url, { headers: HTML })
    const policy = headers.get('Content-Security-Policy') ?? ''
    expect(policy.split('; ').toSorted()).toEqual([
      "base-uri 'none'",
      "default-src 'none'",
      "form-action 'self'",
      "frame-ancestors 'none'",
      expect.stringMatching(/^style-src 'nonce-[\w-]{22}'$/),
    ])
    expect(headers.get('X-Frame-Options')).toBe('DENY')
    expect(headers.get('Cache-Control')).toBe('no-store')
    expect(headers.get('Referrer-Policy')).toBe('strict-origin')
    expect(headers.get('X-Robots-Tag')).toBe('noindex')
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
  })

  // @threat grant-counted-by-scanner
  it('never counts, whoever fetches it', async () => {
    const grant = await grantFor({ uses: 1 })
    const requests: RequestInit[] = [
      { headers: HTML },
      { headers: {} },
      { method: 'HEAD' },
      { headers: { 'Sec-Purpose': 'prefetch;prerender' } },
      { headers: { 'User-Agent': 'Slackbot-LinkExpanding 1.0', Range: 'bytes=0-100' } },
      { headers: { Accept: 'image/*', 'If-None-Match': '*' } },
    ]
    for (const init of requests) expect((await visit(grant.url, init)).status).toBe(200)
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS'])
      expect(await outcome(visit(grant.url, { method }))).toBe('410 grant_ended')
    expect(await currently(grant)).toEqual(grant)
    expect(await outcome(submit(grant.url))).toBe('303')
  })

  // @threat grant-text-hostile
  it('shows hostile names and labels as plain text that reads in one direction', async () => {
    const key = await putChosen('a.png', 'pixels')
    const evil = 'gnp.\u202eexe"><script>alert(1)</script><!--\u2066'
    await worker.post('/files', { key, name: 'photo"><img src=x>' })
    const text = await pageOf(await grantFor({ key, label: evil }))
    expect(text).toContain('<h1>photo&quot;&gt;&lt;img src=x&gt;</h1>')
    expect(text).toContain('<title>photo&quot;&gt;&lt;img src=x&gt;</title>')
    expect(text).toContain(
      'gnp. exe&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!-- </blockquote>',
    )
    expect(text).not.toMatch(/\p{Bidi_Control}/u)
  })

  // @threat grant-text-hostile
  it('has the same elements with every label', async () => {
    const tags = (text: string) =>
      text.match(/<[!/a-z][^>]*>/gi)?.filter((tag) => !/nonce|name="page"/.test(tag))
    const key = await putReport()
    const usual = tags(await pageOf(await grantFor({ key, label: 'For you' })))
    const labels = hostileText.filter(
      (text) => text.length <= 200 && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text),
    )
    await fc.assert(
      fc.asyncProperty(labels, async (label) => {
        const text = await pageOf(await grantFor({ key, label }))
        expect(tags(text)).toEqual(usual)
        expect(text).not.toMatch(/\p{Bidi_Control}/u)
      }),
      { numRuns: runs(50) },
    )
  })

  it('is a page for a browser, and JSON for others, when the grant has ended', async () => {
    const url = 'http://localhost:8787/g/AAAAAAAAAAAAAAAAAAAAAA'
    expect(await outcome(visit(url))).toBe('410 grant_ended')
    const response = await visit(url, { headers: HTML })
    expect(response.status).toBe(410)
    expect(response.headers.get('Content-Security-Policy')).toContain("frame-ancestors 'none'")
    const text = await response.text()
    expect(text).toContain('<h1>This link is no longer valid</h1>')
    expect(text).not.toContain('<form')
  })

  // @threat grant-id-guessed
  it.each([
    'AAAAAAAAAAAAAAAAAAAAA',
    'AAAAAAAAAAAAAAAAAAAAAAA',
    'AAAAAAAAAAAAAAAAAAAAAB',
    '0123456789abcdef0123456789abcdef',
    'AAAAAAAAAAAAAAAAAAAAA%41',
    'AAAAAAAAAAAAAAAAAAAAA=',
    'AAAAAAAAAAAAAAAAAAAA%zz',
    'a/b',
    '',
    '%00',
    '../healthz',
  ])('is not found by the id %j, and no object is asked', async (id) => {
    const asked: string[] = []
    const by = workerWith(({ name, call }) => {
      asked.push(name)
      return call()
    })
    const url = `http://localhost:8787/g/${id}`
    if (new URL(url).pathname.startsWith('/g/'))
      for (const method of ['GET', 'POST'])
        expect(await outcome(visit(url, { method }, by))).toBe('410 grant_ended')
    expect(asked).toEqual([])
  })

  // @threat grant-id-guessed
  it('has one spelling, with any query', async () => {
    const grant = await grantFor()
    const secret = grant.url.slice(-22)
    const encoded = `%${secret.charCodeAt(0).toString(16)}${secret.slice(1)}`
    expect(await outcome(visit(grant.url.replace(secret, encoded)))).toBe('410 grant_ended')
    expect(await outcome(visit(`${grant.url}/`))).toBe('410 grant_ended')
    expect(await outcome(visit(`${grant.url}?utm_source=mail`))).toBe('200')
    expect(await outcome(submit(`${grant.url}?utm_source=mail`))).toBe('303')
  })

  // @threat grant-id-guessed
  it('counts every visit of a network before it asks the object', async () => {
    const counted: string[] = []
    const limiter = {
      async limit({ key }: { key: string }) {
        counted.push(key)
        return { success: false }
      },
    }
    const limited = testWorker({ RATE_LIMITER: limiter })
    const grant = await grantFor({ password: 'open door' })
    const unknown = grant.url.replace(/.{22}$/, 'AAAAAAAAAAAAAAAAAAAAAA')
    const headers = { 'CF-Connecting-IP': '192.0.2.7' }
    for (const url of [grant.url, unknown, `${unknown}A`])
      expect(await outcome(limited.fetch(url, { headers }))).toBe('429 rate_limited')
    const guess = { password: 'wrong', ip: '192.0.2.7' }
    expect(await outcome(submit(grant.url, guess, limited))).toBe('429 rate_limited')
    expect(counted).toEqual(Array(4).fill('network 192.0.2.7'))
    expect((await currently(grant)).wrongPasswords).toBe(0)
  })
})

describe('the form of a grant', () => {
  // @threat grant-page-framed
  it('redirects to an ordinary link for ten minutes, which saves under the name', async () => {
    const grant = await grantFor({ uses: 1 })
    const before = Date.now() / 1000
    const response = await submit(grant.url)
    const after = Date.now() / 1000
    expect(response.status).toBe(303)
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    expect(response.headers.get('Referrer-Policy')).toBe('no-referrer')
    const link = response.headers.get('Location') ?? ''
    expect(link).toMatch(/^http:\/\/localhost:8787\/i\/files\/links/)
    const expires = Number(new URL(link).searchParams.get('exp'))
    expect(expires).toBeGreaterThan(before + 599)
    expect(expires).toBeLessThan(after + 601)
    for (let i = 0; i < 2; i++) {
      const file = await worker.fetch(link)
      expect(await textOf(file)).toBe('a report')
      expect(file.headers.get('Content-Disposition')).toBe('attachment; filename="report.pdf"')
    }
    const part = await worker.fetch(link, { headers: { Range: 'bytes=2-3' } })
    expect([part.status, await textOf(part)]).toEqual([206, 're'])
    vi.useFakeTimers({ toFake: ['Date'], now: expires * 1000 })
    expect(await outcome(worker.fetch(link))).toBe('410 link_expired')
  })

  /** Returns what the form of a grant's page says about the page. */
  const pageIn = async (grant: Grant): Promise<string> =>
    /<input type="hidden" name="page" value="([\w-]{22})">/.exec(await pageOf(grant))?.[1] ?? ''

  // @threat grant-used-twice
  it('takes one use for each page, however often it is sent, and always has the same link', async () => {
    const grant = await grantFor({ uses: 2, password: 'open door' })
    const [page, other] = [await pageIn(grant), await pageIn(grant)]
    expect(page).not.toBe(other)
    const send = (of: string, password = 'open door') => submit(grant.url, { password, page: of })
    const links = new Set<string | null>()
    // A double click, whose requests overtake each other, and then another one.
    for (const answer of await Promise.all([send(page), send(page), send(page)]))
      links.add(answer.headers.get('Location'))
    links.add((await send(page)).headers.get('Location'))
    expect([...links]).toEqual([expect.stringContaining('/i/files/')])
    expect((await currently(grant)).usesLeft).toBe(1)
    expect(await outcome(send(other))).toBe('303')
    const used = await currently(grant)
    expect(used.usesLeft).toBe(0)
    expect((await send(page)).headers.get('Location')).toBe([...links][0])
    expect(await outcome(send(page, 'shut'))).toBe('403 password_wrong')
    expect(await outcome(send(await pageIn(await grantFor())))).toBe('410 grant_ended')
    expect(await currently(grant)).toEqual({ ...used, wrongPasswords: 1 })
  })

  // @threat grant-download-lost
  it('gives its link again for 24 hours, also after a reload, until the grant is withdrawn', async () => {
    const grant = await grantFor({ uses: 1, deadline: inFuture(3 * 86_400_000) })
    const used = await submit(grant.url, { page: await pageIn(grant) })
    const cookie = used.headers.get('Set-Cookie') ?? ''
    expect(cookie).toMatch(
      /^page=[\w-]{22}; Path=\/g\/[\w-]{22}; Max-Age=86400; HttpOnly; SameSite=Lax$/,
    )
    const headers = { Cookie: cookie.split(';')[0] ?? '', ...HTML }
    const start = Date.now()
    vi.useFakeTimers({ toFake: ['Date'], now: start + 23 * 3_600_000 })
    const repeated = await pageOf(grant, headers)
    expect(repeated).toContain('<button>Download again</button>')
    // No promise beyond the deadline.
    expect(repeated).toMatch(/for 24 hours, and at most until \w+ \d+, \d{4}/)
    const again = await submit(grant.url, { page: newSecretId(), headers })
    expect(again.status).toBe(303)
    expect((await worker.fetch(again.headers.get('Location') ?? '')).status).toBe(200)
    expect((await currently(grant)).usesLeft).toBe(0)
    // Nobody else.
    expect(await outcome(visit(grant.url))).toBe('410 grant_ended')
    expect(await outcome(submit(grant.url))).toBe('410 grant_ended')
    vi.setSystemTime(start + 86_400_000)
    expect(await outcome(submit(grant.url, { headers: { Cookie: headers.Cookie } }))).toBe(
      '410 grant_ended',
    )
    vi.setSystemTime(start + 3_600_000)
    await worker.fetch(`/grants/${grant.id}`, { method: 'DELETE' })
    expect(await outcome(submit(grant.url, { headers: { Cookie: headers.Cookie } }))).toBe(
      '410 grant_ended',
    )
  })

  // @threat grant-withdrawn
  it('is not repeated after the grant has ended', async () => {
    const withdrawn = await grantFor({ uses: 1 })
    const expired = await grantFor({ uses: 1, deadline: inFuture(60_000) })
    const pages = [await pageIn(withdrawn), await pageIn(expired)]
    const send = ({ url }: Grant, page = '') => outcome(submit(url, { page }))
    expect(await send(withdrawn, pages[0])).toBe('303')
    expect(await send(expired, pages[1])).toBe('303')
    await worker.fetch(`/grants/${withdrawn.id}`, { method: 'DELETE' })
    expect(await send(withdrawn, pages[0])).toBe('410 grant_ended')
    vi.useFakeTimers({ toFake: ['Date'], now: Date.parse(expired.deadline) })
    expect(await send(expired, pages[1])).toBe('410 grant_ended')
  })

  it('gives a new link when its link has expired, also for a bucket with shorter links', async () => {
    const { files } = baseVariables().BUCKETS
    const short = testWorker({ BUCKETS: { files: { ...files, maxExpiresIn: { link: 60 } } } })
    const grant = await grantFor({ uses: 2 }, short)
    const page = await pageIn(grant)
    const send = async () =>
      (await submit(grant.url, { page }, short)).headers.get('Location') ?? ''
    const link = await send()
    const expires = Number(new URL(link).searchParams.get('exp')) * 1000
    vi.useFakeTimers({ toFake: ['Date'], now: expires - 2000 })
    expect(await send()).toBe(link)
    vi.setSystemTime(expires)
    const next = await send()
    expect(next).not.toBe(link)
    expect(await outcome(short.fetch(next))).toBe('200')
    expect((await currently(grant)).usesLeft).toBe(1)
  })

  it('counts each use of a client that makes up a page', async () => {
    const grant = await grantFor({ uses: 2 })
    for (const page of ['1', '']) expect(await outcome(submit(grant.url, { page }))).toBe('303')
    expect(await outcome(submit(grant.url, { page: '1' }))).toBe('410 grant_ended')
  })

  it('saves under the name that the creator chose', async () => {
    const grant = await grantFor({ download: 'Bericht für Sie.pdf' })
    const link = (await submit(grant.url)).headers.get('Location') ?? ''
    const { headers } = await worker.fetch(link)
    expect(headers.get('Content-Disposition')).toContain("filename*=UTF-8''Bericht%20f%C3%BCr")
  })

  // @threat grant-csrf
  it.each([
    [{ Origin: 'null' }],
    [{ Origin: 'https://evil.example' }],
    [{ Origin: 'https://localhost:8787' }],
    [{ Origin: 'http://localhost:8788' }],
    [{ Origin: '' }],
    [{ Origin: 'null', 'Sec-Fetch-Site': 'cross-site' }],
    [{ Origin: 'http://localhost:8787', 'Sec-Fetch-Site': 'same-site' }],
    [{ 'Sec-Fetch-Site': 'cross-site' }],
    [{ 'Sec-Fetch-Site': 'none' }],
  ])('refuses a page of another origin: %j', async (headers) => {
    const grant = await grantFor({ uses: 1, password: 'open door' })
    const answer = await submit(grant.url, { password: 'open door', headers })
    expect(await outcome(answer)).toBe('403 forbidden')
    expect((await currently(grant)).usesLeft).toBe(1)
  })

  // @threat grant-csrf
  it.each([
    [{ Origin: 'http://localhost:8787', 'Sec-Fetch-Site': 'same-origin' }],
    [{ Origin: 'http://localhost:8787' }],
    [{}],
  ])('accepts its own page and clients that are no browsers: %j', async (headers) => {
    expect(await outcome(submit((await grantFor()).url, { headers }))).toBe('303')
  })

  it('is shown again with what is wrong', async () => {
    const grant = await grantFor({ password: 'open door', label: 'For you', uses: 1 })
    const wrong = await submit(grant.url, { password: 'shut', headers: HTML })
    expect(wrong.status).toBe(403)
    const text = await wrong.text()
    expect(text).toContain('<p id="error" role="alert">The password is wrong.</p>')
    expect(text).toContain('aria-invalid="true" aria-describedby="error"')
    expect(text).not.toContain('For you')
    const missing = await submit(grant.url, { headers: HTML })
    expect(missing.status).toBe(403)
    expect(await missing.text()).toContain('Enter the password.')
    expect(await outcome(submit(grant.url, { password: 'shut' }))).toBe('403 password_wrong')
    for (let i = 0; i < 2; i++) await submit(grant.url, { password: 'shut' })
    const late = await submit(grant.url, { password: 'open door', headers: HTML })
    expect([late.status, late.headers.get('Retry-After')]).toEqual([429, '1'])
    expect(await late.text()).toMatch(
      /role="alert">Too many wrong passwords. Try again in 1 second\./,
    )
    expect((await currently(grant)).usesLeft).toBe(1)
  })

  it('takes a password in every Unicode form, and no other', async () => {
    const grant = await grantFor({ password: 'Caf\u00e9 & 50 % + 1' })
    expect(await outcome(submit(grant.url, { password: 'Cafe\u0301 & 50 % + 1' }))).toBe('303')
    expect(await outcome(submit(grant.url, { password: 'caf\u00e9 & 50 % + 1' }))).toBe(
      '403 password_wrong',
    )
  })

  it('must be a small form', async () => {
    const grant = await grantFor({ password: 'open door' })
    const send = (type: string, body: BodyInit) =>
      outcome(visit(grant.url, { method: 'POST', headers: { 'Content-Type': type }, body }))
    const form = 'application/x-www-form-urlencoded'
    expect(await send('application/json', '{"password":"open door"}')).toBe(
      '415 unsupported_media_type',
    )
    expect(await send('text/plain', 'password=open+door')).toBe('415 unsupported_media_type')
    expect(await send(form, `password=${'a'.repeat(4090)}`)).toBe('413 body_too_large')
    expect(await send(form, new Uint8Array([0x70, 0xff]))).toBe('400 invalid_request')
    expect(await send(`${form}; charset=UTF-8`, 'password=open+door')).toBe('303')
  })

  it('takes no use while the object is missing, or the bucket fails', async () => {
    const key = await putReport()
    const grant = await grantFor({ key, uses: 1 })
    await bucketFetch(key.split('/').map(encodeURIComponent).join('/'), { method: 'DELETE' })
    expect(await outcome(submit(grant.url))).toBe('404 object_not_found')
    const broken = testWorker({
      BUCKETS: { files: { ...baseVariables().BUCKETS.files, endpoint: 'http://127.0.0.1:9' } },
    })
    captureLog()
    expect(await outcome(submit(grant.url, {}, broken))).toBe('502 storage_error')
    expect((await currently(grant)).usesLeft).toBe(1)
  })

  it('checks the restrictions, and adds them to the link', async () => {
    const restrictions = { countries: ['DE'], ips: ['192.0.2.0/24'] }
    const grant = await grantFor({ uses: 1, restrictions })
    const inside = { ip: '192.0.2.7', country: 'DE' }
    expect(await outcome(submit(grant.url, { ...inside, country: 'AT' }))).toBe(
      '403 link_invalid country',
    )
    expect(await outcome(submit(grant.url, { ...inside, ip: '198.51.100.1' }))).toBe(
      '403 link_invalid address',
    )
    expect(await outcome(visit(grant.url))).toBe('403 link_invalid address')
    expect((await currently(grant)).usesLeft).toBe(1)
    const link = (await submit(grant.url, inside)).headers.get('Location') ?? ''
    expect(link).toContain('&ips=192.0.2.0/24&countries=DE&')
    expect(await outcome(worker.fetch(link))).toBe('403 link_invalid address')
  })

  it('waits for notBefore', async () => {
    const notBefore = inFuture(60_000)
    const grant = await grantFor({ restrictions: { notBefore } })
    expect(await outcome(submit(grant.url))).toBe('403 link_invalid not_yet')
    vi.useFakeTimers({ toFake: ['Date'], now: Math.ceil(Date.parse(notBefore) / 1000) * 1000 })
    expect(await outcome(submit(grant.url))).toBe('303')
  })
})

describe('a direct grant', () => {
  it('redirects each GET, for an <img> or a script, and shows the file', async () => {
    const key = await putChosen('cat.png', 'pixels')
    const grant = await grantFor({ key, direct: true, uses: 2 })
    const response = await visit(grant.url, { headers: { Accept: 'image/*' } })
    expect(response.status).toBe(302)
    expect(response.headers.get('Cross-Origin-Resource-Policy')).toBe('cross-origin')
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    const file = await worker.fetch(response.headers.get('Location') ?? '')
    expect(await textOf(file)).toBe('pixels')
    expect(file.headers.get('Content-Disposition')).toBeNull()
    expect((await visit(grant.url, { headers: HTML })).status).toBe(302)
    expect(await outcome(visit(grant.url))).toBe('410 grant_ended')
  })

  it('saves under a name if it has one', async () => {
    const key = await putChosen('cat.png', 'pixels')
    const grant = await grantFor({ key, direct: true, download: 'c.png' })
    const link = (await visit(grant.url)).headers.get('Location') ?? ''
    const { headers } = await worker.fetch(link)
    expect(headers.get('Content-Disposition')).toBe('attachment; filename="c.png"')
  })

  // @threat grant-counted-by-scanner
  it('takes no use for a HEAD or a prefetch', async () => {
    const grant = await grantFor({ direct: true, uses: 1 })
    const head = await visit(grant.url, { method: 'HEAD' })
    expect([head.status, head.headers.get('Location')]).toEqual([200, null])
    for (const headers of [
      { 'Sec-Purpose': 'prefetch' },
      { 'Sec-Purpose': 'prefetch;prerender' },
      { Purpose: 'prefetch' },
      { 'X-Moz': 'prefetch' },
      { 'X-Purpose': 'preview' },
      { 'Sec-Purpose': '', Purpose: 'prefetch' },
    ]) {
      const answer = await visit(grant.url, { headers })
      expect([answer.status, answer.headers.get('Location')]).toEqual([503, null])
    }
    expect((await currently(grant)).usesLeft).toBe(1)
    expect((await visit(grant.url)).status).toBe(302)
  })
})

describe('with a host for links', () => {
  const API = 'https://api.example'
  const LINKS = 'https://img.example'
  const by = testWorker({ LINK_ORIGIN: LINKS, OPEN_ACCESS: 'localhost' }, 'http://localhost')
  const grantHere = () => grantFor({ uses: 1 }, by)

  // @threat grant-page-framed
  it('the page and its form live there, and the API redirects to them', async () => {
    const { url } = await grantHere()
    expect(url).toMatch(/^https:\/\/img\.example\/g\/[\w-]{22}$/)
    const atApi = url.replace(LINKS, API)
    for (const method of ['GET', 'HEAD', 'POST']) {
      const answer = await visit(atApi, { method }, by)
      expect([answer.status, answer.headers.get('Location')]).toEqual([308, url])
      expect(answer.headers.get('Referrer-Policy')).toBe('no-referrer')
    }
    expect(await textOf(await visit(url, { headers: HTML }, by))).toContain('<form method="post">')
    const headers = { Origin: LINKS, 'Sec-Fetch-Site': 'same-origin' }
    const response = await submit(url, { headers }, by)
    expect(response.status).toBe(303)
    const link = response.headers.get('Location') ?? ''
    expect(link).toMatch(/^https:\/\/img\.example\/i\/files\//)
    expect(await textOf(await by.fetch(link))).toBe('a report')
  })

  it('the API is not there', async () => {
    for (const path of ['/grants', `/grants/${(await grantHere()).id}`])
      expect(await outcome(by.fetch(LINKS + path))).toBe('404 not_found')
  })
})
