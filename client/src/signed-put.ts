import { PresignerError } from './presigner-error.ts'

/** A signed PUT, with its lifetime as the API returns it. */
export interface SignedPut {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** Seconds from `signedAt` on. */
  readonly expiresIn: number
  /** When it expires, by the API's clock: ISO 8601 in UTC. */
  readonly expiresAt: string
  /** When the response arrived, by the clock of this machine, which may be wrong. */
  readonly signedAt: number
}

/** Tells whether there is a URL that has not expired yet. */
export const isFresh = (put: SignedPut | undefined): put is SignedPut =>
  put !== undefined && Date.now() < put.signedAt + put.expiresIn * 1000

/**
 * The bucket's statuses if it refuses a URL. S3 returns 403 for an expired URL, and 400 for expired
 * temporary credentials.
 */
const REFUSALS: readonly number[] = [400, 401, 403]

/** Tells whether a new URL may help. */
export const refusesUrl = (error: unknown): boolean =>
  error instanceof PresignerError &&
  error.code === 'bucket_refused' &&
  REFUSALS.includes(error.status)

/**
 * Returns the error for the bucket's response to a PUT: `misconfigured` if the URL had already expired
 * when it was signed, by the bucket's clock in `date`, since every new URL has expired then too. Or
 * `precondition_failed` if the object doesn't have the ETag of `ifMatch`.
 */
export function refusalOf(
  { expiresAt, signedAt, headers }: SignedPut,
  status: number,
  text: string,
  date: string | null | undefined,
  retryAfter?: number,
): PresignerError {
  const reason = /<Code>(\w+)/.exec(text)?.[1] ?? ''
  const signedAtBucket = Date.parse(`${date}`) - Date.now() + signedAt
  const isAhead = signedAtBucket >= Date.parse(expiresAt) && REFUSALS.includes(status)
  // S3 answers 404 if the object is gone, and 409 while somebody else replaces it.
  const isOutdated = headers['If-Match'] && [404, 409, 412].includes(status)
  return new PresignerError(
    isAhead ? 'misconfigured' : isOutdated ? 'precondition_failed' : 'bucket_refused',
    `The bucket returned ${status} ${reason}${isAhead ? `. Its clock is ahead: ${date}` : ''}`,
    { status, retryAfter, ...(isAhead && { reason: 'clock' }) },
  )
}
