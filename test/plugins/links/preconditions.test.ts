import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { httpDate } from '../../../src/plugins/links/field-syntax.ts'
import {
  isConditional,
  preconditionStatus,
  rangeIsCurrent,
} from '../../../src/plugins/links/preconditions.ts'

const MODIFIED = 'Tue, 24 Nov 2026 12:00:00 GMT'
const BEFORE = 'Tue, 24 Nov 2026 11:59:59 GMT'
const AFTER = 'Tue, 24 Nov 2026 12:00:01 GMT'
const object = new Headers({ ETag: '"a"', 'Last-Modified': MODIFIED })
const NOW = new Date('2026-11-28T00:00:00Z')

const statusOf = (headers: HeadersInit, representation: Headers) =>
  preconditionStatus(new Headers(headers), representation, NOW)

it.each<readonly [Record<string, string>, number | null]>([
  [{}, null],
  [{ 'If-None-Match': '"a"' }, 304],
  [{ 'If-None-Match': 'W/"a"' }, 304],
  [{ 'If-None-Match': '"b", "a"' }, 304],
  [{ 'If-None-Match': '*' }, 304],
  [{ 'If-None-Match': '"b"' }, null],
  [{ 'If-None-Match': 'a' }, null],
  [{ 'If-Modified-Since': MODIFIED }, 304],
  [{ 'If-Modified-Since': AFTER }, 304],
  [{ 'If-Modified-Since': BEFORE }, null],
  [{ 'If-Modified-Since': 'yesterday' }, null],
  [{ 'If-None-Match': '"b"', 'If-Modified-Since': AFTER }, null],
  [{ 'If-Match': '"a"' }, null],
  [{ 'If-Match': '*' }, null],
  [{ 'If-Match': '"b"' }, 412],
  [{ 'If-Unmodified-Since': MODIFIED }, null],
  [{ 'If-Unmodified-Since': BEFORE }, 412],
  [{ 'If-Match': '"a"', 'If-Unmodified-Since': BEFORE }, null],
  [{ 'If-Match': '"a"', 'If-None-Match': '"a"' }, 304],
])('answers %j with %s', (headers, status) => {
  expect(statusOf(headers, object)).toBe(status)
})

it('never matches a weak tag for If-Match, on either side', () => {
  const weak = new Headers({ ETag: 'W/"a"', 'Last-Modified': MODIFIED })
  const status = (ifMatch: string, representation: Headers) =>
    statusOf({ 'If-Match': ifMatch }, representation)
  expect(status('W/"a"', weak)).toBe(412)
  expect(status('"a"', weak)).toBe(412)
  expect(status('W/"a"', object)).toBe(412)
  expect(status('"b", "a"', object)).toBeNull()
  expect(status('*', weak)).toBeNull()
})

it('matches a weak tag of the object for If-None-Match', () => {
  const weak = new Headers({ ETag: 'W/"a"' })
  expect(statusOf({ 'If-None-Match': '"a"' }, weak)).toBe(304)
})

it.each(['If-Match', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since', 'If-Range'])(
  'treats a request with %s as conditional',
  (name) => {
    expect(isConditional(new Headers({ [name]: '"a"' }))).toBe(true)
    expect(isConditional(new Headers({ [`X-${name}`]: '"a"', Range: 'bytes=0-1' }))).toBe(false)
  },
)

it('never matches an object without validators', () => {
  const bare = new Headers()
  expect(statusOf({ 'If-None-Match': '"a"' }, bare)).toBeNull()
  expect(statusOf({ 'If-Modified-Since': AFTER }, bare)).toBeNull()
  expect(statusOf({ 'If-Match': '"a"' }, bare)).toBe(412)
})

// @threat copy-broken
it('serves a range only of exactly the same representation', () => {
  expect(rangeIsCurrent(null, object)).toBe(true)
  expect(rangeIsCurrent('"a"', object)).toBe(true)
  expect(rangeIsCurrent('"b"', object)).toBe(false)
  expect(rangeIsCurrent('W/"a"', object)).toBe(false)
  expect(rangeIsCurrent(MODIFIED, object)).toBe(true)
  expect(rangeIsCurrent(AFTER, object)).toBe(false)
})

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')
const two = (value: number): string => String(value).padStart(2, '0')

/** The three forms of an HTTP-date, written out from the numbers of a date. */
const FORMS: readonly ((date: Date) => string)[] = [
  (d) =>
    `${dayOf(d).slice(0, 3)}, ${two(d.getUTCDate())} ${monthOf(d)} ${yearOf(d)} ${timeOf(d)} GMT`,
  (d) => `${dayOf(d)}, ${two(d.getUTCDate())}-${monthOf(d)}-${yearOf(d).slice(2)} ${timeOf(d)} GMT`,
  (d) =>
    `${dayOf(d).slice(0, 3)} ${monthOf(d)} ${String(d.getUTCDate()).padStart(2)} ${timeOf(d)} ${yearOf(d)}`,
]
const dayOf = (date: Date): string => DAYS[date.getUTCDay()] ?? ''
const monthOf = (date: Date): string => MONTHS[date.getUTCMonth()] ?? ''
const yearOf = (date: Date): string => String(date.getUTCFullYear()).padStart(4, '0')
const timeOf = (date: Date): string =>
  [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(':')

const NO_DATES = [
  '2999-01-01',
  '1999',
  'Sun, 31 Feb 2999 00:00:00 GMT',
  'Sun, 01 Jan 2999 00:00:00 GMT',
  'Tue, 1 Jan 2999 00:00:00 GMT',
  'Tue, 01 Jan 2999 00:00:00 UTC',
  'Tue, 01 Jan 2999 00:00:00 +0000',
  'Tue, 01 Jan 2999 24:00:00 GMT',
  'Tue, 01 Jan 2999 00:60:00 GMT',
  'tue, 01 jan 2999 00:00:00 gmt',
  'Tue, 01 Jan 2999 00:00:00 GMT, a',
  'Tuesday, 01-Jan-2999 00:00:00 GMT',
  'Tue, 01-Jan-99 00:00:00 GMT',
  'Sunsday, 06-Nov-94 08:49:37 GMT',
  'Sun Nov 06 08:49:37 94',
  'Fri Feb 30 08:49:37 2999',
  '32503680000',
  '0',
  '',
]

describe('an HTTP-date', () => {
  // The examples of RFC 9110, §5.6.7.
  it.each([
    'Sun, 06 Nov 1994 08:49:37 GMT',
    'Sunday, 06-Nov-94 08:49:37 GMT',
    'Sun Nov  6 08:49:37 1994',
  ])('is read in the form of %j', (text) => {
    expect(httpDate(text, NOW)).toBe(Date.UTC(1994, 10, 6, 8, 49, 37))
  })

  it.each(NO_DATES)('is not %j', (text) => {
    expect(httpDate(text, NOW)).toBeNaN()
    for (const name of ['If-Modified-Since', 'If-Unmodified-Since'])
      expect(statusOf({ [name]: text }, object), name).toBeNull()
  })

  it('with two digits for the year is at most 50 years ahead', () => {
    const yearIn = (text: string) => new Date(httpDate(text, NOW)).getUTCFullYear()
    expect(yearIn('Wednesday, 01-Jan-76 00:00:00 GMT')).toBe(2076)
    expect(yearIn('Saturday, 01-Jan-77 00:00:00 GMT')).toBe(1977)
  })
})

describe('the conditions of RFC 9110', () => {
  const opaque = fc.constantFrom('a', 'b', '', ',', 'a,b', '*', 'W/', 'a\\', ';q=0')
  const tag = fc.record({ isWeak: fc.boolean(), opaque })
  type Tag = { readonly isWeak: boolean; readonly opaque: string }
  const tagText = ({ isWeak, opaque }: Tag): string => `${isWeak ? 'W/' : ''}"${opaque}"`
  const comma = fc.constantFrom(',', ', ', ' , ', ',,', ', ,\t')
  const tags = fc.oneof(
    fc.constant(null),
    fc.constant('*' as const),
    fc.array(fc.tuple(tag, comma), { minLength: 1, maxLength: 3 }),
  )
  const seconds = (from: string, to: string) =>
    fc
      .date({ min: new Date(from), max: new Date(to) })
      .map((date) => Math.floor(+date / 1000) * 1000)
  const modified = seconds('2026-01-01', '2026-01-01T00:00:03Z')
  const date = fc.oneof(
    fc.constant(null),
    fc.constantFrom(...NO_DATES).map((text) => ({ text, time: null })),
    fc
      .tuple(fc.oneof(modified, seconds('1980-01-01', '2070-01-01')), fc.constantFrom(...FORMS))
      .map(([time, form]) => ({ text: form(new Date(time)), time })),
  )
  type Tags = '*' | readonly (readonly [Tag, string])[] | null
  const tagsText = (given: Tags): string =>
    given === '*' ? '*' : (given ?? []).map(([one, end]) => tagText(one) + end).join('')

  it('hold as its section 13 says', () => {
    const given = fc.record({
      etag: tag,
      modified,
      match: tags,
      noneMatch: tags,
      since: date,
      unmodified: date,
    })
    fc.assert(
      fc.property(given, ({ etag, modified, match, noneMatch, since, unmodified }) => {
        const names = (list: Tags, isStrong: boolean): boolean =>
          list === '*' ||
          (list ?? []).some(
            ([one]) => one.opaque === etag.opaque && !(isStrong && (one.isWeak || etag.isWeak)),
          )
        let expected: number | null = null
        if (
          match !== null
            ? !names(match, true)
            : unmodified?.time != null && modified > unmodified.time
        )
          expected = 412
        else if (
          noneMatch !== null
            ? names(noneMatch, false)
            : since?.time != null && modified <= since.time
        )
          expected = 304
        const headers = new Headers()
        if (match !== null) headers.set('If-Match', tagsText(match))
        if (noneMatch !== null) headers.set('If-None-Match', tagsText(noneMatch))
        if (since !== null) headers.set('If-Modified-Since', since.text)
        if (unmodified !== null) headers.set('If-Unmodified-Since', unmodified.text)
        const validators = new Headers({
          ETag: tagText(etag),
          'Last-Modified': FORMS[0]?.(new Date(modified)) ?? '',
        })
        expect(statusOf(headers, validators)).toBe(expected)
        const part = tagText(etag)
        expect(rangeIsCurrent(part, validators)).toBe(!etag.isWeak)
      }),
      { numRuns: 500 },
    )
  })
})
