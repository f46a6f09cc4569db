import { MAX_PARTS } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'

const MIB = 1024 ** 2
/**
 * S3 takes 5 MiB; with a little more a file needs fewer requests, and a retry still costs little.
 */
const MIN_PART_BYTES = 8 * MIB

/** How a file is cut: `partCount` parts of `partSize` bytes, the last of what is left. */
export interface PartPlan {
  readonly partSize: number
  readonly partCount: number
}

/**
 * The plan for a file of `size` bytes, at least 1. All parts are equal but the last, as R2 wants
 * them.
 */
export function planParts(size: number): PartPlan {
  const partSize = Math.max(MIN_PART_BYTES, Math.ceil(size / MAX_PARTS / MIB) * MIB)
  return { partSize, partCount: Math.ceil(size / partSize) }
}

/** Bytes of one part of a file. Throws `invalid_part` for a number that the file doesn't have. */
export function partBytes(size: number, partSize: number, partNumber: number): number {
  const start = (partNumber - 1) * partSize
  if (start >= size)
    throw new ApiError('invalid_part', `This file has ${Math.ceil(size / partSize)} parts.`)
  return Math.min(partSize, size - start)
}
