import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ApiError } from '../../src/errors/api-error.ts'
import { type ObjectKey, parseObjectKey } from '../../src/keys/object-key.ts'
import { type PresignInput, presign } from '../../src/signing/presign.ts'
import { runs } from '../support/fuzz.ts'
import { hostileText, maybeKey } from '../support/hostile.ts'
import { signedInput } from '../support/presign-input.ts'
import { verifyPresigned } from '../support/sigv4-verifier.ts'

type Unkeyed = Omit<PresignInput, 'key' | 'headers'> & { headers: Record<string, string> }

async function signAndVerify(input: Unkeyed, key: ObjectKey) {
  const url = await presign({ ...input, key })
  const server = { ...input.credentials, region: input.bucket.region, now: input.signedAt }
  return { url, verified: verifyPresigned({ ...input, url }, server) }
}

/** The key rules, written a second time, character by character. */
function isRefused(text: string): boolean {
  const characters = Array.from(text, (character) => character.codePointAt(0) ?? 0)
  const bytes = characters.reduce(
    (sum, code) => sum + (code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4),
    0,
  )
  return (
    bytes < 1 ||
    bytes > 1024 ||
    characters.some((code) => code < 0x20 || (code >= 0x7f && code < 0xa0)) ||
    characters.some((code) => code >= 0xd800 && code < 0xe000) ||
    /(?:^|\/)\.{1,2}(?:\/|$)/.test(text)
  )
}

describe('presign under hostile input', () => {
  // @threat key-escapes
  it('signs every valid key for exactly that object, and refuses all others', async () => {
    let taken = 0
    let refused = 0
    await fc.assert(
      fc.asyncProperty(signedInput, maybeKey, async (input, text) => {
        if (isRefused(text)) {
          refused++
          expect(() => parseObjectKey(text)).toThrow(
            expect.objectContaining({ constructor: ApiError, code: 'invalid_key' }),
          )
          return
        }
        taken++
        const { url, verified } = await signAndVerify(input, parseObjectKey(text))
        expect(verified).toMatchObject({
          ok: true,
          host: new URL(input.bucket.origin).host,
          path: input.bucket.basePath + text,
          query: input.query,
        })
        // A client's URL parser leaves it unchanged.
        expect(new URL(url).href).toBe(url)
        expect(url.slice(url.indexOf('?'))).not.toContain('+')
      }),
      { numRuns: runs(500) },
    )
    expect(taken).toBeGreaterThan(100)
    expect(refused).toBeGreaterThan(30)
  })

  it('signs the longest key that S3 accepts', async () => {
    const longest = '\u{1f600}'.repeat(256)
    await fc.assert(
      fc.asyncProperty(signedInput, async (input) => {
        const { verified } = await signAndVerify(input, parseObjectKey(longest))
        expect(verified).toMatchObject({ ok: true, path: input.bucket.basePath + longest })
      }),
      { numRuns: runs(20) },
    )
  })

  it('gives every key a different signature', async () => {
    const key = hostileText.filter((text) => !isRefused(text)).map(parseObjectKey)
    await fc.assert(
      fc.asyncProperty(signedInput, key, key, async (input, a, b) => {
        fc.pre(a !== b)
        const [first, second] = await Promise.all(
          [a, b].map(async (each) => new URL(await presign({ ...input, key: each }))),
        )
        expect(first?.searchParams.get('X-Amz-Signature')).not.toBe(
          second?.searchParams.get('X-Amz-Signature'),
        )
      }),
      { numRuns: runs(100) },
    )
  })
})
