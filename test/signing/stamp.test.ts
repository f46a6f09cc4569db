import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { objectKeyFault, parseObjectKey } from '../../src/keys/object-key.ts'
import { presign } from '../../src/signing/presign.ts'
import { stampFor } from '../../src/signing/stamp.ts'
import { maybeKey } from '../support/hostile.ts'
import { signedInput } from '../support/presign-input.ts'
import { verifyPresigned } from '../support/sigv4-verifier.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const keys = maybeKey.filter((text) => objectKeyFault(text) === null).map(parseObjectKey)
const A = parseObjectKey('a.txt')

const template = (changes: object = {}) => ({
  bucket: testBucket(),
  credentials: EXAMPLE_CREDENTIALS,
  method: 'GET' as const,
  signedAt: new Date('2026-11-24T12:00:00Z'),
  signedSeconds: 900,
  ...changes,
})

describe('a stamp', () => {
  it('signs byte for byte as presign does, under hostile input', async () => {
    await fc.assert(
      fc.asyncProperty(
        signedInput,
        fc.array(keys, { minLength: 1, maxLength: 3 }),
        async (input, some) => {
          const stamp = await stampFor(input)
          for (const key of some) expect(await stamp(key)).toBe(await presign({ ...input, key }))
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('is judged by the independent verifier as well', async () => {
    await fc.assert(
      fc.asyncProperty(signedInput, keys, async (input, key) => {
        const url = await (await stampFor(input))(key)
        const server = { ...input.credentials, region: input.bucket.region, now: input.signedAt }
        expect(verifyPresigned({ ...input, url }, server)).toMatchObject({
          ok: true,
          path: input.bucket.basePath + key,
        })
      }),
      { numRuns: 300 },
    )
  })

  it.each([
    ['midnight', ['2026-11-24T23:59:59Z', '2026-11-25T00:00:00Z']],
    ['the new year', ['2026-12-31T23:59:59Z', '2027-01-01T00:00:00Z']],
  ])('follows the day over %s', async (_, instants) => {
    for (const instant of [...instants, ...instants]) {
      const input = template({ signedAt: new Date(instant) })
      expect(await (await stampFor(input))(A)).toBe(await presign({ ...input, key: A }))
    }
  })

  it('follows the credentials through their rotation', async () => {
    const bucket = testBucket()
    const urls = []
    for (const name of ['one', 'two', 'one']) {
      const credentials = { ...EXAMPLE_CREDENTIALS, accessKeyId: name, secretAccessKey: name }
      const input = template({ bucket, credentials })
      const url = await (await stampFor(input))(A)
      expect(url).toBe(await presign({ ...input, key: A }))
      urls.push(url)
    }
    expect(urls[0]).toBe(urls[2])
    expect(urls[0]).not.toBe(urls[1])
  })

  it('is kept for the same input, and made anew for another', async () => {
    const bucket = testBucket()
    const stamp = await stampFor(template({ bucket }))
    expect(await stampFor(template({ bucket }))).toBe(stamp)
    for (const other of [
      { signedSeconds: 901 },
      { signedAt: new Date('2026-11-24T12:00:01Z') },
      { query: { a: 'b' } },
      { headers: { a: 'b' } },
      { method: 'HEAD' },
      { bucket: testBucket() },
    ])
      expect(await stampFor(template({ bucket, ...other }))).not.toBe(stamp)
  })

  it('is forgotten when many others have come', async () => {
    const bucket = testBucket()
    const stamp = await stampFor(template({ bucket }))
    for (let seconds = 1; seconds <= 100; seconds++)
      await stampFor(template({ bucket, signedSeconds: seconds }))
    const again = await stampFor(template({ bucket }))
    expect(again).not.toBe(stamp)
    expect(await again(A)).toBe(await stamp(A))
  })

  it('refuses a life that SigV4 does not know', async () => {
    for (const signedSeconds of [0, -1, 1.5, 604_801, Number.NaN])
      await expect(stampFor(template({ signedSeconds }))).rejects.toThrow(RangeError)
  })
})
