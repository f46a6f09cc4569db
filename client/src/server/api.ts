import type { ApiRequest, Call } from '../call.ts'
import type { Check } from '../check.ts'
import { isErrorBody, messageOf, parse, searchOf } from '../json.ts'
import { PresignerError } from '../presigner-error.ts'
import { anySignal } from '../signals.ts'
import { reasonOf, retryAfterOf, wasRefused, withRetries } from './retry.ts'

const TIMEOUT_MILLISECONDS = 60_000
/** The Worker waits two minutes while the bucket assembles parts. */
const COMPLETE_TIMEOUT_MILLISECONDS = 200_000

/** Paths whose 404 says that this grant or drop box doesn't exist. */
const ITEM = /^\/(?:grants|drop-boxes)\/./
/** Paths of requests whose repeat creates another grant or drop box, which nobody would revoke. */
const CREATES = /^\/(?:grants|drop-boxes)$/

export interface ServerOptions {
  /**
   * URL of the API, with its path: `https://files.example.com`, or `https://app.example.com/media`.
   */
  readonly baseUrl: string
  /**
   * An API key, or a token or JWT. Leave it out or empty for `npx edge-presigner dev`, which accepts
   * requests from your machine.
   */
  readonly apiKey?: string | undefined
  /**
   * Sends the requests to the Worker, for example through a service binding. The bucket's requests
   * always use the global `fetch`.
   */
  readonly fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined
}

/** Calls the API. */
export interface ServerCalls {
  /** Sends one request, with retries. */
  readonly api: Call
  /**
   * Sends a GET, with retries, and resolves with the response while its body arrives. Throws
   * PresignerError, or the reason of `signal`, which also ends the body.
   */
  readonly open: (path: string, request: Omit<ApiRequest, 'body'>) => Promise<Response>
}

/** Returns functions that call the API. Throws PresignerError: `invalid_options`. */
export function createServerApi({
  baseUrl,
  apiKey,
  // As a property of an object, the global function would get a wrong `this`.
  fetch: send = (url, init) => fetch(url, init),
}: ServerOptions): ServerCalls {
  const base = requireBaseUrl(baseUrl)
  const { pathname, hostname } = new URL(base)
  const credential = credentialFor(hostname, apiKey)

  /** Returns the error for a response that is not what was asked for. */
  function failureOf(
    response: Response,
    answer: unknown,
    method: string,
    path: string,
    hasBody: boolean,
  ): PresignerError {
    const { ok, status } = response
    const retryAfter = retryAfterOf(response)
    if (!ok && isErrorBody(answer)) {
      // One path segment too many is often read as a key.
      const isUnknown = answer.code === 'not_found' && !ITEM.test(path)
      const isLost = isUnknown || (status === 404 && path === '/files' && !hasBody)
      const hint = isLost && pathname !== '/' ? ` Is the API mounted at ${pathname}?` : ''
      const next = isLost ? ` Check baseUrl: ${base}.${hint}` : ''
      const message = messageOf(answer) + next
      return new PresignerError(answer.code, message, { ...answer, status, retryAfter })
    }
    const where = response.headers.get('Location')
    const requestId = response.headers.get('X-Request-Id') ?? undefined
    const hint = where ? `It redirects to ${where}.` : 'Is an edge-presigner there?'
    const message = `Unexpected response to ${method} ${base}${path}: ${status}. Check baseUrl. ${hint}`
    return new PresignerError('bad_answer', message, { status, requestId, retryAfter })
  }

  function sendOnce<T>(
    method: string,
    path: string,
    { query = {}, body, signal }: ApiRequest,
    read: (response: Response) => T | Promise<T>,
  ): Promise<T> {
    const headers = new Headers(credential)
    if (body) headers.set('Content-Type', 'application/json')
    const isSlow = /\/(?:complete|copy|move)$/.test(path)
    const milliseconds = isSlow ? COMPLETE_TIMEOUT_MILLISECONDS : TIMEOUT_MILLISECONDS
    const init = {
      method,
      headers,
      body: body ? JSON.stringify(body) : null,
      signal: signal ?? null,
    }
    const what = `${method} ${base}${path}`
    const url = base + path + searchOf(query)
    return exchange(send, url, init, { what, hint: CHECK_URL, milliseconds }, read)
  }

  async function ask<T>(check: Check<T>, method: string, path: string, request: ApiRequest) {
    const [response, text] = await sendOnce(method, path, request, readText)
    const answer = parse(text)
    if (response.ok && check(answer)) return answer
    throw failureOf(response, answer, method, path, request.body !== undefined)
  }

  async function openOnce(path: string, request: ApiRequest): Promise<Response> {
    // Its body may take longer.
    const response = await sendOnce('GET', path, request, (answer) => answer)
    if (response.ok) return response
    throw failureOf(response, parse(await response.text()), 'GET', path, false)
  }

  return {
    api(check, method, path, request = {}) {
      const mayRepeat = method === 'POST' && CREATES.test(path) ? wasRefused : undefined
      // An upload whose id is unknown can't be aborted, so the signal ends only the retries of its start.
      const sent = path === '/multipart' ? { ...request, signal: undefined } : request
      return withRetries(request.signal, () => ask(check, method, path, sent), mayRepeat)
    },
    open: (path, request) => withRetries(request.signal, () => openOnce(path, request)),
  }
}

const CHECK_URL = ' Check baseUrl, and that the Worker runs.'

/**
 * Sends a request, and resolves with what `read` returns for the response. Throws PresignerError
 * `network` after `milliseconds`, without a response, and if the signal aborts.
 */
export async function exchange<T>(
  send: (url: string, init: RequestInit) => Promise<Response>,
  url: string,
  { signal, ...init }: RequestInit,
  { what, hint = '', milliseconds }: { what: string; hint?: string; milliseconds: number },
  read: (response: Response) => T | Promise<T>,
): Promise<T> {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), milliseconds)
  try {
    const stop = anySignal(signal ?? undefined, late.signal)
    return await read(await send(url, { ...init, redirect: 'manual', signal: stop }))
  } catch (cause) {
    const reason = reasonOf(cause)
    const detail = typeof reason === 'string' ? ` (${reason})` : ''
    const why = late.signal.aborted ? ` within ${milliseconds / 1000} seconds` : detail
    throw new PresignerError('network', `No response to ${what}${why}.${hint}`, { cause })
  } finally {
    clearTimeout(timer)
  }
}

/** Returns a response with its body. */
export const readText = async (response: Response) => [response, await response.text()] as const

const invalid = (message: string): PresignerError => new PresignerError('invalid_options', message)

/** Returns `baseUrl` without the slash at its end. */
function requireBaseUrl(baseUrl: string): string {
  const example = 'Write it as https://files.example.com, with the path if the API is mounted.'
  if (!/^https?:\/\//i.test(baseUrl))
    throw invalid(`baseUrl: ${JSON.stringify(baseUrl)} has no https://. ${example}`)
  if (!URL.canParse(baseUrl))
    throw invalid(`baseUrl: ${JSON.stringify(baseUrl)} is not a URL. ${example}`)
  const { username, search, hash } = new URL(baseUrl)
  if (username || search || hash)
    throw invalid(`baseUrl: has a user, a query or a fragment. ${example}`)
  return baseUrl.replace(/\/+$/, '')
}

/** The names of this machine, including those in a container (docs/try.md). */
const LOCAL_HOST =
  /^(?:(?:.+\.)?localhost|127\.0\.0\.1|\[::1\]|host\.(?:docker|containers)\.internal)$/

/** Returns the header with `apiKey`, or none if `hostname` is this machine and there is no key. */
function credentialFor(hostname: string, apiKey: string | undefined): Record<string, string> {
  if ('document' in globalThis && 'window' in globalThis)
    throw invalid(
      'apiKey: an API key must not be in a page. In a browser, use edge-presigner-client with a token.',
    )
  if (!apiKey && LOCAL_HOST.test(hostname)) return {}
  if (!apiKey || typeof apiKey !== 'string')
    throw invalid(
      'apiKey: missing. Set it to an API key (ep_…), a token or a JWT. Only a Worker on localhost needs none.',
    )
  if (!/^[\x21-\x7e]+$/.test(apiKey))
    throw invalid('apiKey: contains a wrong character, such as a line break. Copy it again.')
  return { Authorization: `Bearer ${apiKey}` }
}
