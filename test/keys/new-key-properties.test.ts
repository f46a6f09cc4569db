import fc from 'fast-check'
import { expect, it } from 'vitest'
import { utf8Length } from '../../src/keys/encodings.ts'
import { newObjectKey } from '../../src/keys/new-key.ts'
import { isNfc, objectKeyError } from '../../src/keys/object-key.ts'
import { runs } from '../support/fuzz.ts'
import { hostileText, maybeKey } from '../support/hostile.ts'

const instant = fc.date({
  min: new Date(0),
  max: new Date('3000-01-01'),
  noInvalidDate: true,
})

it('is a valid key of bounded length for every file name', () => {
  const fileName = fc.oneof(hostileText, maybeKey, fc.string({ unit: 'binary', maxLength: 300 }))
  fc.assert(
    fc.property(fileName, instant, (fileName, now) => {
      const key = newObjectKey({ fileName, prefix: 'p/', directory: 'd', now })
      expect(objectKeyError(key)).toBeNull()
      expect(key).toMatch(/^p\/uploads\/d\/[0-9a-z]{20}-[^/\\\s]+$/u)
      expect(key).toMatch(/^[\p{L}\p{M}\p{N}._/-]+$/u)
      expect(utf8Length(key)).toBeLessThanOrEqual('p/uploads/d/'.length + 20 + 1 + 80 + 1 + 16)
      expect(key).toBe(key.toLowerCase())
    }),
    { numRuns: runs(1000) },
  )
})

it('sorts before every older key of its directory for all file names', () => {
  fc.assert(
    fc.property(instant, instant, hostileText, hostileText, (a, b, nameOfA, nameOfB) => {
      fc.pre(a.getTime() !== b.getTime())
      const [older, newer] = a < b ? [a, b] : [b, a]
      const olderKey = newObjectKey({ fileName: nameOfA, prefix: '', now: older })
      const newerKey = newObjectKey({ fileName: nameOfB, prefix: '', now: newer })
      expect(newerKey < olderKey).toBe(true)
    }),
    { numRuns: runs(500) },
  )
})

it('sorts before a key that is one millisecond older', () => {
  fc.assert(
    fc.property(instant, (now) => {
      const older = newObjectKey({ fileName: 'a', prefix: '', now })
      const newer = newObjectKey({ fileName: 'z', prefix: '', now: new Date(now.getTime() + 1) })
      expect(newer < older).toBe(true)
    }),
  )
})

/** Letters, marks that compose or reorder, and characters that a slug drops between them. */
const composing = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...[
          'e',
          'E',
          'I',
          '\u0130',
          '\u0131',
          'o',
          '\u0915',
          '\u1100',
          '\u1161',
          '\u11a8',
          '\uac00',
        ],
        ...['\u0301', '\u0307', '\u0316', '\u0323', '\u0338', '\u0345', '\u093c', '\u3099'],
        ...['\u200d', '!', '=', '<', '\ufe0f', ' ', '.', '\u212b', '\u0958', '\ufb2c', '\u{1d15e}'],
      ),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }),
    ),
    { minLength: 1, maxLength: 60 },
  )
  .map((pieces) => pieces.join(''))

// @threat key-two-spellings
it('is in Unicode NFC for every file name and directory', () => {
  const directory = composing.map((text) => text.replace(/[\p{C}/.]/gu, '')).filter(Boolean)
  fc.assert(
    fc.property(
      fc.oneof(composing, hostileText),
      composing,
      fc.option(directory, { nil: undefined }),
      instant,
      (stem, extension, directory, now) => {
        for (const fileName of [stem, `${stem}.${extension}`, `${'x'.repeat(79)}${stem}`]) {
          const key = newObjectKey({ fileName, prefix: 'users/\u00e9/', directory, now })
          expect(isNfc(key)).toBe(true)
        }
      },
    ),
    { numRuns: runs(3000) },
  )
})

it.each([
  ['a dropped character between a letter and its mark', 'e\u200d\u0301.e\u200d\u0301', 'é.é'],
  ['a mark that lower-casing reorders', '\u0130\u0316', 'i\u0316\u0307'],
  ['jamo that compose to a syllable', '\u1100!\u1161', '가'],
])('is in Unicode NFC after %s', (_, fileName, end) => {
  const key = newObjectKey({ fileName, prefix: '', directory: 'e\u0301', now: new Date() })
  expect(key).toMatch(/^uploads\/é\//u)
  expect(key.endsWith(`-${end}`)).toBe(true)
})
