import { exports } from 'cloudflare:workers'
import type { Bucket } from '../config/load.ts'
import { ApiError } from '../errors/api-error.ts'
import { describe } from '../errors/describe.ts'
import type { ObjectKey } from '../keys/object-key.ts'

/**
 * The `Objects` entrypoint of this Worker, through the edge cache that stands in front of it. Bodies
 * come as they are stored, encoded or not.
 */
export const askObjects = (request: Request): Promise<Response> =>
  exports.Objects.fetch(request, { encodeResponseBody: 'manual' })

/**
 * Drops the edge copy of an object. Throws `purge_failed`; the copy then lives for the bucket's
 * `edgeTtl` at most.
 */
export async function purgeCopy({ alias }: Bucket, key: ObjectKey): Promise<void> {
  const cause = await exports.Objects.purge(alias, key).catch(describe)
  if (cause !== null)
    throw new ApiError('purge_failed', 'The edge copy could not be dropped; try again.', { cause })
}
