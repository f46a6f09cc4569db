import { ApiError } from '../../errors/api-error.ts'
import { within } from '../../errors/deadline.ts'
import { describe } from '../../errors/describe.ts'
import type { ObjectSource } from '../../storage/object-source.ts'
import { asHead, failureOf, objectRequest } from './objects-protocol.ts'

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
  async open(asked) {
    const request = await objectRequest(asked)
    const answer = await stub.fetch(request, { encodeResponseBody: 'manual' })
    if (!answer.ok && answer.status !== 416) throw failureOf(answer)
    return asked.method === 'HEAD' ? asHead(answer) : answer
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
