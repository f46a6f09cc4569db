import { expect, it } from 'vitest'
import { exactSizeInWords, ownerInWords, sizeInWords } from '../../demo/src/words.ts'

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
