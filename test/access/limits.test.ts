import { describe, expect, it } from 'vitest'
import {
  type AskedLimits,
  type Limits,
  NO_LIMITS,
  narrowBucket,
  narrowLimits,
} from '../../src/access/limits.ts'
import { testBucket } from '../support/test-bucket.ts'

const settings = {
  buckets: [
    testBucket({ alias: 'photos', maxBytes: 1000, allowedTypes: ['image/png', 'image/webp'] }),
    testBucket({ alias: 'docs', maxBytes: 50, allowedTypes: ['application/pdf', 'text/*'] }),
  ],
} as const
const open = { buckets: [testBucket({ alias: 'open' })] } as const
const limited = (limits: Partial<Limits>): Limits => ({ ...NO_LIMITS, ...limits })

describe('a bucket', () => {
  it('is the same object for a principal without limits', () => {
    const bucket = testBucket()
    expect(narrowBucket(bucket, NO_LIMITS)).toBe(bucket)
    expect(narrowBucket(bucket, limited({ buckets: ['files'] }))).toBe(bucket)
  })

  it('is the same object for the same limits, so that signing finds what it has derived', () => {
    const bucket = testBucket()
    const limits = () => limited({ maxBytes: 5, allowedTypes: ['image/png'], maxExpiresIn: 60 })
    const narrow = narrowBucket(bucket, limits())
    expect(narrowBucket(bucket, limits())).toBe(narrow)
    expect(narrowBucket(bucket, { ...limits(), maxBytes: 6 })).toMatchObject({ maxBytes: 6 })
    expect(narrowBucket(testBucket({ maxBytes: 1 }), limits())).toMatchObject({ maxBytes: 1 })
  })

  it('is forgotten after many others', () => {
    const bucket = testBucket()
    const first = narrowBucket(bucket, limited({ maxBytes: 1 }))
    for (let bytes = 2; bytes <= 65; bytes++) narrowBucket(bucket, limited({ maxBytes: bytes }))
    expect(narrowBucket(bucket, limited({ maxBytes: 1 }))).not.toBe(first)
  })

  it.each([
    [null, 10, 10],
    [5, 10, 5],
    [10, 5, 5],
    [10, null, 10],
  ])('with maxBytes %j and a limit of %j allows %j bytes', (own, limit, allowed) => {
    const bucket = narrowBucket(testBucket({ maxBytes: own }), limited({ maxBytes: limit }))
    expect(bucket.maxBytes).toBe(allowed)
  })

  it.each([
    [null, ['image/*'], ['image/*']],
    [['image/*'], ['image/png'], ['image/png']],
    [['image/png', 'image/gif'], ['image/*'], ['image/png', 'image/gif']],
    [
      ['image/*', 'text/plain'],
      ['image/*', 'image/png'],
      ['image/*', 'image/png'],
    ],
    [['imagex/png'], ['image/*'], []],
    [['image/png'], ['application/pdf'], []],
    [['image/*'], null, ['image/*']],
  ])('with the types %j and the limit %j allows %j', (own, limit, allowed) => {
    const bucket = narrowBucket(testBucket({ allowedTypes: own }), limited({ allowedTypes: limit }))
    expect(bucket.allowedTypes).toEqual(allowed)
  })

  it('shortens each lifetime to the limit', () => {
    const { maxExpiresIn } = narrowBucket(testBucket(), limited({ maxExpiresIn: 7200 }))
    const most = { view: 7200, stream: 7200, email: 7200, link: 7200 }
    expect(maxExpiresIn).toEqual({ upload: 3600, ...most })
  })
})

describe('limits of a token', () => {
  // @threat token-wider
  it.each<readonly [string, Limits, AskedLimits, readonly string[]]>([
    [
      'a bucket of another principal',
      limited({ buckets: ['photos'] }),
      { buckets: ['photos', 'docs'] },
      ['buckets.1 is a bucket that you may not use'],
    ],
    [
      'a bucket of another principal that does not exist',
      limited({ buckets: ['photos'] }),
      { buckets: ['nope'] },
      ['buckets.0 is a bucket that you may not use'],
    ],
    [
      "more bytes than the caller's",
      limited({ maxBytes: 40 }),
      { maxBytes: 41 },
      ['maxBytes must be at most 40'],
    ],
    [
      'more bytes than any of its buckets allows',
      NO_LIMITS,
      { buckets: ['docs'], maxBytes: 51 },
      ['maxBytes must be at most 50'],
    ],
    [
      'all types in place of one',
      limited({ allowedTypes: ['image/png'] }),
      { allowedTypes: ['image/*'] },
      ['allowedTypes.0 must be one of image/png'],
    ],
    [
      'a type that no bucket allows',
      NO_LIMITS,
      { allowedTypes: ['image/png', 'video/mp4'] },
      ['allowedTypes.1 must be one of image/png, image/webp, application/pdf, text/*'],
    ],
    [
      "a longer lifetime than the caller's",
      limited({ maxExpiresIn: 60 }),
      { maxExpiresIn: 61 },
      ['maxExpiresIn must be at most 60'],
    ],
    [
      'a longer lifetime than any use allows',
      NO_LIMITS,
      { maxExpiresIn: 31_536_001 },
      ['maxExpiresIn must be at most 31536000'],
    ],
    [
      'several at once',
      limited({ maxBytes: 40, maxExpiresIn: 60 }),
      { maxBytes: 41, maxExpiresIn: 61 },
      ['maxBytes must be at most 40', 'maxExpiresIn must be at most 60'],
    ],
  ])('refuse %s', (_, caller, asked, issues) => {
    let thrown: unknown
    try {
      narrowLimits(caller, asked, settings)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toMatchObject({ code: 'forbidden' })
    const { issues: found } = thrown as { issues: { path: string; message: string }[] }
    expect(found.map(({ path, message }) => `${path} ${message}`)).toEqual(issues)
  })

  it('refuse a bucket that does not exist', () => {
    const ask = () => narrowLimits(NO_LIMITS, { buckets: ['nope'] }, settings)
    expect(ask).toThrow(expect.objectContaining({ code: 'unknown_bucket' }))
  })

  it('refuse everything if none of the buckets of the caller is configured any more', () => {
    const ask = () => narrowLimits(limited({ buckets: ['gone'] }), {}, settings)
    expect(ask).toThrow(expect.objectContaining({ code: 'unknown_bucket' }))
  })

  it('may be all that the caller may do', () => {
    const all = {
      buckets: ['docs', 'photos'],
      maxBytes: 1000,
      allowedTypes: ['image/png', 'text/*', 'text/csv'],
      maxExpiresIn: 31_536_000,
    }
    expect(narrowLimits(NO_LIMITS, all, settings)).toEqual(all)
    expect(narrowLimits(all, all, settings)).toEqual(all)
  })

  it('have no maximum without a limit of a bucket', () => {
    const asked = { maxBytes: Number.MAX_SAFE_INTEGER, allowedTypes: ['x/y'] }
    expect(narrowLimits(NO_LIMITS, asked, open)).toEqual(limited(asked))
  })

  it("are the caller's without others", () => {
    const caller = limited({ buckets: ['photos'], maxBytes: 10, maxExpiresIn: 60 })
    expect(narrowLimits(caller, {}, settings)).toEqual(caller)
    expect(narrowLimits(caller, { maxBytes: 9 }, settings)).toEqual({ ...caller, maxBytes: 9 })
    expect(narrowLimits(NO_LIMITS, {}, settings)).toEqual(NO_LIMITS)
  })
})
