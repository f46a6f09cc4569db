import { beforeAll, describe, expect, it } from 'vitest'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { presign } from '../../src/signing/presign.ts'
import { type Server, verifyPresigned } from '../support/sigv4-verifier.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const SIGNED_AT = new Date('2026-11-24T12:00:00Z')
const SIGNED_SECONDS = 300
const SERVER: Server = {
  ...EXAMPLE_CREDENTIALS,
  sessionToken: 'token+/=',
  region: 'us-east-1',
  now: SIGNED_AT,
}
const headers = { 'Content-Type': 'image/png', 'x-amz-meta-note': 'one two' }
let url: string

beforeAll(async () => {
  url = await presign({
    bucket: testBucket(),
    credentials: { ...EXAMPLE_CREDENTIALS, sessionToken: 'token+/=' },
    method: 'PUT',
    key: parseObjectKey('a b/é.png'),
    query: { versionId: 'x y' },
    headers,
    signedAt: SIGNED_AT,
    signedSeconds: SIGNED_SECONDS,
  })
})

const seconds = (count: number): Date => new Date(SIGNED_AT.getTime() + count * 1000)

/** Shows that the verifier, on which all other tests depend, can refuse a URL. */
describe('the verifier', () => {
  it('accepts a signed URL until its last second', () => {
    for (const now of [SIGNED_AT, seconds(SIGNED_SECONDS)])
      expect(verifyPresigned({ method: 'PUT', url, headers }, { ...SERVER, now }).ok).toBe(true)
  })

  it('refuses a URL with any single character changed', () => {
    const start = url.indexOf('/', 'https://'.length)
    for (let i = start; i < url.length; i++) {
      const changed = `${url.slice(0, i)}${url[i] === '0' ? '1' : '0'}${url.slice(i + 1)}`
      const verified = verifyPresigned({ method: 'PUT', url: changed, headers }, SERVER)
      expect(verified.ok, changed).toBe(false)
    }
  })

  it('refuses a signature with any single character changed', () => {
    const start = url.indexOf('X-Amz-Signature=') + 'X-Amz-Signature='.length
    for (let i = start; i < start + 64; i++) {
      const changed = `${url.slice(0, i)}${url[i] === '0' ? '1' : '0'}${url.slice(i + 1)}`
      expect(verifyPresigned({ method: 'PUT', url: changed, headers }, SERVER)).toEqual({
        ok: false,
        reason: 'signature mismatch',
      })
    }
  })

  // @threat url-changed
  it.each([
    ['a different host', (text: string) => text.replace('examplebucket', 'otherbucket')],
    ['a different path', (text: string) => text.replace('%C3%A9.png', '%C3%A8.png')],
    ['a different query value', (text: string) => text.replace('versionId=x', 'versionId=z')],
    ['an extra parameter', (text: string) => `${text}&response-content-type=text%2Fhtml`],
    ['a missing parameter', (text: string) => text.replace('versionId=x%20y&', '')],
    ['a longer lifetime', (text: string) => text.replace('Expires=300', 'Expires=301')],
  ])('refuses %s', (_, change) => {
    expect(change(url)).not.toBe(url)
    expect(verifyPresigned({ method: 'PUT', url: change(url), headers }, SERVER)).toEqual({
      ok: false,
      reason: 'signature mismatch',
    })
  })

  // @threat url-changed
  it.each([
    ['a parameter twice', (text: string) => `${text}&versionId=x%20y`, 'repeated parameter'],
    ['a plus in the query', (text: string) => text.replace('x%20y', 'x+y'), 'malformed url'],
    ['a fragment', (text: string) => `${text}#a`, 'malformed url'],
    ['half an escape', (text: string) => text.replace('.png', '.p%zg'), 'malformed url'],
    ['bad UTF-8', (text: string) => text.replace('%C3%A9', '%C3'), 'malformed url'],
    ['no date', (text: string) => text.replace('X-Amz-Date', 'X-Amz-Dates'), 'missing parameter'],
    [
      'a lifetime of more than a week',
      (text: string) => text.replace('=300', '=604801'),
      'malformed expiry',
    ],
    [
      'a different day',
      (text: string) => text.replace('%2F20261124', '%2F20261125'),
      'wrong scope',
    ],
    ['a different service', (text: string) => text.replace('%2Fs3%2F', '%2Fsqs%2F'), 'wrong scope'],
    ['a different token', (text: string) => text.replace('token', 'tokem'), 'wrong session token'],
    [
      'a different algorithm',
      (text: string) => text.replace('AWS4-HMAC-SHA256', 'AWS4-HMAC-SHA1'),
      'wrong algorithm',
    ],
    [
      'a host that is not signed',
      (text: string) => text.replace('%3Bhost%3B', '%3B'),
      'malformed signed headers',
    ],
  ])('refuses %s', (_, change, reason) => {
    expect(change(url)).not.toBe(url)
    expect(verifyPresigned({ method: 'PUT', url: change(url), headers }, SERVER)).toEqual({
      ok: false,
      reason,
    })
  })

  // @threat url-changed
  it.each([
    ['a different method', { method: 'GET' }, 'signature mismatch'],
    [
      'a different type',
      { headers: { ...headers, 'Content-Type': 'text/html' } },
      'signature mismatch',
    ],
    [
      'a signed header that is missing',
      { headers: { 'Content-Type': 'image/png' } },
      'signed header missing',
    ],
    [
      'an x-amz header that is not signed',
      { headers: { ...headers, 'x-amz-copy-source': '/files/secret' } },
      'header not signed',
    ],
  ])('refuses %s', (_, change, reason) => {
    expect(verifyPresigned({ method: 'PUT', url, headers, ...change }, SERVER)).toEqual({
      ok: false,
      reason,
    })
  })

  // @threat url-changed
  it.each([
    ['a different secret', { secretAccessKey: 'x' }, 'signature mismatch'],
    ['a different access key', { accessKeyId: 'x' }, 'wrong credential'],
    ['a different region', { region: 'eu-central-1' }, 'wrong scope'],
    ['a URL that has expired', { now: seconds(SIGNED_SECONDS + 1) }, 'expired'],
    ['a URL from the future', { now: seconds(-901) }, 'not yet valid'],
  ])('refuses %s', (_, change, reason) => {
    expect(verifyPresigned({ method: 'PUT', url, headers }, { ...SERVER, ...change })).toEqual({
      ok: false,
      reason,
    })
  })
})
