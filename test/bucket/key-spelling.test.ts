import { describe, expect, it } from 'vitest'
import { requireSpelling, storedKey } from '../../src/bucket/key-spelling.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { loadEnvironment } from '../../src/worker/environment.ts'
import { fullVariables } from '../settings/variables.ts'
import { testBucket } from '../support/test-bucket.ts'

/** The configuration with the table "files" changed by `changes`. */
function load(changes: Record<string, unknown>) {
  const variables = fullVariables()
  variables.BUCKETS.files = { ...variables.BUCKETS.files, ...changes }
  return loadEnvironment(variables)
}

function normalizesKeys(changes: Record<string, unknown>): boolean {
  const loaded = load(changes)
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues))
  return loaded.settings.buckets[0].normalizesKeys
}

const R2 = 'https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com'

describe('normalizesKeys', () => {
  it.each([
    R2,
    'https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com',
    'https://0123456789abcdef0123456789abcdef.fedramp.r2.cloudflarestorage.com',
    'https://0123456789ABCDEF0123456789ABCDEF.R2.CloudflareStorage.com',
    `${R2}.`,
    `${R2}:8443/path`,
  ])('is true at %s, in either addressing', (endpoint) => {
    for (const addressing of ['path', 'virtual'])
      expect(normalizesKeys({ endpoint, addressing }), addressing).toBe(true)
  })

  it.each([
    'https://s3.eu-central-1.amazonaws.com',
    'https://s3.us-west-004.backblazeb2.com',
    'http://127.0.0.1:9000',
    'https://r2.cloudflarestorage.com.example.com',
    'https://notr2.cloudflarestorage.com',
  ])('is false at %s', (endpoint) => {
    expect(normalizesKeys({ endpoint, addressing: 'path' })).toBe(false)
  })

  it('can be set to override the default for the host', () => {
    expect(normalizesKeys({ endpoint: R2, normalizesKeys: false })).toBe(false)
    expect(normalizesKeys({ normalizesKeys: true })).toBe(true)
  })

  it('must be a boolean', () => {
    expect(load({ normalizesKeys: 'true' })).toEqual({
      ok: false,
      issues: [{ path: 'BUCKETS.files.normalizesKeys', message: expect.any(String) }],
    })
  })
})

describe('a bucket that normalizes keys', () => {
  const bucket = testBucket({ normalizesKeys: true })

  it('accepts only keys in NFC, and another bucket accepts every spelling', () => {
    for (const key of ['', 'a.txt', '\u00e9', '\uac00', 'K', '\u0938\u0902'])
      expect(() => requireSpelling(bucket, key)).not.toThrow()
    for (const key of ['e\u0301', '\u1100\u1161', '\u212a', '\u0958', 'a\u0301\u0323']) {
      expect(() => requireSpelling(bucket, key)).toThrow(
        expect.objectContaining({ code: 'invalid_key' }),
      )
      expect(() => requireSpelling(testBucket(), key)).not.toThrow()
    }
  })

  it('stores all spellings under one key, and another bucket under several', () => {
    const key = parseObjectKey('e\u0301')
    expect(storedKey(bucket, key)).toBe('\u00e9')
    expect(storedKey(testBucket(), key)).toBe(key)
  })

  it('stores nothing under a key that NFC makes too long', () => {
    const key = parseObjectKey('\u0958'.repeat(300))
    expect(() => storedKey(bucket, key)).toThrow(expect.objectContaining({ code: 'invalid_key' }))
  })
})
