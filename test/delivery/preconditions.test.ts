import { expect, it } from 'vitest'
import {
  isConditional,
  preconditionStatus,
  rangeIsCurrent,
} from '../../src/delivery/preconditions.ts'

const MODIFIED = 'Tue, 24 Nov 2026 12:00:00 GMT'
const BEFORE = 'Tue, 24 Nov 2026 11:59:59 GMT'
const AFTER = 'Tue, 24 Nov 2026 12:00:01 GMT'
const object = new Headers({ ETag: '"a"', 'Last-Modified': MODIFIED })

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
  expect(preconditionStatus(new Headers(headers), object)).toBe(status)
})

it('never matches a weak tag for If-Match, on either side', () => {
  const weak = new Headers({ ETag: 'W/"a"', 'Last-Modified': MODIFIED })
  const status = (ifMatch: string, representation: Headers) =>
    preconditionStatus(new Headers({ 'If-Match': ifMatch }), representation)
  expect(status('W/"a"', weak)).toBe(412)
  expect(status('"a"', weak)).toBe(412)
  expect(status('W/"a"', object)).toBe(412)
  expect(status('"b", "a"', object)).toBeNull()
  expect(status('*', weak)).toBeNull()
})

it('matches a weak tag of the object for If-None-Match', () => {
  const weak = new Headers({ ETag: 'W/"a"' })
  expect(preconditionStatus(new Headers({ 'If-None-Match': '"a"' }), weak)).toBe(304)
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
  expect(preconditionStatus(new Headers({ 'If-None-Match': '"a"' }), bare)).toBeNull()
  expect(preconditionStatus(new Headers({ 'If-Modified-Since': AFTER }), bare)).toBeNull()
  expect(preconditionStatus(new Headers({ 'If-Match': '"a"' }), bare)).toBe(412)
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
