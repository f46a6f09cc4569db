import type { Bucket, Credentials, SecondsByUse } from '../bucket/bucket.ts'
import { MAX_SIGNATURE_SECONDS } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'

/** What a signed URL is for. */
export type UrlUse = Exclude<keyof SecondsByUse, 'link'>

export interface ValidityInput {
  readonly use: UrlUse
  /** The requested lifetime in seconds. Default: the bucket's default for the use. */
  readonly expiresIn?: number | undefined
  /** The lifetime without `expiresIn`, instead of the bucket's default. */
  readonly defaultSeconds?: number | undefined
  /** Whether all callers in the same time window get the same dates. */
  readonly stable?: boolean | undefined
  readonly bucket: Bucket
  readonly credentials: Credentials
  readonly now: Date
}

/** The date of a signed URL and its lifetime. */
export interface Validity {
  /** The time for `X-Amz-Date`, in whole seconds. */
  readonly signedAt: Date
  /** The seconds for `X-Amz-Expires`, counted from `signedAt`. */
  readonly signedSeconds: number
  /** Whole seconds until the URL expires. */
  readonly expiresInSeconds: number
  readonly expiresAt: Date
}

/**
 * Returns the lifetime of a URL. With `stable`, it is dated at the start of a window as long as the
 * requested lifetime, and signed for twice that time, so that it is valid for at least `expiresIn`.
 * The maximum is then half as long. Temporary credentials shorten such a lifetime, but not its
 * window, since the URL would then change every second. Shortens a default to what the bucket and
 * temporary credentials allow. Throws `invalid_expiry` for a lifetime out of range, and
 * `misconfigured`.
 */
export function resolveValidity(input: ValidityInput): Validity {
  const { use, expiresIn, stable = false, bucket } = input
  const { defaultSeconds = bucket.defaultExpiresIn[use] } = input
  const nowSeconds = Math.floor(input.now.getTime() / 1000)
  const max = longestLifetime(input)
  const lifetime = expiresIn ?? Math.min(defaultSeconds, stable ? longestWindow(input) : max)
  if (lifetime < 1 || (expiresIn ?? 0) > max)
    throw new ApiError(
      'invalid_expiry',
      `expiresIn must be from 1 to ${max} seconds for ${stable ? 'a stable URL of ' : ''}this use.`,
    )

  const signedSecond = stable ? nowSeconds - (nowSeconds % lifetime) : nowSeconds
  const expiresSecond = Math.min(signedSecond + (stable ? 2 : 1) * lifetime, lastSecond(input))
  return {
    signedAt: new Date(signedSecond * 1000),
    signedSeconds: expiresSecond - signedSecond,
    expiresInSeconds: expiresSecond - nowSeconds,
    expiresAt: new Date(expiresSecond * 1000),
  }
}

/** Returns the maximum lifetime in seconds. Throws `misconfigured`. */
export function longestLifetime(input: Omit<ValidityInput, 'expiresIn'>): number {
  const credentialSeconds = lastSecond(input) - Math.floor(input.now.getTime() / 1000)
  if (credentialSeconds < 1) throw credentialsExpired()
  return Math.min(longestWindow(input), credentialSeconds)
}

/** Returns the longest lifetime in seconds that the bucket allows, for a stable URL half of it. */
function longestWindow({ use, stable, bucket }: Omit<ValidityInput, 'expiresIn'>): number {
  const signed = Math.min(MAX_SIGNATURE_SECONDS, bucket.maxExpiresIn[use])
  return stable ? Math.floor(signed / 2) : signed
}

/** Returns when the credentials expire, in seconds since 1970. */
const lastSecond = ({ credentials }: Pick<ValidityInput, 'credentials'>): number =>
  Math.floor(credentials.expiresAt / 1000)

/** Returns the error for temporary credentials that have expired. */
export const credentialsExpired = (): ApiError =>
  new ApiError('misconfigured', "The bucket's access key has expired.", { reason: 'expired' })
