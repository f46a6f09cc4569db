import { MAX_PARTS } from '../../bucket/limits.ts'
import { ApiError } from '../../errors/api-error.ts'

const MIB = 1024 ** 2
/**
 * S3 requires at least 5 MiB. A larger part needs fewer requests, and a retry still costs little.
 */
const DEFAULT_PART_BYTES = 8 * MIB

/**
 * How a file is split: `partCount` parts of `partSize` bytes. The last part has the rest. The count
 * is missing while the size of the file is unknown.
 */
export interface PartPlan {
  readonly partSize: number
  readonly partCount?: number
}

/**
 * Returns the plan for a file of `size` bytes, at least 1, or null if nobody knows it yet. All parts
 * except the last have the same size, as R2 requires: `asked` bytes, or a default. If a part could
 * hold more than `max` bytes, the maximum of a file, there is only one. Throws `invalid_request` if
 * the file would have too many parts.
 */
export function planParts(size: number | null, asked?: number, max = Infinity): PartPlan {
  if (size === null) return { partSize: Math.min(asked ?? DEFAULT_PART_BYTES, max) }
  const smallest = Math.ceil(size / MAX_PARTS)
  if (asked !== undefined && asked < smallest)
    throw new ApiError('invalid_request', 'The request is not valid.', {
      issues: [
        { path: 'partSize', message: `must be at least ${smallest}, for ${MAX_PARTS} parts` },
      ],
    })
  const partSize = asked ?? Math.max(DEFAULT_PART_BYTES, Math.ceil(smallest / MIB) * MIB)
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
