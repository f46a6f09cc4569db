import { expect, it } from 'vitest'
import { parseContentRange, rangeOf, singleRange } from '../../../src/plugins/links/byte-range.ts'

it.each(['bytes=0-0', 'bytes=0-', 'bytes=5-9', 'bytes=-1', 'bytes=-010'])('accepts %s', (range) => {
  expect(singleRange(range)).toBe(range)
})

it('ignores the case of the unit', () => {
  expect(['BYTES=0-1', 'Bytes=-3'].map(singleRange)).toEqual(['bytes=0-1', 'bytes=-3'])
})

it.each([
  null,
  '',
  'bytes',
  'bytes=',
  'bytes=-',
  'bytes=-0',
  'bytes=9-5',
  'bytes=0-1,5-6',
  'bytes=a-b',
  'bytes = 0-1',
  'items=0-1',
  'bytes=0-1\r\nX: y',
  `bytes=${'9'.repeat(16)}-`,
])('ignores %j', (range) => {
  expect(singleRange(range)).toBeNull()
})

it('reads a valid Content-Range, and ignores any other', () => {
  expect(parseContentRange('bytes 2-4/10')).toEqual({ first: 2, last: 4, size: 10 })
  for (const bad of [null, '', 'bytes */10', 'bytes 4-2/10', 'bytes 2-10/10', 'bytes 2-4/*'])
    expect(parseContentRange(bad), String(bad)).toBeNull()
})

it('finds the bytes of a range, which end with the object', () => {
  for (const [range, first, last] of [
    ['bytes=0-', 0, 9],
    ['bytes=2-4', 2, 4],
    ['bytes=2-99', 2, 9],
    ['bytes=-3', 7, 9],
    ['bytes=-11', 0, 9],
    ['bytes=10-', 10, 9],
  ] as const)
    expect(rangeOf(range, 10), range).toEqual({ first, last })
})
