import type { Check } from './check.ts'

/** Options of the methods that send requests. */
export interface CallOptions {
  /** Cancels the call, its retries included. For a deadline: `AbortSignal.timeout(10_000)`. */
  readonly signal?: AbortSignal | undefined
}

/** A request's query (without undefined members), its JSON body, and a signal that cancels it. */
export interface ApiRequest extends CallOptions {
  readonly query?: object | undefined
  readonly body?: object | undefined
}

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/**
 * Sends one request to the Worker. Resolves with the response, which `check` must accept. Throws
 * PresignerError, or the reason of `signal`.
 */
export type Call = <T>(
  check: Check<T>,
  method: Method,
  path: string,
  request?: ApiRequest,
) => Promise<T>

/**
 * Returns a function that sends `members` and the options of a method: in the query of a GET and a DELETE,
 * otherwise in the body.
 */
export const sendsOptions =
  (call: Call) =>
  <T>(
    check: Check<T>,
    method: Method,
    path: string,
    options: CallOptions = {},
    members?: object,
  ) => {
    const { signal, ...others } = options
    const content = { ...others, ...members }
    const inQuery = method === 'GET' || method === 'DELETE'
    return call(check, method, path, { [inQuery ? 'query' : 'body']: content, signal })
  }
