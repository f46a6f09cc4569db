import { describe, expect, it } from 'vitest'
import {
  type CorsRule,
  mergeRules,
  preflightError,
  readRules,
  sampleOf,
} from '../../../cli/doctor/cors.ts'

const APP = 'https://app.example.com'

describe('a response to a preflight', () => {
  const asked = { origin: APP, method: 'PUT', headers: ['content-type', 'x-amz-meta-name'] }
  const answer = (headers: Record<string, string>, status = 200) => ({
    status,
    headers: new Headers(headers),
  })
  const good = {
    'Access-Control-Allow-Origin': APP,
    'Access-Control-Allow-Methods': 'GET, PUT',
    'Access-Control-Allow-Headers': 'Content-Type, X-Amz-Meta-Name',
  }

  it.each<[string, Record<string, string>]>([
    ['allows everything that was requested', good],
    [
      'has stars',
      {
        'Access-Control-Allow-Origin': '*',
        'Access-Control-Allow-Methods': '*',
        'Access-Control-Allow-Headers': '*',
      },
    ],
  ])('is sufficient when it %s', (_, headers) => {
    expect(preflightError(answer(headers), asked)).toBeNull()
  })

  it.each<[string, string, Record<string, string>, number?]>([
    ['is an error', 'refused with status 403', good, 403],
    ['is a redirect', 'refused with status 302', good, 302],
    ['has no origin', 'origin is not allowed', { ...good, 'Access-Control-Allow-Origin': '' }],
    [
      'names a different origin',
      'another origin',
      {
        ...good,
        'Access-Control-Allow-Origin': `${APP}.evil.example`,
      },
    ],
    ['lacks the method', 'method PUT', { ...good, 'Access-Control-Allow-Methods': 'GET,PUTS' }],
    [
      'lacks a header',
      'header x-amz-meta-name is',
      {
        ...good,
        'Access-Control-Allow-Headers': 'content-type',
      },
    ],
    [
      'lacks all headers',
      'headers content-type, x-amz-meta-name are',
      {
        ...good,
        'Access-Control-Allow-Headers': '',
      },
    ],
  ])('is not sufficient when it %s', (_, failure, headers, status) => {
    expect(preflightError(answer(headers, status), asked)).toContain(failure)
  })

  it('does not need to list GET, HEAD and POST', () => {
    const headers = { 'Access-Control-Allow-Origin': APP }
    expect(preflightError(answer(headers), { origin: APP, method: 'POST', headers: [] })).toBeNull()
  })
})

it('represents an origin with a star by one that it allows', () => {
  expect(sampleOf('https://*.app.pages.dev')).toBe('https://edge-presigner-doctor.app.pages.dev')
  expect(sampleOf(APP)).toBe(APP)
})

describe('the CORS rules of a bucket', () => {
  const foreign: CorsRule = [
    ['ID', 'shop'],
    ['AllowedOrigin', 'https://shop.example.com'],
    ['AllowedMethod', 'GET'],
    ['ExposeHeader', 'x-shop'],
    ['Unknown', 'kept'],
  ]
  const own = (origins: string[], expose = ['ETag', 'Location']): CorsRule => [
    ['ID', 'edge-presigner'],
    ...origins.map((origin) => ['AllowedOrigin', origin] as const),
    ...['GET', 'HEAD', 'PUT', 'POST', 'DELETE'].map((name) => ['AllowedMethod', name] as const),
    ['AllowedHeader', '*'],
    ...expose.map((name) => ['ExposeHeader', name] as const),
    ['MaxAgeSeconds', '3600'],
  ]

  it('are one rule when there were none', () => {
    expect(mergeRules([], [APP])).toEqual([own([APP])])
  })

  // @threat doctor-overwrites-cors
  it("keep every other rule after doctor's own, because S3 uses the first match", () => {
    expect(mergeRules([foreign], [APP])).toEqual([own([APP]), foreign])
  })

  it("keep the origins that another Worker has added to doctor's rule", () => {
    expect(mergeRules([foreign, own(['https://b.example'])], [APP])).toEqual([
      own(['https://b.example', APP]),
      foreign,
    ])
    expect(mergeRules([own([APP])], [APP])).toEqual([own([APP])])
  })

  it.each([
    ['the same origin', APP],
    ['a star for it', 'https://*.example.com'],
    ['every origin', '*'],
    ['one page of a star', APP, 'https://*.example.com'],
    ['a star within a star', 'https://*.app.example.com', 'https://*.example.com'],
    ['a star that crosses a star', 'https://app.*', 'https://*.example.com'],
  ])('expose the headers that a rule for %s exposes', (_, foreignOrigin, origin = APP) => {
    const other: CorsRule = [
      ['AllowedOrigin', foreignOrigin],
      ['AllowedMethod', 'GET'],
      ['ExposeHeader', 'etag'],
      ['ExposeHeader', 'x-amz-request-id'],
    ]
    expect(mergeRules([other], [origin])).toEqual([
      own([origin], ['ETag', 'Location', 'x-amz-request-id']),
      other,
    ])
  })

  it.each([
    ['another page', 'https://shop.example.com', APP],
    ['a star for other pages', 'https://*.shop.example.com', APP],
    ['a page that a star leaves out', 'https://example.com', 'https://*.example.com'],
    ['a star for another site', 'https://*.example.org', 'https://*.example.com'],
    ['a star for another scheme', 'http://*.example.com', 'https://*.example.com'],
  ])('do not expose the headers that a rule for %s exposes', (_, foreignOrigin, origin) => {
    const other: CorsRule = [
      ['AllowedOrigin', foreignOrigin],
      ['ExposeHeader', 'x-shop'],
    ]
    expect(mergeRules([other], [origin])).toEqual([own([origin]), other])
  })

  it('may have unknown members', () => {
    const xml = `<?xml version="1.0"?><CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
      <CORSRule><ID>shop</ID><AllowedOrigin>https://shop.example.com</AllowedOrigin>
      <AllowedMethod>GET</AllowedMethod><ExposeHeader>x-shop</ExposeHeader><Unknown>kept</Unknown></CORSRule>
    </CORSConfiguration>`
    expect(readRules(xml)).toEqual([foreign])
    expect(readRules('<html></html>')).toBeNull()
    expect(readRules('')).toBeNull()
  })
})
