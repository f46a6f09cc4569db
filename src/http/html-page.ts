import type { Next } from 'hono'
import { html, raw } from 'hono/html'
import { ApiError, type ErrorCode } from '../errors/api-error.ts'
import { base64url } from '../keys/encodings.ts'
import type { AppContext } from './app-env.ts'
import { askedUrl, linkBase } from './link-host.ts'
import { STYLE } from './page-style.ts'

/** Text that is safe in HTML: Hono's `html` escapes each value in it. */
export type Html = ReturnType<typeof html>

/** A page that shows text of others, and sends it nowhere. */
export interface Page {
  /** Plain text. */
  readonly title: string
  readonly body: Html
  /** URL of the page's only script. */
  readonly script?: string | undefined
  /** Origins that the script may send requests to, next to its own. */
  readonly connect?: readonly string[]
  /** Origin that the form may redirect to, next to its own: browsers check this after they have sent it. */
  readonly formTarget?: string | undefined
}

/**
 * Returns a page with all its headers: nothing of another origin runs, is shown or frames it. Its URL is a
 * secret, so a Referer has only its origin, and no cache keeps it.
 */
export function htmlPage(
  c: AppContext,
  { title, body, script, connect = [], formTarget }: Page,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const nonce = base64url(crypto.getRandomValues(new Uint8Array(16)))
  const policy = [
    "default-src 'none'",
    `style-src 'nonce-${nonce}'`,
    ...(script === undefined
      ? []
      : [`script-src 'nonce-${nonce}'`, `connect-src ${["'self'", ...connect].join(' ')}`]),
    `form-action 'self'${formTarget === undefined ? '' : ` ${formTarget}`}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ]
  const text = html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>${readable(title)}</title>
<style nonce="${nonce}">${raw(STYLE)}</style>
<main>${body}</main>
${script === undefined ? '' : html`<script type="module" nonce="${nonce}" src="${script}"></script>`}
</html>`
  const response = new Response(String(text), {
    status,
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': policy.join('; '),
      'Cache-Control': 'no-store',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Resource-Policy': 'same-origin',
      'Referrer-Policy': 'strict-origin',
      'X-Content-Type-Options': 'nosniff',
      'X-Frame-Options': 'DENY',
      'X-Robots-Tag': 'noindex',
      'X-Request-Id': c.get('requestId'),
      ...headers,
    },
  })
  c.env.complete = response
  return response
}

/** Removes what changes the direction of text: `gpj.exe` must not look like `exe.jpg`. */
export const readable = (text: string): string => text.replace(/[\p{Bidi_Control}\p{Cc}]/gu, ' ')

/** Titles of pages that say what went wrong. */
type Titles = Readonly<Partial<Record<ErrorCode, string>>>

const TITLES: Titles = {
  not_found: 'There is nothing here',
  password_wrong: 'The password is wrong',
  rate_limited: 'Too many attempts',
}

/**
 * Returns middleware: errors of the routes behind it are pages for a browser that shows them. Those without
 * a title have a general one.
 */
export const pageErrors = (own: Titles) => (c: AppContext, next: Next) => {
  const titles = { ...TITLES, ...own }
  if (/\btext\/html\b/i.test(c.req.header('Accept') ?? ''))
    c.set('errorResponse', ({ code, message, requestId }, status, headers) => {
      const title = titles[code] ?? 'This did not work'
      const body = html`<h1>${title}</h1><p>${readable(message)}</p><p class="small">${requestId}</p>`
      return htmlPage(c, { title, body }, status, headers)
    })
  return next()
}

/**
 * Throws `forbidden` for a request that a page of another origin makes, unless `takes` accepts that: a
 * form elsewhere must not use what the visitor's network, country or password allows. Clients other than
 * browsers send no origin.
 */
export function requireOwnPage(
  c: AppContext,
  takes: (origin: string) => boolean = () => false,
): void {
  const origin = c.req.header('Origin')
  const site = c.req.header('Sec-Fetch-Site')
  const isOwn =
    site === undefined
      ? origin === undefined || origin === new URL(askedUrl(c)).origin
      : site === 'same-origin'
  if (!isOwn && (origin === undefined || !takes(origin)))
    throw new ApiError('forbidden', "Pages of other origins can't do this.")
}

/**
 * Returns a redirect to the host of links, if there is one and this request asks another host: what
 * others upload or write must not share an origin with the API. Otherwise, returns null.
 */
export function toLinkHost(c: AppContext): Response | null {
  const { linkHostOnly } = c.get('settings')
  const { host, pathname } = new URL(askedUrl(c))
  const base = linkBase(c)
  if (!linkHostOnly || host === new URL(base).host) return null
  return c.redirect(base + pathname.slice(c.env.host.mountPath.length), 308)
}
