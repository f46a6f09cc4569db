import fc from 'fast-check'
import { expect, it } from 'vitest'
import { uriEncode } from '../../src/keys/uri-encode.ts'
import { hostileText } from '../support/hostile.ts'

it('encodes every character but the unreserved ones of RFC 3986', () => {
  const ascii = String.fromCharCode(...Array(0x80).keys())
  expect(uriEncode(ascii).replace(/%[0-9A-F]{2}/g, '')).toBe(
    '-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~',
  )
  expect(uriEncode("/!'()*é😀")).toBe('%2F%21%27%28%29%2A%C3%A9%F0%9F%98%80')
})

it('is undone by decoding once', () => {
  fc.assert(
    fc.property(hostileText, (text) => {
      expect(uriEncode(text)).toMatch(/^(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})*$/)
      expect(decodeURIComponent(uriEncode(text))).toBe(text)
    }),
  )
})
