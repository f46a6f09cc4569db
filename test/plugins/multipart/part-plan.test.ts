import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_PARTS } from '../../../src/bucket/limits.ts'
import { partBytes, planParts } from '../../../src/plugins/multipart/begin.ts'
import { runs } from '../../support/fuzz.ts'

const MIB = 1024 ** 2
const TIB = 1024 ** 4
/** S3's limit for a part that isn't the last: "Amazon S3 multipart upload limits". */
const S3_MIN_PART = 5 * MIB
const S3_MAX_PART = 5 * 1024 ** 3

/** Any size that S3 accepts. Small sizes and sizes near the limits are as likely as the others. */
const size = fc.oneof(
  fc.integer({ min: 1, max: 5 * TIB }),
  fc.integer({ min: 1, max: 100 * MIB }),
  fc
    .tuple(
      fc.integer({ min: 1, max: 700 }),
      fc.integer({ min: 9_990, max: 10_001 }),
      fc.integer({ min: -1, max: 1 }),
    )
    .map(([mib, count, extra]) => Math.min(mib * MIB * count + extra, 5 * TIB)),
)

describe('the parts of a file', () => {
  it.each([
    [1, 8 * MIB, 1],
    [8 * MIB - 1, 8 * MIB, 1],
    [8 * MIB, 8 * MIB, 1],
    [8 * MIB + 1, 8 * MIB, 2],
    [80_000 * MIB, 8 * MIB, 10_000],
    [80_000 * MIB + 1, 9 * MIB, 8889],
    [5 * TIB, 525 * MIB, 9987],
  ])('of %i bytes have %i bytes each, and their number is %i', (bytes, partSize, partCount) => {
    expect(planParts(bytes)).toEqual({ partSize, partCount })
  })

  it("are at most 10,000, each within S3's size limits", () => {
    expect(MAX_PARTS).toBe(10_000)
    fc.assert(
      fc.property(size, (bytes) => {
        const { partSize, partCount = 0 } = planParts(bytes)
        expect(partCount).toBeGreaterThanOrEqual(1)
        expect(partCount).toBeLessThanOrEqual(10_000)
        expect(partSize).toBeGreaterThanOrEqual(S3_MIN_PART)
        expect(partSize).toBeLessThanOrEqual(S3_MAX_PART)
        expect(partSize % MIB).toBe(0)
      }),
      { numRuns: runs(1000) },
    )
  })

  it('are equal except the last, are not empty, and add up to the file', () => {
    fc.assert(
      fc.property(size, (bytes) => {
        const { partSize, partCount = 0 } = planParts(bytes)
        const parts = Array.from({ length: partCount }, (_, i) => partBytes(bytes, partSize, i + 1))
        expect(new Set(parts.slice(0, -1)).size).toBeLessThanOrEqual(1)
        if (partCount > 1) expect(parts[0]).toBe(partSize)
        expect(parts.at(-1)).toBeGreaterThan(0)
        expect(parts.at(-1)).toBeLessThanOrEqual(partSize)
        expect(parts.reduce((sum, part) => sum + part, 0)).toBe(bytes)
      }),
      { numRuns: runs(50) },
    )
  })

  it('are as few as their size allows', () => {
    fc.assert(
      fc.property(size, (bytes) => {
        const { partSize, partCount = 0 } = planParts(bytes)
        expect((partCount - 1) * partSize).toBeLessThan(bytes)
        // Also no larger than needed: with one MiB less, there would be too many parts.
        if (partSize > 8 * MIB) expect((partSize - MIB) * MAX_PARTS).toBeLessThan(bytes)
      }),
    )
  })
})

describe('parts of a chosen size', () => {
  it.each([
    [20 * MIB, 5 * MIB, 4],
    [20 * MIB + 1, 5 * MIB, 5],
    [1, 5 * 1024 ** 3, 1],
    [50_000 * MIB, 5 * MIB, 10_000],
  ])('of a file of %i bytes have %i bytes, and their number is %i', (bytes, asked, partCount) => {
    expect(planParts(bytes, asked)).toEqual({ partSize: asked, partCount })
  })

  it('are refused if the file would need more than 10,000', () => {
    expect(() => planParts(50_000 * MIB + 1, 5 * MIB)).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        issues: [{ path: 'partSize', message: 'must be at least 5242881, for 10000 parts' }],
      }),
    )
  })

  it('have no count while the size of the file is unknown', () => {
    expect(planParts(null)).toEqual({ partSize: 8 * MIB })
    expect(planParts(null, 6 * MIB)).toEqual({ partSize: 6 * MIB })
  })

  // @threat upload-too-large
  it('are not larger than a file may be', () => {
    expect(planParts(null, undefined, 1)).toEqual({ partSize: 1 })
    expect(planParts(null, 6 * MIB, 6 * MIB - 1)).toEqual({ partSize: 6 * MIB - 1 })
    expect(planParts(null, 6 * MIB, 100 * MIB)).toEqual({ partSize: 6 * MIB })
  })
})

describe('a part that the file does not have', () => {
  it.each([
    [1, 8 * MIB, 2, 1],
    [16 * MIB, 8 * MIB, 3, 2],
    [16 * MIB + 1, 8 * MIB, 4, 3],
    [5 * TIB, 525 * MIB, 10_000, 9987],
  ])('of %i bytes in parts of %i, number %i, is refused', (bytes, partSize, partNumber, count) => {
    expect(() => partBytes(bytes, partSize, partNumber)).toThrow(
      expect.objectContaining({ code: 'invalid_part', message: `This file has ${count} parts.` }),
    )
    expect(partBytes(bytes, partSize, count)).toBeGreaterThan(0)
  })
})
