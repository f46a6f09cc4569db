import { expect, it } from 'vitest'
import {
  exactSizeInWords,
  ownerInWords,
  receivedInWords,
  sizeInWords,
  untilInWords,
  usesInWords,
} from '../../demo/src/words.ts'

it.each([
  [0, '0 bytes'],
  [1, '1 byte'],
  [999, '999 bytes'],
  [1000, '1 kB'],
  [1024, '1 kB'],
  [999_999, '999.9 kB'],
  [20 * 1024 ** 2, '20.9 MB'],
  [5e12, '5 TB'],
])('rounds %i bytes down to %s', (bytes, text) => {
  expect(sizeInWords(bytes)).toBe(text)
})

it.each([
  [140, '140 bytes'],
  [1_234_567, '1.2 MB (1,234,567 bytes)'],
])('gives the exact size of %i bytes once', (bytes, text) => {
  expect(exactSizeInWords(bytes)).toBe(text)
})

it.each([
  [null, 'unknown'],
  ['localhost', 'local user'],
  ['key:localhost', 'local user'],
  ['key:localhost/ann', 'user ann (local user)'],
  ['key:ci', 'API key ci'],
  ['key:ci/ann/b', 'user ann/b (API key ci)'],
  ['jwt:ann', 'user ann'],
  ['app:ann', 'user ann'],
])('names the owner %s', (owner, text) => {
  expect(ownerInWords(owner)).toBe(text)
})

it.each([
  [1, 1, '1 use'],
  [5, 5, '5 uses'],
  [2, 5, '2 of 5 uses left'],
  [0, 1, 'used up'],
  [999_999, 1_000_000, '999,999 of 1,000,000 uses left'],
  [null, null, 'any number of uses'],
])('says how often a link with %j of %j uses still works', (left, uses, text) => {
  expect(usesInWords(left, uses)).toBe(text)
})

it.each([
  [{ files: 0, bytes: 0 }, 'nothing received, room for 20 files'],
  [{ files: 1, bytes: 1_250_000 }, '1 of 20 files, 1.2 MB of 1 GB'],
])('says what a drop box has received: %j', (received, text) => {
  expect(receivedInWords({ received, maxFiles: 20, maxTotalBytes: 1e9 })).toBe(text)
})

it('says how long something works, or when it has ended', () => {
  const deadline = new Date('2026-11-25T14:30:00Z')
  const [before, after] = [-1, 0].map((by) => new Date(deadline.getTime() + by))
  expect(untilInWords(deadline, before ?? deadline)).toMatch(/^until Nov 2\d, 2026, /)
  expect(untilInWords(deadline, after ?? deadline)).toMatch(/^ended Nov 2\d, 2026, /)
})
