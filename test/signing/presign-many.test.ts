import { AwsV4Signer } from 'aws4fetch'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type ObjectKey, objectKeyError, parseObjectKey } from '../../src/keys/object-key.ts'
import { presign } from '../../src/signing/presign.ts'
import { type PresignTemplate, presignMany } from '../../src/signing/presign-many.ts'
import { runs } from '../support/fuzz.ts'
import { headerValue, maybeKey } from '../support/hostile.ts'
import { signedInput } from '../support/presign-input.ts'
import { verifyPresigned } from '../support/sigv4-verifier.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const keys = maybeKey.filter((text) => objectKeyError(text) === null).map(parseObjectKey)
const A = parseObjectKey('a.txt')

const template = (changes: Partial<PresignTemplate> = {}): PresignTemplate => ({
  bucket: testBucket(),
  credentials: EXAMPLE_CREDENTIALS,
  method: 'GET',
  signedAt: new Date('2026-11-24T12:00:00Z'),
  signedSeconds: 900,
  ...changes,
})

/** The number of digests for the next URL: one, unless it needs a new template. */
async function digestsOf(input: PresignTemplate): Promise<number> {
  const digest = vi.spyOn(crypto.subtle, 'digest')
  await presignMany(input)(A)
  const { length } = digest.mock.calls
  digest.mockRestore()
  return length
}

describe('presignMany', () => {
  it('returns the same URLs as presign, byte for byte, under hostile input', async () => {
    await fc.assert(
      fc.asyncProperty(
        signedInput,
        fc.array(keys, { minLength: 1, maxLength: 3 }),
        async (input, some) => {
          const presignKey = presignMany(input)
          for (const key of some)
            expect(await presignKey(key)).toBe(await presign({ ...input, key }))
        },
      ),
      { numRuns: runs(300) },
    )
  })

  it('passes the independent verifier', async () => {
    await fc.assert(
      fc.asyncProperty(signedInput, keys, async (input, key) => {
        const url = await presignMany(input)(key)
        const server = { ...input.credentials, region: input.bucket.region, now: input.signedAt }
        expect(verifyPresigned({ ...input, url }, server)).toMatchObject({
          ok: true,
          path: input.bucket.basePath + key,
        })
      }),
      { numRuns: runs(100) },
    )
  })

  it.each([
    ['midnight', ['2026-11-24T23:59:59Z', '2026-11-25T00:00:00Z']],
    ['New Year', ['2026-12-31T23:59:59Z', '2027-01-01T00:00:00Z']],
  ])('follows the day over %s', async (_, instants) => {
    for (const instant of [...instants, ...instants]) {
      const input = template({ signedAt: new Date(instant) })
      expect(await presignMany(input)(A)).toBe(await presign({ ...input, key: A }))
    }
  })

  it('follows a session token that changes while the access key stays', async () => {
    const bucket = testBucket()
    for (const sessionToken of ['one', 'two', null]) {
      const input = template({ bucket, credentials: { ...EXAMPLE_CREDENTIALS, sessionToken } })
      expect(await presignMany(input)(A)).toBe(await presign({ ...input, key: A }))
    }
  })

  it('follows the credentials through their rotation', async () => {
    const bucket = testBucket()
    const urls = []
    for (const name of ['one', 'two', 'one']) {
      const credentials = { ...EXAMPLE_CREDENTIALS, accessKeyId: name, secretAccessKey: name }
      const input = template({ bucket, credentials })
      const url = await presignMany(input)(A)
      expect(url).toBe(await presign({ ...input, key: A }))
      urls.push(url)
    }
    expect(urls[0]).toBe(urls[2])
    expect(urls[0]).not.toBe(urls[1])
  })

  it('makes one template a day, whatever the time and header values, and a new one for any other difference', async () => {
    const bucket = testBucket()
    const headers = { 'Content-Type': 'image/png' }
    const input = template({ bucket, headers })
    expect(await digestsOf(input)).toBeGreaterThan(1)
    for (const same of [
      {},
      { signedAt: new Date('2026-11-24T00:00:00Z') },
      { headers: { 'Content-Type': 'image/jpeg' } },
    ])
      expect(await digestsOf({ ...input, ...same })).toBe(1)
    for (const other of [
      { signedAt: new Date('2026-11-25T00:00:00Z') },
      { signedSeconds: 901 },
      { query: { a: 'b' } },
      { headers: { ...headers, a: 'b' } },
      { method: 'HEAD' as const },
      { credentials: { ...EXAMPLE_CREDENTIALS, secretAccessKey: 'other' } },
      { bucket: testBucket() },
    ])
      expect(await digestsOf({ ...input, ...other }), JSON.stringify(other)).toBeGreaterThan(1)
  })

  it('drops an old template after many new ones', async () => {
    const bucket = testBucket()
    const input = template({ bucket })
    const url = await presignMany(input)(A)
    for (let seconds = 1; seconds <= 100; seconds++)
      await presignMany(template({ bucket, signedSeconds: seconds }))(A)
    expect(await digestsOf(input)).toBeGreaterThan(1)
    expect(await presignMany(input)(A)).toBe(url)
  })

  it('signs the given time and header values, not those of the template', async () => {
    const bucket = testBucket()
    await fc.assert(
      fc.asyncProperty(
        fc.date({
          min: new Date('2026-11-24'),
          max: new Date('2026-11-25'),
          noInvalidDate: true,
        }),
        headerValue,
        fc.nat(),
        keys,
        async (signedAt, type, size, key) => {
          const headers = { 'Content-Type': type, 'Content-Length': String(size) }
          const input = template({ bucket, method: 'PUT', signedAt, headers })
          expect(await presignMany(input)(key)).toBe(await presign({ ...input, key }))
        },
      ),
    )
  })

  it('signs a query that contains the time or the path of the sample correctly', async () => {
    for (const text of [
      '20261124T120000Z',
      'X-Amz-Date=20261124T120000Z',
      '/sample',
      '\n/sample\n',
    ]) {
      const query = { 'response-content-disposition': text, versionId: text }
      const input = template({ query })
      expect(await presignMany(input)(A)).toBe(await presign({ ...input, key: A }))
    }
  })

  it('signs a longer input than any before it', async () => {
    const key = parseObjectKey('漢'.repeat(341))
    const input = template({ query: { 'response-content-disposition': 'x'.repeat(5000) } })
    expect(await presignMany(input)(key)).toBe(await presign({ ...input, key }))
    expect(await presignMany(input)(A)).toBe(await presign({ ...input, key: A }))
  })

  it('signs keys concurrently the same as one after another', async () => {
    const some = Array.from({ length: 300 }, (_, i) => parseObjectKey(`${i}/${'x'.repeat(i)} é`))
    const inputs = [template(), template({ method: 'PUT', headers: { 'Content-Type': 'a/b' } })]
    const atOnce = await Promise.all(
      some.flatMap((key) => inputs.map((input) => presignMany(input)(key))),
    )
    const alone = []
    for (const key of some) for (const input of inputs) alone.push(await presign({ ...input, key }))
    expect(atOnce).toEqual(alone)
  })

  it('refuses a lifetime that SigV4 does not allow', async () => {
    for (const signedSeconds of [0, -1, 1.5, 604_801, Number.NaN])
      await expect(presignMany(template({ signedSeconds }))(A)).rejects.toThrow(RangeError)
  })

  it('refuses to sign a key that a URL parser would turn into another, even when it passes the key rules', async () => {
    const presignKey = presignMany(template({ bucket: testBucket({ basePath: '/files/' }) }))
    for (const key of ['..', '../b', 'a/../b', './a', 'a/.'])
      await expect(presignKey(key as ObjectKey), key).rejects.toThrow(
        'does not name the requested object',
      )
  })
})

describe('an aws4fetch that signs in an unexpected way', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  // @threat url-wrong-signature
  it('is detected before any URL is signed: the sample has a different signature', async () => {
    const { signature } = AwsV4Signer.prototype
    vi.spyOn(AwsV4Signer.prototype, 'signature').mockImplementation(async function (
      this: AwsV4Signer,
    ) {
      return (await signature.call(this)).replace(/.$/, (digit) => (digit === '0' ? '1' : '0'))
    })
    await expect(presignMany(template({ bucket: testBucket() }))(A)).rejects.toThrow(
      'unexpected format',
    )
  })
})
