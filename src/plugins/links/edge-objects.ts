import * as z from 'zod/mini'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import type { VariantSpec } from '../../bucket/image-size.ts'
import { ApiError, type ErrorCode, isErrorCode, restored } from '../../errors/api-error.ts'
import { deadlineOf, within } from '../../errors/deadline.ts'
import { describe } from '../../errors/describe.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { Asker, ObjectSource } from '../../storage/object-source.ts'
import {
  ALIAS,
  ASKER,
  copyUrl,
  DEADLINE,
  FAILURE,
  specQuery,
  WANTED_RANGE,
} from './objects-protocol.ts'
import { copySeconds } from './open-object.ts'

const failureSchema = z.object({
  code: z.custom<ErrorCode>(isErrorCode),
  message: z.string(),
  cause: z.optional(z.string()),
  reason: z.optional(z.string()),
  retryAfterSeconds: z.optional(z.number()),
})

/** Maximum time of a purge. */
const PURGE_MILLISECONDS = 10_000

/** The methods of the `Objects` entrypoint. */
export interface ObjectsStub {
  fetch(request: Request, init?: object): Promise<Response>
  purge(alias: string, keys: readonly string[]): Promise<string | null>
}

/** Returns the running Worker's entrypoint `name`, or null if it is missing or has no name. */
export function stubIn(context: object, name: string | null | undefined): ObjectsStub | null {
  const exports: unknown = Reflect.get(context, 'exports')
  const stub: unknown =
    name && typeof exports === 'object' && exports !== null ? Reflect.get(exports, name) : null
  return isStub(stub) ? stub : null
}

const isStub = (value: unknown): value is ObjectsStub =>
  (typeof value === 'object' || typeof value === 'function') && value !== null && 'fetch' in value

/** Returns objects through the edge cache, with bodies in their stored encoding. */
export const edgeObjects = (stub: ObjectsStub, resizesImages = false): ObjectSource => ({
  keepsCopies: true,
  resizesImages,
  async open(method, bucket, key, range, variant, asker) {
    const request = await objectRequest(method, bucket, key, range, variant, asker)
    const answer = await stub.fetch(request, { encodeResponseBody: 'manual' })
    if (answer.ok || answer.status === 416) return answer
    throw failureOf(answer)
  },
  async purge({ alias }, keys) {
    const cause = await within(PURGE_MILLISECONDS, stub.purge(alias, keys)).catch(describe)
    if (cause !== null)
      throw new ApiError('unavailable', 'The edge copy could not be purged. Try again.', {
        reason: 'purge',
        cause,
        retryAfterSeconds: 60,
      })
  },
})

/** Returns a request to `Objects` with nothing of the client's own, since all share the copy. */
export async function objectRequest(
  method: 'GET' | 'HEAD',
  bucket: ConfiguredBucket,
  key: ObjectKey,
  range: string | null,
  variant: VariantSpec | null = null,
  asker?: Asker,
): Promise<Request> {
  const headers = {
    [ALIAS]: bucket.alias,
    ...(range === null ? {} : { Range: range, [WANTED_RANGE]: range }),
    ...(asker && { [ASKER]: asker.requestId, [DEADLINE]: String(deadlineOf(asker.now)) }),
  }
  // The query is part of Workers Caching's key, so each lifetime and each variant has its own copy.
  const query = `edgeTtl=${copySeconds(bucket, key)}${variant === null ? '' : `&${specQuery(variant)}`}`
  return new Request(`${await copyUrl(bucket, key)}?${query}`, { method, headers })
}

/** Returns the error in a response of `Objects`. */
function failureOf({ headers, status }: Response): Error {
  const json = decodeURIComponent(headers.get(FAILURE) ?? 'null')
  const failure = failureSchema.safeParse(JSON.parse(json))
  if (!failure.success) return new Error(`Objects answered with status ${status}.`)
  const { code, message, ...details } = failure.data
  // The entrypoint has every bucket of its own presigner.
  if (code === 'unknown_bucket')
    return new ApiError(
      'misconfigured',
      'The objects entrypoint has other settings. Set links({ entrypoint }) to another, or to null.',
      { reason: 'settings' },
    )
  return restored(code, message, details)
}
