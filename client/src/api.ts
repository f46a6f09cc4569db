import type { ApiRequest, Method } from './call.ts'
import { type Check, isObject, isString } from './check.ts'
import { isErrorBody, messageOf, parse, searchOf } from './json.ts'
import { PresignerError } from './presigner-error.ts'
import type { Stall } from './progress.ts'
import { codeWithoutResponse, noteResponse } from './responded.ts'
import { anySignal } from './signals.ts'
import { USER_TAG, type UserTag } from './user-tag.ts'

/**
 * How long to wait for a response. The Worker waits ten seconds for each request to a bucket or
 * Workers KV, and two minutes while the bucket assembles parts.
 */
const TIMEOUT_MILLISECONDS = 60_000
const COMPLETE_TIMEOUT_MILLISECONDS = 200_000
/** The fraction of that time after which a request counts as stalled: 7.5 and 25 seconds. */
const PATIENCE = 1 / 8

export interface ApiOptions {
  /**
   * URL of the API, with its path: `https://files.example.com`, or `https://app.example.com/media`.
   * Empty for the page's origin.
   */
  readonly baseUrl: string
  /**
   * A token or JWT, or a function that returns one. The client calls the function before each
   * request, for the `user` of the request. If the API refuses the token, the client calls it again with
   * that token, since a cache may hold an expired one.
   */
  readonly token?:
    | string
    | ((refused?: string, user?: string | null) => string | Promise<string>)
    | undefined
  /**
   * Whether requests to the API send cookies, as in `fetch`. Use `include` for a session on another
   * origin. By default, a browser sends cookies only to the page's own origin. The bucket never
   * receives any.
   */
  readonly credentials?: RequestCredentials | undefined
  /**
   * More headers for requests to the API, or a function that returns them. The client calls it
   * before each request. The client's own headers take precedence. The bucket never receives any.
   */
  readonly headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>) | undefined
}

/** Sends one request. Calls `stall` if the response takes long. Retries only with another token. */
export type Api = <T>(
  check: Check<T>,
  method: Method,
  path: string,
  request?: ApiRequest & { readonly stall?: Stall | undefined },
) => Promise<T>

/** For whom requests are sent. */
export interface Sender {
  /** Their name on the page, for the function that returns the token. */
  readonly user?: string | null | undefined
  /** Which the API compares. */
  readonly userTag?: UserTag | undefined
  /** Looks who is logged in, and returns what cancels all requests. */
  readonly signal?: () => AbortSignal
  /** Replaces the URL in errors. */
  readonly shownUrl?: string
}

const isTagged = isObject<{ tag: string }>({ tag: isString })

/** Returns a function that calls the API at `baseUrl`, without a fragment. */
export function createApi(
  { baseUrl, token, credentials = 'same-origin', headers: more }: ApiOptions,
  { user, userTag, signal: ended, shownUrl }: Sender = {},
): Api {
  const base = baseUrl.replace(/\/*(#.*)?$/, '')
  /** Whether the API has answered a request with a tag. */
  let isTagAllowed = false
  let asking: Promise<unknown> | undefined
  const tokenOf = typeof token === 'function' ? token : () => token
  return async function api(check, method, path, { query = {}, body, signal: own, stall } = {}) {
    const signal = anySignal(own, ended?.())
    const url = base + path
    const what = `${method} ${(shownUrl ?? base) + path}`
    const milliseconds = /\/(?:complete|copy|move)$/.test(path)
      ? COMPLETE_TIMEOUT_MILLISECONDS
      : TIMEOUT_MILLISECONDS

    async function ask(
      credential: string | undefined,
    ): Promise<readonly [Response, string, string | null]> {
      const sent = new Headers(typeof more === 'function' ? await more() : more)
      if (credential) sent.set('Authorization', `Bearer ${credential}`)
      if (body) sent.set('Content-Type', 'application/json')
      const tag = userTag?.read() ?? null
      if (tag) sent.set(USER_TAG, tag)
      const timeout = AbortSignal.timeout(milliseconds)
      const silence = (cause?: unknown) => {
        const code = codeWithoutResponse(url)
        // CORS rules must include the page's origin.
        const hint =
          code === 'unreachable'
            ? `. Check baseUrl, and that CORS_ORIGINS includes ${globalThis.origin}`
            : ''
        const tagHint = tag && !isTagAllowed ? `. Its CORS headers must allow ${USER_TAG}` : ''
        const end = hint || tagHint ? '.' : ''
        return new PresignerError(code, `No response to ${what}${hint}${tagHint}${end}`, { cause })
      }
      const timer = setTimeout(() => stall?.(silence()), milliseconds * PATIENCE)
      try {
        ended?.() // somebody may have logged out while the token was fetched
        signal.throwIfAborted()
        const response = await fetch(url + searchOf(query), {
          method,
          headers: sent,
          credentials,
          body: body ? JSON.stringify(body) : null,
          keepalive: method === 'DELETE', // the page may be closing
          signal: anySignal(signal, timeout),
        })
        noteResponse(url)
        if (tag) isTagAllowed = true
        return [response, await response.text(), tag]
      } catch (cause) {
        signal.throwIfAborted()
        throw silence(cause)
      } finally {
        clearTimeout(timer)
      }
    }

    signal.throwIfAborted()
    if (userTag?.read() === null && path !== '/limits') {
      asking ??= api(isTagged, 'GET', '/limits', { stall })
        .then((limits) => userTag.learn(limits.tag, null))
        .finally(() => {
          asking = undefined
        })
      await asking
    }
    const credential = await tokenOf(undefined, user)
    let [response, text, sent] = await ask(credential)
    if (response.status === 401) {
      const other = await tokenOf(credential, user)
      if (other !== credential) [response, text, sent] = await ask(other)
    }
    const { ok, status, headers } = response
    const answer = parse(text)
    if (ok && check(answer)) {
      userTag?.learn(headers.get(USER_TAG), sent)
      return answer
    }
    if (!ok && isErrorBody(answer)) {
      const retryAfter = Number(headers.get('Retry-After')) || 0
      const error = new PresignerError(answer.code, messageOf(answer), {
        ...answer,
        status,
        retryAfter,
      })
      if (error.code === 'user_changed') userTag?.refuse()
      throw error
    }
    const requestId = headers.get('X-Request-Id') ?? undefined
    const message = `Unexpected response to ${what}: ${status}. Check baseUrl.`
    throw new PresignerError('bad_answer', message, { status, requestId })
  }
}
