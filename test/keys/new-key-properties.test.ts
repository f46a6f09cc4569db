import fc from 'fast-check'
import { expect, it } from 'vitest'
import { newObjectKey } from '../../src/keys/new-key.ts'
import { objectKeyFault, utf8Length } from '../../src/keys/object-key.ts'
import { hostileText, maybeKey } from '../support/hostile.ts'

const instant = fc.date({
  min: new Date(0),
  max: new Date('3000-01-01'),
  noInvalidDate: true,
})

it('is a sound key of bounded length, whatever the file is called', () => {
  const fileName = fc.oneof(hostileText, maybeKey, fc.string({ unit: 'binary', maxLength: 300 }))
  fc.assert(
    fc.property(fileName, instant, (fileName, now) => {
      const key = newObjectKey({ fileName, prefix: 'p/', directory: 'd', now })
      expect(objectKeyFault(key)).toBeNull()
      expect(key).toMatch(/^p\/uploads\/d\/[0-9a-z]{20}-[^/\\\s]+$/u)
      expect(key).toMatch(/^[\p{L}\p{M}\p{N}._/-]+$/u)
      expect(utf8Length(key)).toBeLessThanOrEqual('p/uploads/d/'.length + 20 + 1 + 80 + 1 + 16)
      expect(key).toBe(key.toLowerCase())
    }),
    { numRuns: 1000 },
  )
})

it('sorts before every older key of its directory, whatever the files are called', () => {
  fc.assert(
    fc.property(instant, instant, hostileText, hostileText, (a, b, nameOfA, nameOfB) => {
      fc.pre(a.getTime() !== b.getTime())
      const [older, newer] = a < b ? [a, b] : [b, a]
      const olderKey = newObjectKey({ fileName: nameOfA, prefix: '', now: older })
      const newerKey = newObjectKey({ fileName: nameOfB, prefix: '', now: newer })
      expect(newerKey < olderKey).toBe(true)
    }),
    { numRuns: 500 },
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
