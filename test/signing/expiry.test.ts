import { describe, expect, it } from 'vitest'
import type { Bucket } from '../../src/bucket/bucket.ts'
import { resolveValidity, type UrlUse, type ValidityInput } from '../../src/signing/expiry.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00.789Z')
const NOW_IN_SECONDS = new Date('2026-11-24T12:00:00Z')
const WEEK = 604_800

const later = (seconds: number): Date => new Date(NOW_IN_SECONDS.getTime() + seconds * 1000)

function validity(changes: Partial<ValidityInput> = {}) {
  return resolveValidity({
    use: 'view',
    expiresIn: undefined,
    bucket: testBucket(),
    credentials: EXAMPLE_CREDENTIALS,
    now: NOW,
    ...changes,
  })
}

const limited = (limits: Partial<Bucket['maxExpiresIn']>): Bucket =>
  testBucket({ maxExpiresIn: { ...testBucket().maxExpiresIn, ...limits } })

const invalidExpiry = (max: number) =>
  expect.objectContaining({
    code: 'invalid_expiry',
    message: expect.stringContaining(`from 1 to ${max} seconds`),
  })

describe('the default lifetime', () => {
  it.each<[UrlUse, number]>([
    ['upload', 300],
    ['view', 900],
    ['stream', 7200],
    ['email', 172_800],
  ])('of "%s" is %i seconds', (use, seconds) => {
    expect(validity({ use })).toEqual({
      signedAt: NOW_IN_SECONDS,
      signedSeconds: seconds,
      expiresInSeconds: seconds,
      expiresAt: later(seconds),
    })
  })

  it("is the bucket's setting for the use", () => {
    const defaultExpiresIn = { ...testBucket().defaultExpiresIn, view: 7200, upload: 1800 }
    const bucket = testBucket({ defaultExpiresIn })
    expect(validity({ bucket }).signedSeconds).toBe(7200)
    expect(validity({ bucket, use: 'upload' }).signedSeconds).toBe(1800)
    expect(validity({ bucket, use: 'stream' }).signedSeconds).toBe(7200)
    expect(validity({ bucket, expiresIn: 60 }).signedSeconds).toBe(60)
    expect(validity({ bucket, stable: true }).signedSeconds).toBe(2 * 7200)
    expect(validity({ bucket: { ...limited({ view: 60 }), defaultExpiresIn } }).signedSeconds).toBe(
      60,
    )
  })

  it('is capped at what the bucket allows', () => {
    expect(validity({ bucket: limited({ view: 60 }) }).signedSeconds).toBe(60)
    expect(validity({ use: 'email', bucket: limited({ view: 60 }) }).signedSeconds).toBe(172_800)
  })
})

describe('a requested lifetime', () => {
  it.each<[UrlUse, number]>([
    ['upload', 3600],
    ['view', WEEK],
    ['stream', WEEK],
    ['email', WEEK],
  ])('for "%s" is from 1 to %i seconds', (use, max) => {
    for (const expiresIn of [1, 2, max - 1, max])
      expect(validity({ use, expiresIn })).toEqual({
        signedAt: NOW_IN_SECONDS,
        signedSeconds: expiresIn,
        expiresInSeconds: expiresIn,
        expiresAt: later(expiresIn),
      })
    for (const expiresIn of [0, -1, max + 1, Number.MAX_SAFE_INTEGER])
      expect(() => validity({ use, expiresIn }), String(expiresIn)).toThrow(invalidExpiry(max))
  })

  it.each<UrlUse>(['upload', 'view', 'stream', 'email'])(
    'for "%s" never exceeds the limit of its bucket',
    (use) => {
      const bucket = limited({ [use]: 120 })
      expect(validity({ use, bucket, expiresIn: 120 }).signedSeconds).toBe(120)
      expect(() => validity({ use, bucket, expiresIn: 121 })).toThrow(invalidExpiry(120))
    },
  )

  it('never exceeds a week, whatever the bucket allows', () => {
    const bucket = limited({ view: 2 * WEEK })
    expect(() => validity({ bucket, expiresIn: WEEK + 1 })).toThrow(invalidExpiry(WEEK))
  })
})

describe('temporary credentials', () => {
  const ending = (seconds: number) => ({
    credentials: { ...EXAMPLE_CREDENTIALS, expiresAt: later(seconds).getTime() },
  })

  it('cap a default lifetime at their own expiry', () => {
    expect(validity(ending(100))).toMatchObject({ signedSeconds: 100, expiresAt: later(100) })
    expect(validity(ending(1)).signedSeconds).toBe(1)
    expect(validity(ending(901)).signedSeconds).toBe(900)
  })

  it('refuse a requested lifetime that exceeds their own', () => {
    expect(validity({ ...ending(100), expiresIn: 100 }).signedSeconds).toBe(100)
    expect(() => validity({ ...ending(100), expiresIn: 101 })).toThrow(invalidExpiry(100))
  })

  it('round their expiry down to whole seconds', () => {
    const expiresAt = later(100).getTime() + 999
    const credentials = { ...EXAMPLE_CREDENTIALS, expiresAt }
    expect(validity({ credentials }).expiresAt).toEqual(later(100))
  })

  it('sign nothing after they expire', () => {
    for (const seconds of [0, -1, -WEEK])
      for (const expiresIn of [undefined, 1])
        expect(() => validity({ ...ending(seconds), expiresIn })).toThrow(
          expect.objectContaining({ code: 'misconfigured', reason: 'expired' }),
        )
  })
})
