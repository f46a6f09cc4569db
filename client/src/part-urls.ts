import type { PartUrls } from './answers/uploads.ts'
import { PresignerError } from './presigner-error.ts'
import { isFresh, type SignedPut } from './signed-put.ts'

/**
 * Returns a function that signs a part. `sign` asks for its URL, together with those of the next parts,
 * in one such request at a time. Each URL is returned once: whoever asks again has been refused.
 */
export function partSigner<More extends readonly unknown[]>(
  sign: (partNumber: number, ...more: More) => Promise<PartUrls>,
): (partNumber: number, ...more: More) => Promise<SignedPut> {
  const urls = new Map<number, SignedPut>()
  let signing: Promise<void> | undefined

  function take(partNumber: number): SignedPut | undefined {
    const signed = urls.get(partNumber)
    urls.delete(partNumber)
    return signed
  }

  async function signFrom(partNumber: number, more: More): Promise<void> {
    const answer = await sign(partNumber, ...more)
    const signedAt = Date.now()
    for (const { partNumber, url } of answer.urls)
      urls.set(partNumber, { ...answer, url, headers: {}, signedAt })
    if (!urls.has(partNumber))
      throw new PresignerError('bad_answer', `No URL for part ${partNumber}`)
  }

  return async (partNumber, ...more) => {
    let signed = take(partNumber)
    if (isFresh(signed)) return signed
    for (;;) {
      signing ??= signFrom(partNumber, more).finally(() => {
        signing = undefined
      })
      await signing
      // A URL that was just signed is always tried, so that this never signs in a loop.
      signed = take(partNumber)
      if (signed) return signed
    }
  }
}
