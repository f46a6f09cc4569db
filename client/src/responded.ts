import type { ClientErrorCode } from './error-code.ts'

/** Origins that have responded to this page, if only to a preflight. Their CORS rules allow it. */
const responded = new Set<string>()
/** Origins of which the page has read a response. */
const read = new Set<string>()

/** Returns the origin of `url`, which may be a path. */
export const originOf = (url: string): string => new URL(url, globalThis.location?.href).origin

/** Remembers that the origin of `url` has responded, and whether the page could read it. */
export const noteResponse = (url: string, isReadable = true): void => {
  responded.add(originOf(url))
  if (isReadable) read.add(originOf(url))
}

/** Tells whether the page has read a response of that origin. */
export const hasRead = (url: string): boolean => read.has(originOf(url))

/**
 * Returns the error code for a request without a response. A browser doesn't tell a page whether
 * the network or CORS blocked it. If the origin has responded before, the failure is temporary.
 * Otherwise, the page may never reach it.
 */
export const codeWithoutResponse = (url: string): ClientErrorCode =>
  responded.has(originOf(url)) || globalThis.navigator?.onLine === false ? 'network' : 'unreachable'
