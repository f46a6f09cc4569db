import { ApiError } from './api-error.ts'

/** Milliseconds from the end of a request's body to its response. */
export const REQUEST_MILLISECONDS = 25_000

/** Milliseconds of each function of an app, and of each operation of its index, by default. */
export const APP_MILLISECONDS = 10_000

/** The deadline of a request whose body ends now, in milliseconds since 1970. */
export const newDeadline = (): number => Date.now() + REQUEST_MILLISECONDS

/**
 * The current time of a request that has a deadline. Everything below the routes gets it as `now`, so
 * that each call takes at most its own limit, and what is left. A plain `Date` has no deadline.
 */
export class RequestTime extends Date {
  /** In milliseconds since 1970, or infinite. */
  readonly deadline: number

  constructor(deadline: number) {
    super(Date.now())
    this.deadline = deadline
  }
}

/** Returns the deadline of `now`, which is infinite for a plain `Date`. */
export const deadlineOf = (now: Date | RequestTime): number =>
  'deadline' in now ? now.deadline : Infinity

/** Returns `own` milliseconds, or what is left of the request. Throws `unavailable` for none. */
export function timeLeft(own: number, now: Date): number {
  const left = deadlineOf(now) - Date.now()
  if (left <= 0) throw outOfTime()
  return Math.min(own, left)
}

/** Returns the error for what could not finish in time, such as a request by its deadline. */
export const outOfTime = (cause?: unknown): ApiError =>
  new ApiError('unavailable', 'This request took too long. Send it again.', {
    reason: 'storage',
    cause: cause ?? 'deadline',
    retryAfterSeconds: 5,
  })

/**
 * Resolves with the result of `work`. Throws `late()` if it takes longer than `own` milliseconds, and
 * `unavailable` at the deadline of `now`. Doesn't start `work` after that.
 */
export const inTime = <T>(
  own: number,
  now: Date,
  work: () => T | Promise<T>,
  late: () => unknown = () => new Error('No response in time.'),
): Promise<T> =>
  new Promise((resolve, reject) => {
    const left = timeLeft(own, now)
    const working = Promise.resolve(work())
    if (left === Infinity) return resolve(working)
    const timer = setTimeout(() => reject(left < own ? outOfTime() : late()), left)
    working.finally(() => clearTimeout(timer)).then(resolve, reject)
  })

export const NO_DEADLINE = new Date(0)

/** Resolves with the result of `work`, which belongs to no request. Throws after `milliseconds`. */
export const within = <T>(milliseconds: number, work: Promise<T>): Promise<T> =>
  inTime(milliseconds, NO_DEADLINE, () => work)
