import type { Api, ApiRequest } from './api.ts'
import type { Check } from './check.ts'
import type { Stall, Tracker } from './progress.ts'
import type { StartRequest } from './requests.ts'
import { createLine, withRetries } from './retry.ts'

/** What the functions of one upload share. */
export interface Job extends Tracker {
  readonly api: Api
  readonly file: Blob
  /** What identifies the upload. */
  readonly request: StartRequest
  /** The same as the API accepts it: with either `fileName` or `key`. */
  readonly body: StartRequest
  /** Cancels all requests of this upload. */
  readonly signal: AbortSignal
}

/** All requests of the page's uploads: each upload needs both the Worker and the bucket. */
export const line = createLine()

/** Sends a request of this upload to the Worker, with retries. */
export function call<T>(
  { api, signal, watch }: Job,
  check: Check<T>,
  method: 'GET' | 'POST',
  path: string,
  request: ApiRequest,
): Promise<T> {
  return withRetries(
    signal,
    (stall) => api(check, method, path, { signal, stall, ...request }),
    watch(),
    line,
  )
}

/** Sends a request for several uploads to the Worker, with retries that none of them cancels. */
export const callForAll = <T>(
  api: Api,
  check: Check<T>,
  path: string,
  body: object,
  stall: Stall,
): Promise<T> =>
  withRetries(
    new AbortController().signal,
    (stall) => api(check, 'POST', path, { body, stall }),
    stall,
    line,
  )
