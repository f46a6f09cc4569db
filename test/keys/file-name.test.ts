import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { utf8Length } from '../../src/keys/encodings.ts'
import { cutToBytes, requireFileName, splitFileName } from '../../src/keys/file-name.ts'
import { toFileName } from '../../src/keys/shown-name.ts'
import { hostileText } from '../support/hostile.ts'

describe('splitFileName', () => {
  it.each([
    ['photo.jpg', 'photo', '.jpg'],
    ['Photo.JPG', 'Photo', '.jpg'],
    ['archive.tar.gz', 'archive.tar', '.gz'],
    ['a.b/c.d/photo.png', 'photo', '.png'],
    ['a.b/photo', 'photo', ''],
    ['photo', 'photo', ''],
    ['.env', '.env', ''],
    ['.env.html', '.env', '.html'],
    ['photo.', 'photo', '.'],
    ['a/', '', ''],
    ['', '', ''],
    ['back\\slash.svg', 'back\\slash', '.svg'],
  ])('splits %j into %j and %j', (path, stem, extension) => {
    expect(splitFileName(path)).toEqual({ stem, extension })
  })
})

describe('cutToBytes', () => {
  it('keeps text that fits', () => {
    expect(cutToBytes('abc', 3)).toBe('abc')
    expect(cutToBytes('é漢😀', 9)).toBe('é漢😀')
  })

  it('never splits a character', () => {
    expect(cutToBytes('é漢😀', 8)).toBe('é漢')
    expect(cutToBytes('é漢😀', 5)).toBe('é漢')
    expect(cutToBytes('é漢😀', 4)).toBe('é')
    expect(cutToBytes('é漢😀', 1)).toBe('')
    expect(cutToBytes('abc', 0)).toBe('')
  })

  it('returns the longest start that fits', () => {
    fc.assert(
      fc.property(hostileText, fc.nat({ max: 40 }), (text, maxBytes) => {
        const cut = cutToBytes(text, maxBytes)
        expect(text.startsWith(cut)).toBe(true)
        expect(cut.isWellFormed()).toBe(true)
        expect(utf8Length(cut)).toBeLessThanOrEqual(maxBytes)
        const [next = ''] = text.slice(cut.length)
        if (next !== '') expect(utf8Length(cut + next)).toBeGreaterThan(maxBytes)
      }),
    )
  })
})

describe('a file name', () => {
  const isRefused = (name: string): boolean => {
    try {
      requireFileName(name)
      return false
    } catch (error) {
      expect(error).toMatchObject({ code: 'invalid_name' })
      return true
    }
  }

  // @threat name-hidden
  it.each([
    ' ',
    '\u00a0\u2003\u3000',
    '\u200b',
    '\u200e\u200f',
    '\ufeff',
    '\u00ad',
    '\u3164',
    '\u115f\uffa0',
    '\u2800',
    '\ufffc',
    '\u{13441}\u{13442}',
    '\u{1d159}',
    '\u{e0041}',
    '\u0301',
    `${' '.repeat(100)}a`,
  ])('needs something that people see: not %j', (name) => {
    expect(isRefused(name)).toBe(true)
    expect(toFileName(name)).toBe('file')
    expect(toFileName(name, 'a/')).toBe('a/')
  })

  it.each([
    'a',
    '.',
    '?',
    '€',
    '😀',
    '漢',
    '\u05d0.pdf',
    ' a ',
    `${' '.repeat(99)}a`,
    'e\u0301',
    '\u0e01\u0e33',
    'a\u200e(1)',
    '👩\u200d🚀',
    '\u0645\u06cc\u200c\u062e',
  ])('may be %j', (name) => {
    expect(isRefused(name)).toBe(false)
    expect(toFileName(name)).toBe(name)
  })

  // @threat name-hidden
  it('has no control, half character, line break, or mark that overrides or isolates its direction', () => {
    const ranges = [
      [0, 0x1f],
      [0x7f, 0x9f],
      [0x2028, 0x202e],
      [0x2066, 0x2069],
      [0xd800, 0xdfff],
    ] as const
    for (let code = 0; code <= 0x10ffff; code++) {
      const name = `a${String.fromCodePoint(code)}b`
      const isUnsafe = ranges.some(([first, last]) => code >= first && code <= last)
      if (isRefused(name) !== isUnsafe) expect(`U+${code.toString(16)}`).toBe('another result')
      if (toFileName(name) !== (isUnsafe ? 'a_b' : name))
        expect(`U+${code.toString(16)}`).toBe('another name')
    }
  })

  it('that is made from any text is one that is accepted', () => {
    fc.assert(
      fc.property(fc.array(hostileText, { maxLength: 3 }), (texts) => {
        expect(isRefused(toFileName(...texts))).toBe(false)
      }),
    )
  })
})
