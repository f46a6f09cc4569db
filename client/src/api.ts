import { type Check, isListOf, isObject, isOptional, isString } from './check.ts'
import { type ApiErrorCode, isApiErrorCode } from './error-code.ts'
import { type Issue, PresignerError } from './presigner-error.ts'

/**
 * The longest that an answer may take: the Worker gives a bucket and Workers KV ten seconds for each
 * request, and two minutes to assemble parts.
 */
const TIMEOUT_MILLISECONDS = 60_000
const COMPLETE_TIMEOUT_MILLISECONDS = 200_000

export interface ApiOptions {
  /**
   * Where the API is, with its path if it has one: `https://files.example.com`, or
   * `https://app.example.com/media`. Empty for the origin of the page.
   */
  readonly baseUrl: string
  /**
   * A token or JWT, or what gives one; it is asked before each request, so that it may get a new
   * one.
   */
  readonly token?: string | (() => string | Promise<string>) | undefined
  /**
   * Whether requests to the API send cookies, as `fetch` takes it: `include` for a session on
   * another origin. A browser sends those of the page's own origin unless given. The bucket never
   * gets any.
   */
  readonly credentials?: RequestCredentials | undefined
  /**
   * More headers of requests to the API, or what gives them; it is asked before each request. What
   * the client sets itself takes precedence. The bucket never gets any.
   */
  readonly headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>) | undefined
}

/** A request's query, where undefined is left out, its JSON body, and what ends it early. */
export interface ApiRequest {
  readonly query?: object | undefined
  readonly body?: object | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Sends one request to the Worker and resolves with its answer, which `check` must take. Throws
 * PresignerError, or the reason of `signal`. Nothing is retried.
 */
export type Api = <T>(
  check: Check<T>,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  request?: ApiRequest,
) => Promise<T>

const isErrorBody = isObject<{
  code: ApiErrorCode
  message: string
  requestId?: string | undefined
  reason?: string | undefined
  issues?: Issue[] | undefined
}>({
  code: isApiErrorCode,
  message: isString,
  requestId: isOptional(isString),
  reason: isOptional(isString),
  issues: isOptional(isListOf(isObject<Issue>({ path: isString, message: isString }))),
})

/** The API at `baseUrl`. */
export function createApi({
  baseUrl,
  token,
  credentials = 'same-origin',
  headers: more,
}: ApiOptions): Api {
  return async function api(check, method, path, { query = {}, body, signal } = {}) {
    const url = baseUrl.replace(/\/+$/, '') + path
    const credential = typeof token === 'function' ? await token() : token
    const sent = new Headers(typeof more === 'function' ? await more() : more)
    if (credential) sent.set('Authorization', `Bearer ${credential}`)
    if (body) sent.set('Content-Type', 'application/json')
    const timeout = AbortSignal.timeout(
      path.endsWith('/complete') ? COMPLETE_TIMEOUT_MILLISECONDS : TIMEOUT_MILLISECONDS,
    )
    let response: Response
    let text: string
    try {
      response = await fetch(url + searchOf(query), {
        method,
        headers: sent,
        credentials,
        body: body ? JSON.stringify(body) : null,
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      })
      text = await response.text()
    } catch (cause) {
      signal?.throwIfAborted()
      throw new PresignerError('network', `No answer to ${method} ${url}`, { cause })
    }
    const { ok, status, headers } = response
    const answer = parse(text)
    if (ok && check(answer)) return answer
    if (!ok && isErrorBody(answer))
      throw new PresignerError(answer.code, answer.message, {
        ...answer,
        status,
        retryAfter: Number(headers.get('Retry-After')) || 0,
      })
    const requestId = headers.get('X-Request-Id') ?? undefined
    throw new PresignerError('bad_answer', `${status} to ${method} ${url}`, { status, requestId })
  }
}

function searchOf(query: object): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries<unknown>({ ...query }))
    if (value !== undefined) search.set(name, String(value))
  return search.size > 0 ? `?${search}` : ''
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined // no body, or not JSON: the checks decide
  }
}
