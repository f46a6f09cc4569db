export const DAY_SECONDS = 24 * 3600
/** How long a link that is copied can be valid, in words and seconds. */
export const LIFETIMES = [
  ['an hour', 3600],
  ['a day', DAY_SECONDS],
  ['a week', 7 * DAY_SECONDS],
  ['a month', 30 * DAY_SECONDS],
] as const

/**
 * Returns the `expiresIn` whose link is valid for `seconds`, and hardly longer. A link expires at
 * the end of the next window of `expiresIn` seconds (docs/api.md, POST /files/:key/link), so that
 * `seconds` itself would give a link for up to twice as long. Windows that are about to end are left
 * out, since the Worker's clock may differ from this one.
 */
export function windowFor(seconds: number, now: Date): number {
  const start = now.getTime() / 1000
  const step = Math.max(1, Math.floor(seconds / 10_000))
  let best = seconds
  let bestExcess = Number.POSITIVE_INFINITY
  for (let size = Math.ceil(0.6 * seconds); size <= 0.9 * seconds; size += step) {
    const excess = 2 * size - (start % size) - seconds
    if (excess >= 0 && excess < bestExcess) [best, bestExcess] = [size, excess]
  }
  return best
}
