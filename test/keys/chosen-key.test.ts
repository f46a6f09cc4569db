import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isNewObjectKey, newObjectKey, requireChoice } from '../../src/keys/new-key.ts'
import { objectKeyError, parseObjectKey } from '../../src/keys/object-key.ts'
import { hostileText } from '../support/hostile.ts'

const choose = (key: string) => requireChoice(parseObjectKey(key))
const refused = expect.objectContaining({ code: 'invalid_key' })
const ID = 'y0'.repeat(10)

describe('a chosen key', () => {
  it.each([
    'avatars/42.png',
    'uploads/42.png',
    'a',
    '.env',
    'cafe\u0301.txt',
    `${ID}-a.png`,
    `upload/${ID}-a.png`,
    `uploads/${ID}.png`,
    `uploads/${ID}-`,
    `uploads/${ID.slice(1)}-a.png`,
    `uploads/${ID.replace('0', 'u')}-a.png`,
  ])('may be %j', (key) => {
    expect(() => choose(key)).not.toThrow()
  })

  // @threat chosen-key-generated
  it.each([
    `uploads/${ID}-a.png`,
    `uploads/2026/11/${ID}-a.png`,
    `team-a/uploads/${ID}-a.png`,
    `/uploads/${ID}-a.png`,
    `uploads/uploads/x/${ID}-a`,
    // Spellings that a server may treat as one of those.
    `uploads//${ID}-a.png`,
    `team-a//uploads///${ID}-a.png`,
    `Uploads/${ID.toUpperCase()}-a.png`,
    `uploads/${ID.replace('y', '\uff59')}-a.png`,
    `\u0075ploads/${ID}\uff0da.png`,
  ])('must not look like a generated one: %j', (key) => {
    expect(() => choose(key)).toThrow(refused)
  })

  it.each(['avatars/', 'a//', '/'])('must not end with a slash: %j', (key) => {
    expect(() => choose(key)).toThrow(refused)
  })

  // @threat chosen-key-generated
  it('is never a key that the presigner generates, or would take for one', () => {
    const date = fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true })
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), date, (fileName, now) => {
        const key = newObjectKey({ fileName, prefix: 'team-a/', directory: undefined, now })
        expect(() => requireChoice(key)).toThrow(refused)
      }),
    )
    const id = fc.stringMatching(/^[0-9a-z]{19,21}$/)
    const parts = fc.array(fc.oneof(fc.constantFrom('uploads/', '/', '-', 'a'), id, hostileText))
    fc.assert(
      fc.property(parts, (some) => {
        const key = some.join('')
        fc.pre(objectKeyError(key) === null)
        try {
          choose(key)
        } catch {
          return
        }
        for (const spelling of [key, key.normalize(), key.normalize('NFD')])
          expect(isNewObjectKey(spelling)).toBe(false)
      }),
    )
  })
})
