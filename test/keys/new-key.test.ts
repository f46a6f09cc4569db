import { describe, expect, it } from 'vitest'
import { utf8Length } from '../../src/keys/encodings.ts'
import { keyCreatedAt, nameInKey, newObjectKey } from '../../src/keys/new-key.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const ID = '[0-9a-hjkmnp-tv-z]{20}'

const keyFor = (fileName: string): string => newObjectKey({ fileName, prefix: '', now: NOW })

/** The part after `uploads/<id>-`. */
const nameFor = (fileName: string): string => keyFor(fileName).slice('uploads/'.length + 21)

describe('a new key', () => {
  it('is uploads/<id>-<slug><.ext>', () => {
    expect(keyFor('My Photo.JPG')).toMatch(new RegExp(`^uploads/${ID}-my-photo\\.jpg$`))
  })

  it('starts with the prefix of the principal, and has the directory after uploads/', () => {
    const key = newObjectKey({
      fileName: 'a.txt',
      prefix: 'team-a/',
      directory: 'in/box',
      now: NOW,
    })
    expect(key).toMatch(new RegExp(`^team-a/uploads/in/box/${ID}-a\\.txt$`))
  })

  it.each(['..', '.', 'a/../b', '../..', 'a\u0000', '\ud800', 'a'.repeat(1000)])(
    'refuses the directory %j',
    (directory) => {
      expect(() => newObjectKey({ fileName: 'a.txt', prefix: '', directory, now: NOW })).toThrow(
        expect.objectContaining({ code: 'invalid_key' }),
      )
    },
  )

  it('is never the same twice for one name at one instant', () => {
    const keys = Array.from({ length: 10_000 }, () => keyFor('a.txt'))
    expect(new Set(keys).size).toBe(10_000)
  })

  it('uses all 32 digits in every random position', () => {
    const seen = Array.from({ length: 11 }, () => new Set<string>())
    for (let i = 0; i < 2000; i++) {
      const random = keyFor('a.txt').slice('uploads/'.length + 9, 'uploads/'.length + 20)
      for (const [position, digit] of [...random].entries()) seen[position]?.add(digit)
    }
    expect(seen.map((digits) => digits.size)).toEqual(Array(11).fill(32))
  })
})

describe('the time in a new key', () => {
  it.each([0, 1, 31, 32, NOW.getTime(), 2 ** 45 - 1])('can be decoded: %d', (time) => {
    const input = { fileName: '0123-4.txt', prefix: 'a/uploads/', directory: 'b/uploads' }
    expect(keyCreatedAt(newObjectKey({ ...input, now: new Date(time) }))).toBe(time)
  })

  it('is missing from a key in any other format', () => {
    for (const key of ['a', 'uploads/a.txt', `uploads/${'0'.repeat(19)}-a`, `${'0'.repeat(20)}-a`])
      expect(keyCreatedAt(parseObjectKey(key)), key).toBeNaN()
  })
})

describe('the name in a new key', () => {
  it.each([
    ['My Photo.JPG', 'my-photo.jpg'],
    ['  a \t b\u00a0c.txt ', 'a-b-c.txt'],
    ['archive.tar.gz', 'archive.tar.gz'],
    ['.env', '.env'],
    ['no-extension', 'no-extension'],
    ['Under_score-1.2.txt', 'under_score-1.2.txt'],
    ["it's (1) + 100%!.txt", 'its-1--100.txt'],
  ])('of %j is %j', (fileName, name) => {
    expect(nameFor(fileName)).toBe(name)
  })

  it.each([
    ['漢字 テスト.png', '漢字-テスト.png'],
    ['Größe ÄÖ.PDF', 'größe-äö.pdf'],
    ['فایل.txt', 'فایل.txt'],
    ['हिन्दी.txt', 'हिन्दी.txt'],
    ['😀.png', 'file.png'],
  ])('keeps letters, marks and digits of any script: %j is %j', (fileName, name) => {
    expect(nameFor(fileName)).toBe(name)
  })

  it.each([
    ['cafe\u0301.txt', 'café.txt'],
    ['ﬁle①.txt', 'file1.txt'],
    ['ＡＢＣ．ＴＸＴ', 'abc.txt'],
    ['a.\u{1d407}\u{1d413}\u{1d40c}\u{1d40b}', 'a.html'],
    ['K\u212a.\u{1d409}\u{1d40f}\u{1d406}', 'kk.jpg'],
  ])('is normalized (NFKC) and lower-cased: %j is %j', (fileName, name) => {
    expect(nameFor(fileName)).toBe(name)
  })

  it.each([
    'C:\\Users\\me\\a.txt',
    '/home/me/a.txt',
    '../../a.txt',
    '..\\..\\a.txt',
    'a.html/../a.txt',
    'mixed/and\\a.txt',
  ])('drops the path: %j', (fileName) => {
    expect(nameFor(fileName)).toBe('a.txt')
  })

  it('never contains a slash after normalization', () => {
    expect(nameFor('a\uff0f..\uff0fb\u2215c.txt')).toBe('a..bc.txt')
  })

  it.each([
    '',
    ' ',
    '/',
    'dir/',
    '\\',
    '???',
    '😀',
    '\u0000',
    '\ud800',
    "'()*",
    '...',
    '-',
    '__',
    '. .',
  ])('is "file" when no letter or digit of %j is left', (fileName) => {
    expect(nameFor(fileName)).toBe('file')
  })

  it('is cut at 80 bytes, between characters, before the extension', () => {
    expect(nameFor(`${'a'.repeat(81)}.txt`)).toBe(`${'a'.repeat(80)}.txt`)
    expect(nameFor(`a${'漢'.repeat(40)}.txt`)).toBe(`a${'漢'.repeat(26)}.txt`)
    expect(utf8Length(nameFor('漢'.repeat(1000)))).toBe(78)
  })

  it('has an extension of at most 16 bytes of letters and digits', () => {
    expect(nameFor('a.j p"g')).toBe('a.jpg')
    expect(nameFor('a.\u202e')).toBe('a')
    expect(nameFor('a.')).toBe('a')
    expect(nameFor(`a.${'x'.repeat(40)}`)).toBe(`a.${'x'.repeat(16)}`)
    expect(nameFor(`a.${'漢'.repeat(6)}`)).toBe(`a.${'漢'.repeat(5)}`)
  })
})

describe('nameInKey', () => {
  it('leaves out the folders, and the id of a key that newObjectKey made', () => {
    for (const fileName of ['My Photo.JPG', '.env', 'a', 'über.tar.gz']) {
      const key = newObjectKey({ fileName, prefix: 'team-a/', directory: '2026', now: NOW })
      expect(nameInKey(key)).toMatch(/^[^/]+$/)
      expect(key.endsWith(`-${nameInKey(key)}`)).toBe(true)
    }
    expect(nameInKey(newObjectKey({ fileName: 'My Photo.JPG', prefix: '', now: NOW }))).toBe(
      'my-photo.jpg',
    )
  })

  it.each([
    ['avatars/42.PNG', '42.PNG'],
    ['a', 'a'],
    ['ybqr1sgp7a270ajfewde-a.jpg', 'ybqr1sgp7a270ajfewde-a.jpg'],
    ['photos/', 'photos/'],
    ['photos/ ', 'photos/ '],
    ['\u3000', 'file'],
    ['photos/a\u202egpj.exe', 'a_gpj.exe'],
    ['a/\u2028\u2066', '__'],
  ])('of another key is its last segment: %s', (key, name) => {
    expect(nameInKey(parseObjectKey(key))).toBe(name)
  })
})
