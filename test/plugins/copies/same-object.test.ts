import { expect, it } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { folded, requireOneServer } from '../../../src/plugins/copies/same-object.ts'
import { testBucket } from '../../support/test-bucket.ts'

const at = (name: string, origin: string, basePath: string) =>
  testBucket({ name, origin, basePath })

it.each([
  ['with its name in the path', 'https://s3.example', '/a/', 'https://s3.example', '/b/'],
  ['with its name in the host', 'https://a.s3.example', '/', 'https://b.s3.example', '/'],
  ['one of each', 'https://s3.example', '/a/', 'https://b.s3.example', '/'],
  ['below a path', 'https://s3.example', '/x/a/', 'https://s3.example', '/x/b/'],
])('two buckets of a server are at one server, %s', (_, origin, path, other, otherPath) => {
  expect(() => requireOneServer(at('a', origin, path), at('b', other, otherPath))).not.toThrow()
})

it.each([
  ['of other hosts', 'https://s3.example', '/a/', 'https://s4.example', '/b/'],
  ['of other ports', 'https://s3.example', '/a/', 'https://s3.example:8443', '/b/'],
  ['below other paths', 'https://s3.example', '/x/a/', 'https://s3.example', '/y/b/'],
  ['of other hosts, in the host', 'https://a.s3.example', '/', 'https://b.s4.example', '/'],
])('buckets %s are not at one server', (_, origin, path, other, otherPath) => {
  const [source, target] = [at('a', origin, path), at('b', other, otherPath)]
  expect(() => requireOneServer(source, target)).toThrow('same endpoint')
})

// @threat move-same-object
it.each([
  ['A/B.txt', 'a/b.TXT'],
  ['\u00e9.txt', 'e\u0301.txt'],
  ['\uff41.txt', 'a.txt'],
  ['a/b.txt', 'a\\b.txt'],
  ['a/b.txt', '/a//b.txt'],
])('%j and %j may be one object on some server', (from, to) => {
  expect(folded(parseObjectKey(from))).toBe(folded(parseObjectKey(to)))
})
