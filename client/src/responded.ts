import type { ClientErrorCode } from './error-code.ts'

/** Origins that have responded to this page. Their CORS rules allow it. */
const responded = new Set<string>()

/** Returns the origin of `url`, which may be a path. */
export const originOf = (url: string): string => new URL(url, globalThis.location?.href).origin

/** Remembers that the origin of `url` has responded. */
export const noteResponse = (url: string): void => {
  responded.add(originOf(url))
}

/**
 * Returns the error code for a request without a response. A browser doesn't tell a page whether
 * the network or CORS blocked it. If the origin has responded before, the failure is temporary.
 * Otherwise, the page may never reach it.
 */
export const codeWithoutResponse = (url: string): ClientErrorCode =>
  responded.has(originOf(url)) || globalThis.navigator?.onLine === false ? 'network' : 'unreachable'
