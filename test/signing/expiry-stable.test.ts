import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Bucket } from '../../src/bucket/bucket.ts'
import { resolveValidity, type UrlUse, type ValidityInput } from '../../src/signing/expiry.ts'
import { runs } from '../support/fuzz.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const MAX_STABLE = 302_400

const stable = (changes: Partial<ValidityInput> = {}) =>
  resolveValidity({
    use: 'view',
    expiresIn: undefined,
    stable: true,
    bucket: testBucket(),
    credentials: EXAMPLE_CREDENTIALS,
    now: NOW,
    ...changes,
  })

const limited = (max: number): Bucket => {
  const { maxExpiresIn } = testBucket()
  return testBucket({ maxExpiresIn: { ...maxExpiresIn, view: max, stream: max, email: max } })
}

const use = fc.constantFrom<UrlUse[]>('view', 'stream', 'email')
const instant = fc.date({
  min: new Date('2020-01-01'),
  max: new Date('2080-01-01'),
  noInvalidDate: true,
})
const life = fc.integer({ min: 1, max: MAX_STABLE })

describe('a stable URL', () => {
  it('has the same dates at every instant of a window, and different dates in the next one', () => {
    fc.assert(
      fc.property(
        use,
        life,
        instant,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (use, expiresIn, now, part) => {
          const first = stable({ use, expiresIn, now })
          const windowStart = first.signedAt.getTime()
          const windowEnd = windowStart + expiresIn * 1000
          const other = new Date(windowStart + Math.floor(part * (expiresIn * 1000 - 1)))
          for (const now of [other, new Date(windowStart), new Date(windowEnd - 1)]) {
            const { signedAt, signedSeconds, expiresAt } = stable({ use, expiresIn, now })
            expect([signedAt, signedSeconds, expiresAt]).toEqual([
              first.signedAt,
              first.signedSeconds,
              first.expiresAt,
            ])
          }
          for (const now of [new Date(windowStart - 1), new Date(windowEnd)])
            expect(stable({ use, expiresIn, now }).signedAt).not.toEqual(first.signedAt)
        },
      ),
      { numRuns: runs(300) },
    )
  })

  it('is valid for at least the requested lifetime, at every instant', () => {
    fc.assert(
      fc.property(use, life, instant, (use, expiresIn, now) => {
        const { signedAt, signedSeconds, expiresInSeconds, expiresAt } = stable({
          use,
          expiresIn,
          now,
        })
        expect(signedAt.getTime()).toBeLessThanOrEqual(now.getTime())
        expect(signedAt.getTime() + signedSeconds * 1000).toBe(expiresAt.getTime())
        expect(expiresAt.getTime() - now.getTime()).toBeGreaterThanOrEqual(expiresIn * 1000)
        expect(expiresInSeconds).toBeGreaterThanOrEqual(expiresIn)
        expect(expiresInSeconds).toBe(
          (expiresAt.getTime() - Math.floor(now.getTime() / 1000) * 1000) / 1000,
        )
      }),
    )
  })

  // @threat url-too-long
  it('never exceeds the maximum of SigV4, the bucket or temporary credentials', () => {
    const limit = fc.integer({ min: 2, max: 604_800 })
    fc.assert(
      fc.property(
        use,
        fc.option(life, { nil: undefined }),
        instant,
        limit,
        fc.option(limit, { nil: null }),
        (use, expiresIn, now, max, credentialSeconds) => {
          const expiresAt =
            credentialSeconds === null
              ? Number.POSITIVE_INFINITY
              : now.getTime() + credentialSeconds * 1000
          const sign = () =>
            stable({
              use,
              expiresIn,
              now,
              bucket: limited(max),
              credentials: { ...EXAMPLE_CREDENTIALS, expiresAt },
            })
          if (expiresIn !== undefined && expiresIn > Math.min(max / 2, credentialSeconds ?? max)) {
            expect(sign).toThrow(expect.objectContaining({ code: 'invalid_expiry' }))
            return
          }
          const signed = sign()
          expect(signed.signedSeconds).toBeGreaterThan(0)
          expect(signed.signedSeconds).toBeLessThanOrEqual(max)
          expect(signed.expiresAt.getTime()).toBeLessThanOrEqual(expiresAt)
        },
      ),
    )
  })

  it('accepts a lifetime of half the maximum, but not one second more', () => {
    expect(stable({ expiresIn: MAX_STABLE }).signedSeconds).toBe(604_800)
    expect(() => stable({ expiresIn: MAX_STABLE + 1 })).toThrow(
      expect.objectContaining({
        code: 'invalid_expiry',
        message: expect.stringContaining(`from 1 to ${MAX_STABLE} seconds for a stable URL`),
      }),
    )
    for (const expiresIn of [0, -1])
      expect(() => stable({ expiresIn })).toThrow(
        expect.objectContaining({ code: 'invalid_expiry' }),
      )
  })

  it('uses the default lifetime of its use as the window, capped at half of what the bucket allows', () => {
    expect(stable()).toEqual({
      signedAt: NOW,
      signedSeconds: 1800,
      expiresInSeconds: 1800,
      expiresAt: new Date('2026-11-24T12:30:00Z'),
    })
    expect(stable({ bucket: limited(101) }).signedSeconds).toBe(100)
  })

  it('stays the same in a window until temporary credentials expire, and expires with them', () => {
    const end = NOW.getTime() + 30 * 60_000
    const credentials = { ...EXAMPLE_CREDENTIALS, expiresAt: end + 999 }
    for (const [request, windows] of [
      [{}, 2],
      [{ expiresIn: 60 }, 30],
      [{ defaultSeconds: 300 }, 6],
      [{ use: 'email' }, 1],
      [{ bucket: limited(1200) }, 3],
    ] as const) {
      const dates = new Set<string>()
      for (let now = NOW.getTime(); now < end; now += 1000) {
        const left = (end - now) / 1000
        if ('expiresIn' in request && left < request.expiresIn) break
        const url = stable({ ...request, credentials, now: new Date(now) })
        const { signedAt, signedSeconds, expiresAt, expiresInSeconds } = url
        dates.add(`${signedAt.getTime()} ${signedSeconds}`)
        expect(expiresAt.getTime()).toBeLessThanOrEqual(end)
        expect(expiresAt.getTime()).toBe(signedAt.getTime() + signedSeconds * 1000)
        expect(expiresInSeconds).toBeGreaterThanOrEqual(
          'expiresIn' in request ? request.expiresIn : 1,
        )
      }
      expect(dates.size, JSON.stringify(request)).toBe(windows)
    }
  })

  it('is valid at most as long as temporary credentials, to the second', () => {
    const credentials = { ...EXAMPLE_CREDENTIALS, expiresAt: NOW.getTime() + 500_000 }
    expect(stable({ credentials, expiresIn: 500 }).expiresInSeconds).toBe(500)
    expect(() => stable({ credentials, expiresIn: 501 })).toThrow(
      expect.objectContaining({
        code: 'invalid_expiry',
        message: expect.stringContaining('from 1 to 500 seconds for a stable URL'),
      }),
    )
  })
})
