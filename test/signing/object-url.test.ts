import { describe, expect, it } from 'vitest'
import { type ObjectKey, parseObjectKey } from '../../src/keys/object-key.ts'
import {
  assertNamesKey,
  assertNamesObject,
  encodeKey,
  objectUrl,
} from '../../src/signing/object-url.ts'
import { testBucket } from '../support/test-bucket.ts'

const bucket = testBucket({ origin: 'https://s3.example.com', basePath: '/store/files/' })

describe('encodeKey', () => {
  it.each([
    ['photo.jpg', 'photo.jpg'],
    ['a b/c', 'a%20b/c'],
    ["+%?#&'()*!~", '%2B%25%3F%23%26%27%28%29%2A%21~'],
    ['a\\..\\b', 'a%5C..%5Cb'],
    ['%2e%2e/x', '%252e%252e/x'],
    ['/a//b/', '/a//b/'],
    ['é漢😀', '%C3%A9%E6%BC%A2%F0%9F%98%80'],
    ['@:,;=$[]{}|^`"<>', '%40%3A%2C%3B%3D%24%5B%5D%7B%7D%7C%5E%60%22%3C%3E'],
  ])('encodes %j by RFC 3986 and keeps its slashes', (key, path) => {
    expect(encodeKey(parseObjectKey(key))).toBe(path)
    expect(objectUrl(bucket, parseObjectKey(key)).href).toBe(
      `https://s3.example.com/store/files/${path}`,
    )
  })
})

describe('assertNamesObject', () => {
  const key = parseObjectKey('a b/c.txt')

  it('accepts the URL of the object, whatever its query', () => {
    for (const url of [
      'https://s3.example.com/store/files/a%20b/c.txt',
      'https://s3.example.com:443/store/files/a b/c.txt?X-Amz-Expires=1',
    ])
      expect(() => assertNamesObject(new URL(url), bucket, key)).not.toThrow()
  })

  // @threat key-escapes
  it.each([
    ['a different host', 'https://evil.example.com/store/files/a%20b/c.txt'],
    ['a different scheme', 'http://s3.example.com/store/files/a%20b/c.txt'],
    ['a different port', 'https://s3.example.com:8443/store/files/a%20b/c.txt'],
    ['a different bucket', 'https://s3.example.com/store/other/a%20b/c.txt'],
    ['a normalized segment', 'https://s3.example.com/store/files/x/../../other/a%20b/c.txt'],
    ['a different key', 'https://s3.example.com/store/files/a%20b/d.txt'],
    ['a key encoded twice', 'https://s3.example.com/store/files/a%2520b/c.txt'],
    ['a key with a suffix', 'https://s3.example.com/store/files/a%20b/c.txt/'],
  ])('throws for %s', (_, url) => {
    expect(() => assertNamesObject(new URL(url), bucket, key)).toThrow(
      'does not name the requested object',
    )
  })
})

it.each([
  'a/../b.txt',
  '../b.txt',
  './b.txt',
  '..',
  'b.txt/.',
  '%2e%2E/b.txt',
  'x/.%2e/b.txt',
  'a b.txt',
  'a\\b.txt',
  'b.txt?',
  'b.txt#',
  'é',
  '%zz',
  '%62.txt/',
  '/b.txt',
  '',
])(
  'refuses the path %j, which a URL parser would change or which names a different key',
  (path) => {
    const key = parseObjectKey('b.txt')
    expect(() => assertNamesKey(path, key)).toThrow()
    expect(() => assertNamesKey('b.txt', key)).not.toThrow()
    expect(() => assertNamesKey('%62.txt', key)).not.toThrow()
  },
)

it.each(['..', '../b', 'a/../b', './a', 'a/.', 'a b', 'a?b', 'a\\b'])(
  'refuses the path %j, even when the same key passes the key rules',
  (path) => {
    expect(() => assertNamesKey(path, path as ObjectKey)).toThrow(
      'does not name the requested object',
    )
  },
)
