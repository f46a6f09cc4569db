import { describe, expect, it } from 'vitest'
import { hashGuess, hashPassword } from '../../src/access/password.ts'
import { isPublicId, networkNames, newSecretId, publicIdOf } from '../../src/state/item.ts'
import { signingSettings } from '../support/signing-settings.ts'

/*
 * What Durable Objects keep must stay readable after a deploy. These values were made with `node:crypto`.
 */

const SECRET = 'AAECAwQFBgcICQoLDA0ODw'
const PUBLIC = '5d2611d5a4dd2b40b277dfdb5ecf5b49'
const settings = signingSettings()

// @threat deploy-invalidates
describe('what objects keep', () => {
  it('is found under the same name', async () => {
    expect(await publicIdOf(SECRET)).toBe(PUBLIC)
    expect(isPublicId(PUBLIC)).toBe(true)
  })

  it('has the same hash of a password, in each of its Unicode forms', async () => {
    const kept = { kid: 'k1', salt: SECRET }
    for (const form of ['NFC', 'NFD'])
      expect(await hashGuess(settings, kept, 'Grüße'.normalize(form))).toBe(
        'JPrVwZua8ynhijArQXx0ERJG4Xx1d7uL48DwqMxf3BY',
      )
    expect(await hashGuess(settings, kept, 'Grüsse')).not.toBe(
      'JPrVwZua8ynhijArQXx0ERJG4Xx1d7uL48DwqMxf3BY',
    )
  })

  it('names a network in the same way', async () => {
    expect((await networkNames(settings, PUBLIC, '192.0.2.7'))[0]).toBe('EEy4OFJuC5oTpyAN')
    const rotated = signingSettings(
      'k2:ffffffffffffffffffffffffffffffff,k1:0123456789abcdef0123456789abcdef',
    )
    expect((await networkNames(rotated, PUBLIC, '192.0.2.7', 'k1'))[0]).toBe('EEy4OFJuC5oTpyAN')
    expect((await networkNames(rotated, PUBLIC, '192.0.2.7'))[0]).not.toBe('EEy4OFJuC5oTpyAN')
  })
})

describe('a secret id', () => {
  it('is random, and has 128 bits in one spelling', async () => {
    const ids = new Set(Array.from({ length: 1000 }, newSecretId))
    expect(ids.size).toBe(1000)
    for (const id of ids) expect(await publicIdOf(id)).toMatch(/^[0-9a-f]{32}$/)
  })

  it.each([
    '',
    'a',
    `${SECRET}A`,
    SECRET.slice(1),
    `${SECRET.slice(0, 21)}x`,
    PUBLIC,
    `${SECRET}\n`,
  ])('is nothing else: %j', async (text) => {
    expect(await publicIdOf(text)).toBeNull()
  })
})

describe('a password', () => {
  it('has its own salt, and another secret makes another hash', async () => {
    const [one, two] = [await hashPassword(settings, 'open'), await hashPassword(settings, 'open')]
    expect(one.salt).not.toBe(two.salt)
    expect(one.hash).not.toBe(two.hash)
    expect(await hashGuess(settings, one, 'open')).toBe(one.hash)
    const other = signingSettings('k1:ffffffffffffffffffffffffffffffff')
    expect(await hashGuess(other, one, 'open')).not.toBe(one.hash)
  })

  it('can be checked while its secret is configured', async () => {
    const kept = await hashPassword(settings, 'open')
    const rotated = signingSettings(
      'k2:ffffffffffffffffffffffffffffffff,k1:0123456789abcdef0123456789abcdef',
    )
    expect(await hashGuess(rotated, kept, 'open')).toBe(kept.hash)
    const removed = signingSettings('k2:ffffffffffffffffffffffffffffffff')
    expect(await hashGuess(removed, kept, 'open')).toBeNull()
  })
})
