import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { attachment } from '../../src/core/content-disposition.ts'
import { utf8Length } from '../../src/keys/encodings.ts'
import { runs } from '../support/fuzz.ts'
import { hostileText } from '../support/hostile.ts'

/** Reads `filename` and the decoded `filename*` of a header value, by RFC 6266 and RFC 8187. */
function names(value: string) {
  const match =
    /^attachment(?:; filename="([^"\\]*)"(?:; filename\*=UTF-8''((?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+))?)?$/.exec(
      value,
    )
  if (match === null) throw new Error(`Not a sound header value: ${value}`)
  const [, plain, extended] = match
  return { plain, extended: extended === undefined ? undefined : decodeURIComponent(extended) }
}

describe('attachment', () => {
  it.each([
    ['report.pdf', 'attachment; filename="report.pdf"'],
    ['My report (final), v2; 3.pdf', 'attachment; filename="My report (final), v2; 3.pdf"'],
    ["it's.txt", 'attachment; filename="it\'s.txt"'],
    ['  spaces  .txt ', 'attachment; filename="spaces  .txt"'],
  ])('writes the ASCII name %j in one form', (name, value) => {
    expect(attachment(name)).toBe(value)
  })

  it.each([
    ['é.txt', 'attachment; filename="_.txt"; filename*=UTF-8\'\'%C3%A9.txt'],
    [
      '漢字 a.txt',
      'attachment; filename="__ a.txt"; filename*=UTF-8\'\'%E6%BC%A2%E5%AD%97%20a.txt',
    ],
    ['😀.png', 'attachment; filename="_.png"; filename*=UTF-8\'\'%F0%9F%98%80.png'],
    [
      "é'()*!~.txt",
      "attachment; filename=\"_'()*!~.txt\"; filename*=UTF-8''%C3%A9%27%28%29%2A%21~.txt",
    ],
    ['€ rates', 'attachment; filename="_ rates"; filename*=UTF-8\'\'%E2%82%AC%20rates'],
  ])('writes %j in both forms', (name, value) => {
    expect(attachment(name)).toBe(value)
  })

  it('writes no % into the plain form, because some clients decode it', () => {
    expect(attachment('100%41.txt')).toBe(
      'attachment; filename="100_41.txt"; filename*=UTF-8\'\'100%2541.txt',
    )
  })

  it.each([
    ['=?UTF-8?B?ZXZpbC5leGU=?=', '_UTF-8?B?ZXZpbC5leGU_='],
    ['a =?utf-8?q?=2Eexe?= b.txt', 'a _utf-8?q?=2Eexe?= b.txt'],
    ['=?=?x', '__x'],
  ])('writes %j, which some clients decode by RFC 2047, in both forms', (name, plain) => {
    expect(names(attachment(name))).toEqual({ plain, extended: name })
  })

  it.each([
    ['a"b.txt', 'ab.txt'],
    ['a\\"b.txt', 'ab.txt'],
    ['../../etc/passwd', '....etcpasswd'],
    ['C:\\a.txt', 'C:a.txt'],
    ['a\r\nSet-Cookie: x=1', 'aSet-Cookie: x=1'],
    ['a\u0000\u0009\u007f\u0085b', 'ab'],
    ['photo\u202egpj.exe', 'photogpj.exe'],
    ['\u200e\u200f\u061c\u202a\u2066a\u2069', 'a'],
  ])('drops quotes, slashes, control and bidi characters: %j is %j', (name, plain) => {
    expect(names(attachment(name))).toEqual({ plain, extended: undefined })
  })

  it.each([null, '', ' ', '"', '\\/', '\u0000\r\n', '\u202e'])(
    'contains no name when nothing of %j is left',
    (name) => {
      expect(attachment(name)).toBe('attachment')
    },
  )

  it('cuts a name at 255 bytes, between characters', () => {
    expect(names(attachment('a'.repeat(300))).plain).toBe('a'.repeat(255))
    expect(names(attachment(`a${'漢'.repeat(100)}`)).extended).toBe(`a${'漢'.repeat(84)}`)
    expect(names(attachment('😀'.repeat(100))).extended).toBe('😀'.repeat(63))
  })

  // @threat link-file-name
  it.each([
    [`${'a'.repeat(300)}.PDF`, `${'a'.repeat(251)}.PDF`],
    [`${'a'.repeat(300)}.tar.gz`, `${'a'.repeat(252)}.gz`],
    [`${'漢'.repeat(100)}.docx`, `${'漢'.repeat(83)}.docx`],
    [`${'a'.repeat(300)}.${'b'.repeat(31)}`, `${'a'.repeat(223)}.${'b'.repeat(31)}`],
    [`${'a'.repeat(251)}.PDF`, `${'a'.repeat(251)}.PDF`],
  ])('keeps the extension of a name that it cuts: %j', (name, cut) => {
    const { plain, extended } = names(attachment(name))
    expect(extended ?? plain).toBe(cut)
  })

  it('does not treat long text after a dot as an extension', () => {
    expect(names(attachment(`a.${'b'.repeat(300)}`)).plain).toBe(`a.${'b'.repeat(253)}`)
    expect(names(attachment(`${'a'.repeat(255)}.${'b'.repeat(32)}`)).plain).toBe('a'.repeat(255))
  })

  it('replaces a lone surrogate', () => {
    expect(names(attachment('a\ud800.txt')).extended).toBe('a\ufffd.txt')
  })

  it('is always printable ASCII with the name as one balanced quoted string', () => {
    const name = fc.oneof(
      hostileText,
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'binary-ascii' }),
    )
    fc.assert(
      fc.property(name, (name) => {
        const value = attachment(name)
        expect(value).toMatch(/^[\x20-\x7e]+$/)
        const { plain = '', extended } = names(value)
        expect(plain).not.toContain('%')
        expect(extended ?? plain).not.toMatch(/["\\/\p{Cc}\p{Bidi_Control}]/u)
        expect(utf8Length(extended ?? plain)).toBeLessThanOrEqual(255)
      }),
      { numRuns: runs(1000) },
    )
  })
})
