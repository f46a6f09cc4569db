import type { Job } from './job.ts'
import { PresignerError } from './presigner-error.ts'
import type { Stall } from './progress.ts'
import type { PartUrlsRequest } from './requests.ts'
import { isPartUrls, type StartedUpload } from './responses.ts'
import type { Targets } from './send.ts'
import { isFresh, type SignedPut } from './signed-put.ts'

/** How many URLs are signed together: few enough to use them all before they expire. */
const BATCH = 20

/**
 * Returns signed PUTs for each part. Signs them when one is needed, together with the next ones
 * of `missing`. Sends only one such request at a time.
 */
export function partTargets(
  { api, request: { bucket }, signal }: Job,
  { uploadId, key }: StartedUpload,
  missing: readonly number[],
): (partNumber: number) => Targets {
  const targets = new Map<number, SignedPut>()
  let signing: Promise<void> | undefined

  async function sign(partNumber: number, stall: Stall): Promise<void> {
    const from = missing.indexOf(partNumber)
    const partNumbers = missing.slice(from, from + BATCH)
    const body: PartUrlsRequest = { key, partNumbers, bucket }
    const request = { body, signal, stall }
    const answer = await api(isPartUrls, 'POST', `/multipart/${uploadId}/urls`, request)
    const signedAt = Date.now()
    for (const { partNumber, url } of answer.urls)
      targets.set(partNumber, { ...answer, url, headers: {}, signedAt })
    if (!targets.has(partNumber))
      throw new PresignerError('bad_answer', `No URL for part ${partNumber}`)
  }

  return (partNumber) => ({
    async get(stall) {
      if (!isFresh(targets.get(partNumber))) targets.delete(partNumber)
      for (;;) {
        const target = targets.get(partNumber)
        // A URL that was just signed is always tried, so that this never signs in a loop.
        if (target) return target
        signing ??= sign(partNumber, stall).finally(() => {
          signing = undefined
        })
        await signing
      }
    },
    drop: () => targets.delete(partNumber),
  })
}
