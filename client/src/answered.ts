import type { ClientErrorCode } from './error-code.ts'

/** Origins that have answered this page: their CORS rules allow it, and they were up. */
const answered = new Set<string>()

/** The origin of `url`, which a page may give as a path. */
export const originOf = (url: string): string => new URL(url, globalThis.location?.href).origin

/** Notes that the origin of `url` has answered. */
export const noteAnswer = (url: string): void => {
  answered.add(originOf(url))
}

/**
 * The code of a request without an answer. A browser doesn't tell a page whether the network or
 * CORS kept it: an origin that has answered before is out of reach for a while; any other may never
 * answer.
 */
export const codeOfSilence = (url: string): ClientErrorCode =>
  answered.has(originOf(url)) || globalThis.navigator?.onLine === false ? 'network' : 'unreachable'
