import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  base64,
  base64url,
  fromBase64url,
  hex,
  uriEncode,
  utf8,
  utf8Length,
  writeHex,
} from '../../src/keys/encodings.ts'
import { fromBase64, toBase64, toBase64url, toHex } from '../support/base64.ts'
import { runs } from '../support/fuzz.ts'
import { hostileText } from '../support/hostile.ts'

const bytes = fc.uint8Array({ maxLength: 100 })

describe('uriEncode', () => {
  it('encodes every character except the unreserved ones of RFC 3986', () => {
    const ascii = String.fromCharCode(...Array(0x80).keys())
    expect(uriEncode(ascii).replace(/%[0-9A-F]{2}/g, '')).toBe(
      '-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~',
    )
    expect(uriEncode("/!'()*é😀")).toBe('%2F%21%27%28%29%2A%C3%A9%F0%9F%98%80')
  })

  it('is reversed by decoding once', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        expect(uriEncode(text)).toMatch(/^(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})*$/)
        expect(decodeURIComponent(uriEncode(text))).toBe(text)
      }),
    )
  })
})

describe('utf8', () => {
  it('is reversed by decoding, and has the length that utf8Length returns', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        const encoded = utf8(text)
        expect(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(encoded)).toBe(
          text,
        )
        expect(utf8Length(text)).toBe(encoded.length)
      }),
    )
  })
})

describe('hex', () => {
  it('writes every byte as two lower-case digits, whatever the previous length', () => {
    expect(hex(Uint8Array.from(Array(256).keys()).buffer)).toMatch(/^000102.*0f10.*9fa0.*fdfeff$/)
    fc.assert(
      fc.property(bytes, (some) => {
        const digest = Uint8Array.from(some)
        expect(hex(digest.buffer)).toBe(toHex(digest.buffer))
      }),
    )
  })

  it('writes the same digits into a buffer, and only those', () => {
    fc.assert(
      fc.property(bytes, fc.nat({ max: 5 }), (some, at) => {
        const target = new Uint8Array(at + 2 * some.length + 3).fill(0x2e)
        writeHex(some, target, at)
        const digits = toHex(Uint8Array.from(some).buffer)
        expect(new TextDecoder().decode(target)).toBe(`${'.'.repeat(at)}${digits}...`)
      }),
    )
  })
})

describe('base64', () => {
  it.each([
    ['', '', ''],
    ['f', 'Zg==', 'Zg'],
    ['fo', 'Zm8=', 'Zm8'],
    ['foo', 'Zm9v', 'Zm9v'],
    ['foob', 'Zm9vYg==', 'Zm9vYg'],
    ['fooba', 'Zm9vYmE=', 'Zm9vYmE'],
    ['foobar', 'Zm9vYmFy', 'Zm9vYmFy'],
    ['\u07ff\u07fe', '37/fvg==', '37_fvg'],
    ['\u03ef', 'z68=', 'z68'],
    ['>>>', 'Pj4+', 'Pj4-'],
  ])('encodes %j as in RFC 4648', (text, padded, urlSafe) => {
    expect(base64(utf8(text))).toBe(padded)
    expect(base64url(utf8(text))).toBe(urlSafe)
  })

  it('encodes any bytes, including more than one call accepts as arguments', () => {
    fc.assert(
      fc.property(bytes, (some) => {
        expect(base64(some)).toBe(toBase64(some))
        expect(base64url(some)).toBe(toBase64url(some))
      }),
    )
    const many = Uint8Array.from({ length: 300_001 }, (_, i) => i)
    expect(fromBase64(base64(many))).toEqual(many)
  })
})

describe('fromBase64url', () => {
  it('reads the output of base64url', () => {
    fc.assert(
      fc.property(bytes, (some) => {
        expect(fromBase64url(base64url(some))).toEqual(Uint8Array.from(some))
      }),
    )
  })

  it.each([
    ['padding', 'Zg=='],
    ['padding that is too short', 'Zg='],
    ['padding alone', '='],
    ['a space', 'Zm9v Zm9v'],
    ['a line break at the end', 'Zm9v\n'],
    ['a tab at the start', '\tZm9v'],
    ['the plus sign of base64', 'Pj4+'],
    ['the slash of base64', 'z68/'],
    ['both alphabets', '-_+/'],
    ['an impossible length', 'Zm9vZ'],
    ['one character', 'Z'],
    ['two characters with an unused bit set', 'Zh'],
    ['three characters with an unused bit set', 'Zm9'],
    ['a null character', 'Zm9\u0000'],
    ['a letter beyond ASCII', 'Zm9\u00f6'],
    ['a full-width letter', 'Zm9\uff41'],
    ['percent-encoding', 'Zm9v%3D'],
    ['quotes', '"Zm9v"'],
  ])('refuses %s', (_, text) => {
    expect(() => fromBase64url(text)).toThrow(SyntaxError)
  })

  it('accepts exactly one spelling of each value, under hostile text', () => {
    fc.assert(
      fc.property(
        fc.oneof(hostileText, fc.stringMatching(/^[\w=+/-]{0,12}$/), fc.base64String()),
        (text) => {
          let read: Uint8Array
          try {
            read = fromBase64url(text)
          } catch (error) {
            expect(error).toBeInstanceOf(SyntaxError)
            return
          }
          expect(toBase64url(read)).toBe(text)
        },
      ),
      { numRuns: runs(2000) },
    )
  })
})
