import type { Api } from './api.ts'
import type { StartRequest } from './bodies.ts'
import type { ApiRequest } from './call.ts'
import type { Check } from './check.ts'
import { oneEach } from './one-each.ts'
import type { Stall, Tracker } from './progress.ts'
import { createLine, type Line, withRetries } from './retry.ts'

/** What the functions of one upload share. */
export interface Job extends Tracker {
  readonly api: Api
  readonly file: Blob
  /** What identifies the upload. */
  readonly request: StartRequest
  /** The body that the API accepts: `request` with either `fileName` or `key`. */
  readonly body: StartRequest
  /** ETag of the object that it may replace. The parts of an upload don't depend on it. */
  readonly ifMatch: string | undefined
  /** Cancels all requests of this upload. */
  readonly signal: AbortSignal
  /** Aborts it if somebody else is logged in. */
  readonly look?: (() => void) | undefined
}

/**
 * Returns the line in which a client's uploads wait: each needs both the Worker and the bucket.
 * Another client may have other servers, or another token.
 */
export const lineOf = oneEach<Api, Line>(createLine)

/** Sends a request of this upload to the Worker, with retries. */
export function call<T>(
  { api, signal, watch }: Job,
  check: Check<T>,
  method: 'GET' | 'POST',
  path: string,
  { stall = watch(), ...request }: ApiRequest & { readonly stall?: Stall | undefined },
): Promise<T> {
  return withRetries(
    signal,
    (stall) => api(check, method, path, { signal, stall, ...request }),
    stall,
    lineOf(api),
  )
}
