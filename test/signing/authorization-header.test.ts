import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ObjectKey, objectKeyError, parseObjectKey } from '../../src/keys/object-key.ts'
import { type AuthorizedInput, authorize } from '../../src/signing/authorization-header.ts'
import { runs } from '../support/fuzz.ts'
import { headerValue, hostileText, maybeKey } from '../support/hostile.ts'
import { signedInput } from '../support/presign-input.ts'
import { authorizationError } from '../support/sigv4-authorization.ts'
import { takeApart } from '../support/sigv4-verifier.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const keys = maybeKey.filter((text) => objectKeyError(text) === null).map(parseObjectKey)

const input = (changes: Partial<AuthorizedInput> = {}): AuthorizedInput => ({
  bucket: testBucket(),
  credentials: EXAMPLE_CREDENTIALS,
  method: 'GET',
  key: parseObjectKey('test.txt'),
  signedAt: new Date('2013-05-24T00:00:00Z'),
  ...changes,
})

/** Requests with a query, and a session token that a header can carry. */
const authorizedInput = fc
  .tuple(signedInput, keys, fc.option(headerValue), fc.option(hostileText, { nil: undefined }))
  .map(([{ method, query, headers, ...rest }, key, sessionToken, body]): AuthorizedInput => {
    const credentials = { ...EXAMPLE_CREDENTIALS, sessionToken }
    const shared = { ...rest, credentials, key, query: { ...query, uploadId: 'a b' }, headers }
    if (body !== undefined) return { ...shared, method: 'POST', body }
    return { ...shared, method: method === 'PUT' ? 'GET' : method }
  })

describe('authorize', () => {
  it('passes the independent verifier, under hostile input', async () => {
    await fc.assert(
      fc.asyncProperty(authorizedInput, async (one) => {
        const { url, headers } = await authorize(one)
        const { method, credentials, bucket, signedAt, body = '' } = one
        const server = { ...credentials, region: bucket.region, now: signedAt }
        expect(authorizationError({ method, url, headers, body }, server)).toBeNull()
        expect(takeApart(url)?.path).toBe(bucket.basePath + one.key)
        for (const [name, value] of Object.entries(one.headers ?? {}))
          expect(headers.get(name)).toBe(value)
      }),
      { numRuns: runs(300) },
    )
  })

  it('signs a body by its digest, and a missing body as unsigned', async () => {
    const digestOf = async (changes: Partial<AuthorizedInput>) =>
      (await authorize(input({ method: 'POST', ...changes }))).headers.get('X-Amz-Content-Sha256')
    expect(await digestOf({ body: 'Welcome to Amazon S3.' })).toBe(
      '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
    )
    expect(await digestOf({ body: '' })).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    )
    expect(await digestOf({})).toBe('UNSIGNED-PAYLOAD')
  })

  it.each(['..', '../b', 'a/../b', './a', 'a/.'])(
    'refuses to sign %j, which a URL parser would normalize, even when it passes the key rules',
    async (key) => {
      const bucket = testBucket({ basePath: '/files/' })
      await expect(authorize(input({ bucket, key: key as ObjectKey }))).rejects.toThrow(
        'does not name the requested object',
      )
    },
  )
})
