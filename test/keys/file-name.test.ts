import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { utf8Length } from '../../src/keys/encodings.ts'
import { cutToBytes, splitFileName } from '../../src/keys/file-name.ts'
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
