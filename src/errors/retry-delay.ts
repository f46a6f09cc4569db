/** Delay after the first failure, in seconds. It doubles with each failure. */
const FIRST_SECONDS = 10
const MAX_SECONDS = 3600

/**
 * Returns the seconds to wait after failure number `attempt`, which counts from 1: 10, 20, 40, up to
 * an hour, plus up to a quarter of that by `random` (0 to 1), so that messages spread. A server that
 * asks for a longer wait gets it, up to an hour.
 */
export function retryDelay(attempt: number, askedSeconds: number, random: number): number {
  const own = Math.min(FIRST_SECONDS * 2 ** Math.max(0, attempt - 1), MAX_SECONDS)
  const asked = Math.min(askedSeconds, MAX_SECONDS)
  return Math.round(Math.max(own, asked) * (1 + random / 4))
}

/** Returns the seconds of a Retry-After, a number or a date (RFC 9110, §10.2.3), or 0. */
export function secondsAsked(retryAfter: string | null, now: Date): number {
  if (retryAfter === null) return 0
  const seconds = /^\d{1,9}$/.test(retryAfter)
    ? Number(retryAfter)
    : (Date.parse(retryAfter) - now.getTime()) / 1000
  return seconds > 0 ? Math.ceil(seconds) : 0
}
