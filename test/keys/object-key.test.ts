import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ApiError } from '../../src/errors/api-error.ts'
import { utf8Length } from '../../src/keys/encodings.ts'
import {
  keyPrefixError,
  objectKeyError,
  parseKeyStart,
  parseObjectKey,
} from '../../src/keys/object-key.ts'
import { hostileText } from '../support/hostile.ts'

const hex = (code: number): string => code.toString(16).padStart(4, '0')

describe('an object key', () => {
  it('may be anything that S3 accepts and no URL parser normalizes', () => {
    for (const key of [
      'a',
      'a/b',
      '/a',
      'a//b',
      'a/',
      '/',
      ' ',
      '...',
      '.../a',
      '.a/..b',
      'a./b..',
      'a\\..\\b',
      '..\\',
      '%2e%2e/%2f',
      "+%?#&'()*!~ é漢😀",
      '\u202e\u200b\ufeff\u2028',
      '\ufffd\ufffe\uffff',
    ])
      expect(objectKeyError(key), key).toBeNull()
  })

  it('is not empty', () => {
    expect(objectKeyError('')).toMatch('must not be empty')
  })

  it.each([
    ['one byte', 'a'],
    ['two bytes', 'é'],
    ['four bytes', '😀'],
  ])('has at most 1024 bytes, including characters of %s', (_, character) => {
    const longest = character.repeat(1024 / utf8Length(character))
    expect(objectKeyError(longest)).toBeNull()
    expect(objectKeyError(`${longest}a`)).toMatch('longer than 1024 bytes')
    expect(objectKeyError(longest + character)).toMatch('longer than 1024 bytes')
  })

  it('counts bytes, not characters: 341 of three bytes and one of two are one too many', () => {
    expect(objectKeyError(`${'漢'.repeat(341)}a`)).toBeNull()
    expect(objectKeyError(`${'漢'.repeat(341)}é`)).toMatch('longer than 1024 bytes')
  })

  it('contains no control character: C0, DEL or C1', () => {
    const codes = [...Array(0x20).keys(), ...Array.from({ length: 0x21 }, (_, i) => 0x7f + i)]
    for (const code of codes)
      for (const key of [
        `${String.fromCharCode(code)}a`,
        `a${String.fromCharCode(code)}b`,
        `a/${String.fromCharCode(code)}`,
      ])
        expect(objectKeyError(key), hex(code)).toMatch('control characters')
    for (const code of [0x20, 0x7e, 0xa0])
      expect(objectKeyError(`a${String.fromCharCode(code)}b`), hex(code)).toBeNull()
  })

  it('contains no lone surrogate', () => {
    for (const key of ['\ud83d', '\ude00', 'a\ud83db', '\ude00\ud83d', '😀\ud83d'])
      expect(objectKeyError(key)).toMatch('well-formed')
    expect(objectKeyError('\ud83d\ude00')).toBeNull()
  })

  it.each(['.', '..'])('has no "%s" segment in any position', (dots) => {
    for (const key of [
      dots,
      `${dots}/a`,
      `a/${dots}`,
      `a/${dots}/b`,
      `/${dots}`,
      `${dots}/`,
      `//${dots}//`,
    ])
      expect(objectKeyError(key), key).toMatch('"." or ".." segment')
  })
})

describe('parseObjectKey', () => {
  it('returns the value as it is', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        fc.pre(objectKeyError(text) === null)
        expect(parseObjectKey(text)).toBe(text)
      }),
    )
  })

  it('throws invalid_key with the reason', () => {
    for (const value of ['', '..', 'a\u0000', '\ud800', 'a'.repeat(1025)]) {
      const error = new ApiError('invalid_key', objectKeyError(value) ?? '')
      expect(() => parseObjectKey(value)).toThrow(error)
    }
  })
})

describe('parseKeyStart', () => {
  it('accepts an empty start and anything that a key may be', () => {
    expect(parseKeyStart('')).toBe('')
    expect(parseKeyStart('team-a/up')).toBe('team-a/up')
    for (const value of ['../', 'a\u0000', '\ud800', 'a'.repeat(1025)])
      expect(() => parseKeyStart(value)).toThrow(expect.objectContaining({ code: 'invalid_key' }))
  })
})

describe('the prefix of a principal', () => {
  // @threat foreign-key
  it('is empty or ends with a slash', () => {
    for (const prefix of ['', 'team-a/', 'a/b/', 'é/'])
      expect(keyPrefixError(prefix), prefix).toBeNull()
    for (const prefix of ['team-a', 'a/b', ' '])
      expect(keyPrefixError(prefix), prefix).toBe('A prefix must be empty or end with "/".')
  })

  // @threat key-two-spellings foreign-key
  it.each([
    ['../', '".." segment'],
    ['/', 'leave it empty'],
    ['//', 'start with "/"'],
    ['/team-a/', 'start with "/"'],
    ['users//', 'contain "//"'],
    ['a//b/', 'contain "//"'],
    ['users/e\u0301/', 'NFC'],
    ['users/\u212b/', 'NFC'],
    ['a/./', '"." or'],
    ['a/../b/', '".." segment'],
    ['a\n/', 'control characters'],
    ['\ud800/', 'well-formed'],
    [`${'a'.repeat(1024)}/`, 'longer than 1024'],
  ])('follows the rules of a key: not %j', (prefix, reason) => {
    expect(keyPrefixError(prefix)).toMatch(/^A prefix must not|^A prefix must be/)
    expect(keyPrefixError(prefix)).toMatch(reason)
  })
})
