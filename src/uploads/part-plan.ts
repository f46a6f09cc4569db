import { MAX_PARTS } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'

const MIB = 1024 ** 2
/**
 * S3 requires at least 5 MiB. A larger part needs fewer requests, and a retry still costs little.
 */
const MIN_PART_BYTES = 8 * MIB

/** How a file is split: `partCount` parts of `partSize` bytes. The last part has the rest. */
export interface PartPlan {
  readonly partSize: number
  readonly partCount: number
}

/**
 * Returns the plan for a file of `size` bytes, at least 1. All parts except the last have the same
 * size, as R2 requires.
 */
export function planParts(size: number): PartPlan {
  const partSize = Math.max(MIN_PART_BYTES, Math.ceil(size / MAX_PARTS / MIB) * MIB)
  return { partSize, partCount: Math.ceil(size / partSize) }
}

/**
 * Returns the bytes of one part of a file. Throws `invalid_part` for a number that is out of range.
 */
export function partBytes(size: number, partSize: number, partNumber: number): number {
  const start = (partNumber - 1) * partSize
  if (start >= size)
    throw new ApiError('invalid_part', `This file has ${Math.ceil(size / partSize)} parts.`)
  return Math.min(partSize, size - start)
}
