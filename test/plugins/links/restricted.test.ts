import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { signLink } from '../../../src/access/link-signature.ts'
import { SCOPES } from '../../../src/access/scopes.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { signFolder } from '../../../src/plugins/links/folder.ts'
import { restricted } from '../../../src/plugins/links/restrictions.ts'
import { captureLog } from '../../support/capture-log.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import { inWords } from '../../support/errors.ts'
import { twoColorPng } from '../../support/images.ts'
import {
  type Link,
  linkTo,
  open,
  putObject as put,
  putChosen,
  requestsFor,
  textOf,
} from '../../support/links.ts'
import { mount } from '../../support/mount.ts'
import { signingSettings } from '../../support/signing-settings.ts'
import { baseVariables, testWorker } from '../../support/worker.ts'

/** The officially assigned codes of ISO 3166-1 alpha-2. */
const COUNTRIES =
  'AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN ' +
  'BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ ' +
  'DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL ' +
  'GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM ' +
  'JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME ' +
  'MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP ' +
  'NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD ' +
  'SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO ' +
  'TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW'

const NOON = new Date('2026-11-24T12:00:00Z')
const worker = testWorker()

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOON })
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

/** Where a request seems to come from. */
interface From {
  readonly ip?: string
  readonly country?: string | null
  readonly headers?: HeadersInit
  readonly method?: string
}

/** Follows a link from an address and a country. */
function openFrom(link: string, { ip, country, headers, method = 'GET' }: From = {}, by = worker) {
  const sent = new Headers(headers)
  if (ip !== undefined) sent.set('CF-Connecting-IP', ip)
  const cf = country === undefined ? {} : { cf: { country } as CfProperties }
  return by.fetch(link, { method, headers: sent, redirect: 'manual', ...cf })
}

const outcome = async (response: Response) =>
  response.ok ? textOf(response) : inWords(await response.json())

/** Returns the status, the code and the paths of the issues of a refused request for a link. */
async function refusal(body: object, path = '/files/a.png/link') {
  const response = await worker.post(path, body)
  const { code, issues = [] } = await response.json<{ code: string; issues?: { path: string }[] }>()
  return [response.status, code, ...issues.map((issue) => issue.path)]
}

describe('a request for a restricted link', () => {
  it('is answered with a link that says its restrictions in one way', async () => {
    const { link } = await linkTo('a.png', {
      notBefore: '2026-11-24T18:00:00Z',
      ips: ['2001:0DB8::/32', '192.0.2.7/32', '192.0.2.0/24', '192.0.2.7'],
      countries: ['DE', 'AT', 'DE'],
    })
    expect(new URL(link).search).toMatch(
      /^\?exp=1795629600&nbf=1795543200&ips=192\.0\.2\.0\/24,192\.0\.2\.7,2001:db8::\/32&countries=AT,DE&kid=k1&sig=[\w-]{43}$/,
    )
    const same = {
      notBefore: '2026-11-24T17:59:59.001Z',
      ips: ['192.0.2.7', '2001:db8:0::/32', '192.0.2.0/24'],
      countries: ['AT', 'DE'],
    }
    expect((await linkTo('a.png', same)).link).toBe(link)
    const response = await worker.post('/links', { ...same, keys: ['a.png'], bucket: 'counted' })
    expect(await response.json()).toMatchObject({ links: [{ link }] })
    expect((await linkTo('a.png', { notCountries: ['US'] })).link).toContain('&notCountries=US&kid')
  })

  it.each([
    [{ notBefore: 1_795_543_200 }, 'notBefore'],
    [{ notBefore: '2026-11-25' }, 'notBefore'],
    [{ notBefore: '2026-11-25T18:00:00' }, 'notBefore'],
    [{ notBefore: '2026-11-25T18:00:00+01:00' }, 'notBefore'],
    [{ notBefore: '2026-02-30T18:00:00Z' }, 'notBefore'],
    [{ notBefore: '2026-11-25T24:00:00Z' }, 'notBefore'],
    [{ notBefore: '2026-11-25T18:00:60Z' }, 'notBefore'],
    [{ notBefore: '2026-13-25T18:00:00Z' }, 'notBefore'],
    [{ notBefore: ' 2026-11-25T18:00:00Z' }, 'notBefore'],
    [{ notBefore: null }, 'notBefore'],
    [{ ips: '192.0.2.1' }, 'ips'],
    [{ ips: [] }, 'ips'],
    [{ ips: Array(17).fill('192.0.2.1') }, 'ips'],
    [{ ips: ['192.0.2.1', '192.0.2.1/24'] }, 'ips.1'],
    [{ ips: ['192.0.2.0/33'] }, 'ips.0'],
    [{ ips: ['::ffff:192.0.2.1'] }, 'ips.0'],
    [{ ips: ['192.0.2.1&countries=DE'] }, 'ips.0'],
    [{ ips: ['192.0.2.1,192.0.2.2'] }, 'ips.0'],
    [{ countries: [] }, 'countries'],
    [{ countries: Array(65).fill('DE') }, 'countries'],
    [{ countries: ['de'] }, 'countries.0'],
    [{ countries: ['DEU'] }, 'countries.0'],
    [{ countries: ['AT', 'XX'] }, 'countries.1'],
    [{ countries: ['T1'] }, 'countries.0'],
    [{ countries: ['QQ'] }, 'countries.0'],
    // The United Kingdom is GB: a link that is not for UK would be for everyone.
    [{ notCountries: ['UK'] }, 'notCountries.0'],
    [{ notCountries: ['XX'] }, 'notCountries.0'],
    [{ notCountries: ['EU'] }, 'notCountries.0'],
    [{ countries: ['DE'], notCountries: ['US'] }, 'notCountries'],
    [{ country: 'DE' }, ''],
  ])('is refused with %j', async (body, path) => {
    for (const [route, more] of [
      ['/files/a.png/link', {}],
      ['/links', { keys: ['a.png'] }],
    ] as const)
      expect(await refusal({ ...body, ...more }, route)).toEqual([400, 'invalid_request', path])
  })

  // @threat link-restriction
  it('may name the countries of ISO 3166 and Kosovo, and no other code of two letters', () => {
    const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ']
    const accepted = letters
      .flatMap((one) => letters.map((two) => one + two))
      .filter((code) => restricted.notCountries.safeParse([code]).success)
    expect(accepted).toEqual([...COUNTRIES.split(' '), 'XK'].toSorted())
  })

  it('may have 16 addresses and 64 countries', async () => {
    const ips = Array.from({ length: 16 }, (_, i) => `2001:db8:${(i + 4096).toString(16)}::/48`)
    const countries = COUNTRIES.split(' ')
    const key = await put('a.png', 'pixels')
    const { link } = await linkTo(key, { ips, countries: countries.slice(0, 64) })
    const from = { ip: '2001:db8:100f:1::1', country: countries[63] as string }
    expect(await outcome(await openFrom(link, from))).toBe('pixels')
    expect(await outcome(await openFrom(link, { ...from, country: 'ZW' }))).toBe(
      'link_invalid country',
    )
  })

  // @threat link-restriction
  it('can have no redirect, since the target has no restrictions', async () => {
    for (const body of [
      { notBefore: '2026-11-24T18:00:00Z' },
      { ips: ['192.0.2.1'] },
      { countries: ['DE'] },
      { notCountries: ['DE'] },
    ]) {
      const asked = { ...body, delivery: 'redirect' }
      expect(await refusal(asked)).toEqual([400, 'invalid_request', 'delivery'])
      expect(await refusal({ ...asked, keys: ['a.png'] }, '/links')).toEqual([
        ...[400, 'invalid_request', 'delivery'],
      ])
    }
  })

  it('is valid from notBefore on for exactly expiresIn, whenever it is made', async () => {
    const body = { notBefore: '2026-11-24T23:00:00Z', expiresIn: 86_400 }
    const { link, expiresAt } = await linkTo('a.png', body)
    expect(expiresAt).toBe('2026-11-25T23:00:00.000Z')
    for (const later of ['2026-11-24T23:00:00Z', '2026-11-25T22:59:59.999Z']) {
      vi.setSystemTime(new Date(later))
      expect((await linkTo('a.png', body)).link).toBe(link)
    }
    vi.setSystemTime(new Date('2026-11-25T23:00:00Z'))
    expect(await refusal(body)).toEqual([400, 'invalid_expiry'])
  })

  it.each([0, -1, 86_400 * 366])(
    'is refused with notBefore and expiresIn %i',
    async (expiresIn) => {
      const body = { notBefore: '2026-11-24T13:00:00Z', expiresIn }
      expect(await refusal(body)).toEqual([400, 'invalid_expiry'])
    },
  )

  // @threat link-restriction
  it("ends within the caller's maxExpiresIn, counted from now", async () => {
    const apiKey = await testApiKey('a', SCOPES)
    const own = testWorker({ API_KEYS: [apiKey.entry], OPEN_ACCESS: undefined })
    const made = await own.post(
      '/tokens',
      { scopes: ['links:create', 'files:read'], maxExpiresIn: 7200 },
      bearer(apiKey.token),
    )
    const { token } = await made.json<{ token: string }>()
    const ask = async (notBefore: string) => {
      const body = { notBefore, expiresIn: 3600 }
      const response = await own.post('/files/a.png/link', body, bearer(token))
      const { code, expiresAt } = await response.json<{ code?: string; expiresAt?: string }>()
      return code ?? expiresAt
    }
    expect(await ask('2026-11-24T13:00:00Z')).toBe('2026-11-24T14:00:00.000Z')
    expect(await ask('2026-11-24T13:00:00.001Z')).toBe('invalid_expiry')
    expect(await refusal({ notBefore: '2028-01-01T00:00:00Z' })).toEqual([400, 'invalid_expiry'])
  })
})

describe('a link with notBefore', () => {
  // @threat link-restriction
  it('opens from the exact second on, also after a clock that jumps', async () => {
    const key = await put('a.png', 'pixels')
    const { link } = await linkTo(key, { notBefore: '2026-11-24T18:00:00Z' })
    const at = async (time: string) => {
      vi.setSystemTime(new Date(time))
      return outcome(await openFrom(link))
    }
    expect(await at('2026-11-24T12:00:00Z')).toBe('link_invalid not_yet')
    expect(await at('2026-11-24T17:59:59.999Z')).toBe('link_invalid not_yet')
    expect(await requestsFor(key)).toBe(0)
    expect(await at('2026-11-24T18:00:00Z')).toBe('pixels')
    expect(await at('2026-11-24T17:59:59Z')).toBe('link_invalid not_yet')
    expect(await at('1970-01-01T00:00:00Z')).toBe('link_invalid not_yet')
    expect(await at('2026-11-25T17:59:59.999Z')).toBe('pixels')
    expect(await at('2026-11-25T18:00:00Z')).toBe('link_expired')
  })
})

describe('a link with ips', () => {
  // @threat link-restriction
  it.each([
    ['192.0.2.0', 'pixels'],
    ['192.0.2.255', 'pixels'],
    ['2001:db8::1', 'pixels'],
    ['2001:DB8:0:0::1', 'pixels'],
    ['::ffff:192.0.2.9', 'pixels'],
    ['192.0.3.0', 'link_invalid address'],
    ['2001:db9::1', 'link_invalid address'],
    ['127.0.0.1', 'link_invalid address'],
    ['::1', 'link_invalid address'],
    ['', 'link_invalid address'],
    ['unknown', 'link_invalid address'],
    ['192.0.2.1, 192.0.2.2', 'link_invalid address'],
    ['192.0.2.1:80', 'link_invalid address'],
    [undefined, 'link_invalid address'],
  ])('for an address %s: %s', async (ip, expected) => {
    const key = await put('a.png', 'pixels')
    const { link } = await linkTo(key, { ips: ['192.0.2.0/24', '2001:db8::/32'] })
    const headers = { 'X-Forwarded-For': '192.0.2.1', 'X-Real-IP': '192.0.2.1' }
    const response = await openFrom(link, { ...(ip === undefined ? {} : { ip }), headers })
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    expect(await outcome(response)).toBe(expected)
    expect(await requestsFor(key)).toBe(expected === 'pixels' ? 1 : 0)
  })
})

describe('a link with countries', () => {
  // @threat link-restriction
  it.each([
    ['DE', 'pixels', 'link_invalid country'],
    ['AT', 'pixels', 'link_invalid country'],
    ['US', 'link_invalid country', 'pixels'],
    ['XX', 'link_invalid country', 'link_invalid country'],
    ['T1', 'link_invalid country', 'link_invalid country'],
    ['EU', 'link_invalid country', 'link_invalid country'],
    ['OC', 'link_invalid country', 'link_invalid country'],
    ['de', 'link_invalid country', 'link_invalid country'],
    ['', 'link_invalid country', 'link_invalid country'],
    ['DE,US', 'link_invalid country', 'link_invalid country'],
    [null, 'link_invalid country', 'link_invalid country'],
    [undefined, 'link_invalid country', 'link_invalid country'],
  ])('for a client in %s: %s, and with notCountries %s', async (country, allowed, refused) => {
    const key = await put('a.png', 'pixels')
    const from = {
      ...(country === undefined ? {} : { country }),
      headers: { 'CF-IPCountry': 'DE' },
    }
    const codes = ['AT', 'DE']
    const { link } = await linkTo(key, { countries: codes })
    expect(await outcome(await openFrom(link, from))).toBe(allowed)
    const other = await linkTo(key, { notCountries: codes })
    expect(await outcome(await openFrom(other.link, from))).toBe(refused)
    expect(await requestsFor(key)).toBe([allowed, refused].includes('pixels') ? 1 : 0)
  })

  it('and ips needs both', async () => {
    const key = await put('a.png', 'pixels')
    const { link } = await linkTo(key, { countries: ['DE'], ips: ['192.0.2.1'] })
    const both = { ip: '192.0.2.1', country: 'DE' }
    expect(await outcome(await openFrom(link, both))).toBe('pixels')
    expect(await outcome(await openFrom(link, { ...both, ip: '192.0.2.2' }))).toBe(
      'link_invalid address',
    )
    expect(await outcome(await openFrom(link, { ...both, country: 'FR' }))).toBe(
      'link_invalid country',
    )
  })
})

describe('a restricted link', () => {
  const GERMAN = { ip: '192.0.2.1', country: 'DE' }
  const FRENCH = { ip: '192.0.2.1', country: 'FR' }

  // @threat link-forged link-two-spellings
  it.each([
    ['without its start', (link: string) => link.replace(/&nbf=\d+/, '')],
    ['with an earlier start', (link: string) => link.replace(/nbf=\d/, 'nbf=0')],
    ['without its addresses', (link: string) => link.replace(/&ips=[^&]+/, '')],
    ['with another address', (link: string) => link.replace('192.0.2.1', '192.0.2.1,::/0')],
    ['with a wider range', (link: string) => link.replace('192.0.2.1', '192.0.2.0/24')],
    ['with an encoded address', (link: string) => link.replace('192.0', '192%2E0')],
    ['with addresses twice', (link: string) => link.replace('&ips', '&ips=192.0.2.1&ips')],
    ['without its countries', (link: string) => link.replace(/&countries=[^&]+/, '')],
    ['with another country', (link: string) => link.replace('=DE', '=DE,FR')],
    ['with countries in lower case', (link: string) => link.replace('=DE', '=de')],
    ['with notCountries', (link: string) => link.replace('&countries=DE', '&notCountries=FR')],
    ['without any', (link: string) => link.replace(/&nbf.*(?=&kid)/, '')],
    ['with its restrictions elsewhere', (link: string) => link.replace(/(&nbf.*)(&kid.*)/, '$2$1')],
    ['in another order', (link: string) => link.replace(/(&nbf=\d+)(&ips=[^&]+)/, '$2$1')],
    ['with an empty member', (link: string) => link.replace('&kid', '&notCountries=&kid')],
  ])('is invalid %s', async (_, change) => {
    const key = await put('a.png', 'pixels')
    const { link } = await linkTo(key, {
      ...{ notBefore: '2026-11-24T11:00:00Z', ips: ['192.0.2.1'], countries: ['DE'] },
    })
    expect(change(link)).not.toBe(link)
    const response = await openFrom(change(link), GERMAN)
    expect([response.status, await outcome(response)]).toEqual([403, 'link_invalid signature'])
    const plain = (await linkTo(key)).link
    const restricted = plain.replace('&kid', '&countries=DE&kid')
    expect(await outcome(await openFrom(restricted, GERMAN))).toBe('link_invalid signature')
    expect(await outcome(await openFrom(link, GERMAN))).toBe('pixels')
  })

  // @threat restricted-link-cached
  it('shares the edge copy of its object, but no header and no check', async () => {
    const key = await put('a.png', 'pixels')
    const plain = (await linkTo(key)).link
    const { link } = await linkTo(key, { countries: ['DE'] })
    expect(await outcome(await openFrom(link, FRENCH))).toBe('link_invalid country')
    const first = await openFrom(link, GERMAN)
    expect(first.headers.get('Cache-Control')).toBe('no-store')
    expect(await textOf(first)).toBe('pixels')
    const open = await openFrom(plain, FRENCH)
    expect(open.headers.get('Cache-Status')).toBe('edge-presigner; hit')
    expect(open.headers.get('Cache-Control')).toBe('private, max-age=86400')
    expect(await textOf(open)).toBe('pixels')
    expect(await outcome(await openFrom(link, FRENCH))).toBe('link_invalid country')
    const last = await openFrom(link, GERMAN)
    expect(last.headers.get('Cache-Control')).toBe('no-store')
    expect(last.headers.get('Cache-Status')).toBe('edge-presigner; hit')
    await textOf(last)
    expect(await requestsFor(key)).toBe(1)
  })

  // @threat restricted-link-cached
  it('is never kept by a browser: whole, in part, unchanged, HEAD, chosen key, or immutable', async () => {
    const key = await put('a.png', 'pixels')
    const chosen = await putChosen('a.png', 'pixels')
    const { link } = await linkTo(key, { countries: ['DE'], expiresIn: 2_592_000 })
    const etag = (await openFrom(link, GERMAN)).headers.get('ETag') ?? ''
    const seen = async (from: From, at = link) => {
      const allowed = await openFrom(at, { ...GERMAN, ...from })
      const refused = await openFrom(at, { ...FRENCH, ...from })
      expect(refused.status).toBe(403)
      expect(refused.headers.get('ETag')).toBeNull()
      await Promise.all([allowed.arrayBuffer(), refused.arrayBuffer()])
      return [allowed.status, ...[allowed, refused].map((it) => it.headers.get('Cache-Control'))]
    }
    const never = ['no-store', 'no-store']
    expect(await seen({})).toEqual([200, ...never])
    expect(await seen({ headers: { Range: 'bytes=0-1' } })).toEqual([206, ...never])
    expect(await seen({ headers: { Range: 'bytes=9-' } })).toEqual([416, ...never])
    expect(await seen({ headers: { 'If-None-Match': etag } })).toEqual([304, ...never])
    expect(await seen({ headers: { 'If-Match': '"x"' } })).toEqual([412, ...never])
    expect(await seen({ method: 'HEAD' })).toEqual([200, ...never])
    const other = await linkTo(chosen, { countries: ['DE'] })
    expect(await seen({}, other.link)).toEqual([200, ...never])
    vi.setSystemTime(NOON.getTime() + 2_000_000_000)
    expect(await seen({})).toEqual([200, ...never])
  })

  // @threat restricted-link-cached
  it('restricts resized images, and the original instead of one', async () => {
    vi.useRealTimers()
    const image = await put('a.png', await twoColorPng(300, 200))
    const text = await put('b.png', 'no image')
    for (const key of [image, text]) {
      const body = { width: 64, fallback: 'original', countries: ['DE'] }
      const { link } = await linkTo(key, body)
      expect(link).toContain('&w=64&fmt=auto&fallback=original&countries=DE&kid=')
      expect(await outcome(await openFrom(link, FRENCH))).toBe('link_invalid country')
      expect(await requestsFor(key)).toBe(0)
      const shown = await openFrom(link, GERMAN)
      expect([shown.status, shown.headers.get('Cache-Control')]).toEqual([200, 'no-store'])
      await shown.arrayBuffer()
      expect(await outcome(await openFrom(link, FRENCH))).toBe('link_invalid country')
    }
    const { srcset } = (await linkTo(image, { widths: [32, 64], countries: ['DE'] })) as Link & {
      srcset: string
    }
    for (const one of srcset.split(', ')) {
      const link = one.split(' ')[0] ?? ''
      expect(await outcome(await openFrom(link, FRENCH))).toBe('link_invalid country')
      expect((await openFrom(link, GERMAN)).headers.get('Cache-Control')).toBe('no-store')
    }
  })

  // @threat link-restriction
  it('is checked before a request is sent on to LINK_ORIGIN, and there', async () => {
    const variables = { ...baseVariables(), LINK_ORIGIN: 'https://img.example' }
    const api = testWorker(variables)
    const key = await put('a.png', 'pixels')
    const path = `/files/${encodeURIComponent(key)}/link`
    const { link } = await (await api.post(path, { countries: ['DE'] })).json<Link>()
    const atApi = link.replace('https://img.example', 'http://localhost:8787')
    const sentOn = await openFrom(atApi, GERMAN, api)
    expect([sentOn.status, sentOn.headers.get('Location')]).toEqual([308, link])
    expect(sentOn.headers.get('Cache-Control')).toBe('no-store')
    expect(await outcome(await openFrom(atApi, FRENCH, api))).toBe('link_invalid country')
    expect(await outcome(await openFrom(link, FRENCH, api))).toBe('link_invalid country')
    expect(await outcome(await openFrom(link, GERMAN, api))).toBe('pixels')
  })

  it('is not found out by its object: a missing one is refused like any other', async () => {
    const { link } = await linkTo('links/none-restricted.png', { countries: ['DE'] })
    expect(await outcome(await openFrom(link, FRENCH))).toBe('link_invalid country')
    expect(await outcome(await openFrom(link, GERMAN))).toBe('object_not_found')
  })

  // @threat link-restriction
  it('says nothing of its restrictions, nor of the client, to the client or the log', async () => {
    const lines = captureLog()
    const key = await put('a.png', 'pixels')
    const { link } = await linkTo(key, { ips: ['198.51.100.0/24'], countries: ['DE'] })
    const bodies: string[] = []
    for (const from of [
      { ip: '203.0.113.9', country: 'FR' },
      { ip: '198.51.100.9', country: 'FR' },
      { ip: '198.51.100.9', country: 'XX' },
      { country: 'FR' },
    ])
      bodies.push(await (await openFrom(link, from)).text())
    const reasons = lines.flatMap((line) => (line.match(/"reason":"(link [^"]+)"/) ?? [])[1] ?? [])
    expect(reasons).toEqual([
      'link address not allowed',
      'link country not allowed',
      'link country unknown',
      'link address unknown',
    ])
    expect(lines.join() + bodies.join()).not.toMatch(/198\.51|203\.0|"FR"|"DE"|countries/)
    expect(bodies.join()).not.toContain('unknown')
  })
})

describe('in an app, a link with ips', () => {
  const ips = ['192.0.2.0/24']

  it('asks addressOf, with the request and the environment', async () => {
    const seen: unknown[] = []
    const app = mount({
      links: {
        addressOf: (request: Request, env: unknown) => {
          seen.push(env)
          return request.headers.get('X-Client')
        },
      },
    })
    const { link } = await (await app.post('/media/files/a.png/link', { ips })).json<Link>()
    const from = async (headers: HeadersInit) => (await app.fetch(link, { headers })).status
    expect(await from({ 'X-Client': '192.0.2.1' })).toBe(404)
    expect(await from({ 'X-Client': '192.0.3.1', 'CF-Connecting-IP': '192.0.2.1' })).toBe(403)
    expect(await from({ 'CF-Connecting-IP': '192.0.2.1' })).toBe(403)
    expect(seen).toEqual([{}, {}, {}])
  })

  // @threat link-restriction
  it.each([undefined, 7, Promise.resolve('192.0.2.1'), ['192.0.2.1'], {}])(
    'is refused if addressOf returns %s',
    async (address) => {
      const app = mount({ links: { addressOf: () => address as never } })
      const { link } = await (await app.post('/media/files/a.png/link', { ips })).json<Link>()
      expect(await outcome(await app.fetch(link))).toBe('link_invalid address')
    },
  )

  it('is refused if addressOf is async, and its error ends no process', async () => {
    const unhandled = vi.fn((event: Event) => event.preventDefault())
    addEventListener('unhandledrejection', unhandled)
    const addressOf = (async () => Promise.reject(new Error('No address.'))) as never
    const app = mount({ links: { addressOf } })
    const { link } = await (await app.post('/media/files/a.png/link', { ips })).json<Link>()
    expect(await outcome(await app.fetch(link))).toBe('link_invalid address')
    await new Promise((resolve) => setTimeout(resolve))
    removeEventListener('unhandledrejection', unhandled)
    expect(unhandled).not.toHaveBeenCalled()
  })

  // @threat link-restriction
  it('is refused if addressOf throws, and the log has the error', async () => {
    const app = mount({
      links: {
        addressOf() {
          throw new TypeError('No socket.')
        },
      },
    })
    const { link } = await (await app.post('/media/files/a.png/link', { ips })).json<Link>()
    expect(await outcome(await app.fetch(link))).toBe('link_invalid address')
    expect(app.lines.at(-1)?.reason).toBe('link address unknown; TypeError: No socket.')
  })

  it('needs a function', async () => {
    const app = mount({ links: { addressOf: 'CF-Connecting-IP' as never } })
    expect(await (await app.fetch('/media/healthz')).json()).toMatchObject({
      issues: [{ path: 'links.addressOf', message: 'must be a function' }],
    })
  })
})

it('a link that was signed with both a redirect and restrictions is checked too', async () => {
  const policy = {
    ...{ bucket: 'counted', key: parseObjectKey('a.png'), expires: 2_000_000_000 },
    ...({ delivery: 'redirect', download: null, restrictions: 'countries=DE' } as const),
  }
  const link = `http://localhost:8787${await signLink(policy, signingSettings())}`
  expect(await outcome(await openFrom(link, { country: 'FR' }))).toBe('link_invalid country')
  expect((await open(link)).status).toBe(403)
})

// @threat link-restriction
it.each([
  ['nbf=1', 'pixels'],
  ['weekdays=1', 'link_invalid signature'],
  ['nbf=1&weekdays=1', 'link_invalid signature'],
  ['toString=1', 'link_invalid signature'],
  ['nbf=1&constructor', 'link_invalid signature'],
])('a link that was signed with the restrictions %s: %s', async (restrictions, expected) => {
  const key = parseObjectKey(await put('a.png', 'pixels'))
  const prefix = parseObjectKey(key.slice(0, key.lastIndexOf('/') + 1))
  const policy = { bucket: 'counted', key, prefix, expires: 2_000_000_000, restrictions }
  const alone = { ...policy, delivery: 'stream', download: null } as const
  const path = await signLink(alone, signingSettings())
  const base = await signFolder(policy, signingSettings())
  for (const one of [path, base + key.slice(prefix.length)])
    expect(await outcome(await openFrom(`http://localhost:8787${one}`))).toBe(expected)
})
