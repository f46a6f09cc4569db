import { codeOfSilence, noteAnswer } from './answered.ts'
import { type Check, isListOf, isObject, isOptional, isString } from './check.ts'
import type { ApiErrorCode, ClientErrorCode } from './error-code.ts'
import { type Issue, PresignerError } from './presigner-error.ts'
import type { Stall } from './progress.ts'

/**
 * The longest that an answer may take: the Worker gives a bucket and Workers KV ten seconds for each
 * request, and two minutes to assemble parts.
 */
const TIMEOUT_MILLISECONDS = 60_000
const COMPLETE_TIMEOUT_MILLISECONDS = 200_000
/** The part of that after which a request counts as stalled: 7.5 and 25 seconds. */
const PATIENCE = 1 / 8

export interface ApiOptions {
  /**
   * Where the API is, with its path if it has one: `https://files.example.com`, or
   * `https://app.example.com/media`. Empty for the origin of the page.
   */
  readonly baseUrl: string
  /**
   * A token or JWT, or a function that gives one. The client calls it before each request, and once
   * more, with the token, when the API refuses that: a cache may hold an expired one.
   */
  readonly token?: string | ((refused?: string) => string | Promise<string>) | undefined
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
 * Sends one request to the Worker and resolves with its answer, which `check` must take. `stall`
 * hears of it when the answer takes long. Throws PresignerError, or the reason of `signal`. Nothing
 * is retried, except with another token.
 */
export type Api = <T>(
  check: Check<T>,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  request?: ApiRequest & { readonly stall?: Stall | undefined },
) => Promise<T>

const isErrorBody = isObject<{
  code: ApiErrorCode
  message: string
  requestId?: string | undefined
  reason?: string | undefined
  issues?: Issue[] | undefined
}>({
  code: (value): value is ApiErrorCode => isString(value),
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
  const tokenOf = typeof token === 'function' ? token : () => token
  return async function api(check, method, path, { query = {}, body, signal, stall } = {}) {
    const url = baseUrl.replace(/\/+$/, '') + path
    const milliseconds = path.endsWith('/complete')
      ? COMPLETE_TIMEOUT_MILLISECONDS
      : TIMEOUT_MILLISECONDS

    async function ask(credential: string | undefined): Promise<readonly [Response, string]> {
      const sent = new Headers(typeof more === 'function' ? await more() : more)
      if (credential) sent.set('Authorization', `Bearer ${credential}`)
      if (body) sent.set('Content-Type', 'application/json')
      const timeout = AbortSignal.timeout(milliseconds)
      const silence = (cause?: unknown) => {
        const code = codeOfSilence(url)
        return new PresignerError(code, `No answer to ${method} ${url}${hintOf(code)}`, { cause })
      }
      const timer = setTimeout(() => stall?.(silence()), milliseconds * PATIENCE)
      try {
        const response = await fetch(url + searchOf(query), {
          method,
          headers: sent,
          credentials,
          body: body ? JSON.stringify(body) : null,
          signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        })
        noteAnswer(url)
        return [response, await response.text()]
      } catch (cause) {
        signal?.throwIfAborted()
        throw silence(cause)
      } finally {
        clearTimeout(timer)
      }
    }

    const credential = await tokenOf()
    let [response, text] = await ask(credential)
    if (response.status === 401) {
      const other = await tokenOf(credential)
      if (other !== credential) [response, text] = await ask(other)
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

/** What to do about it. A page's `origin` is what CORS rules must have. */
const hintOf = (code: ClientErrorCode): string =>
  code === 'unreachable' ? `. Check baseUrl, and that CORS_ORIGINS has ${globalThis.origin}.` : ''

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
