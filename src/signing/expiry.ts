import type { Bucket, Credentials, SecondsByUse } from '../bucket/bucket.ts'
import { MAX_SIGNATURE_SECONDS } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'

/** What a presigned URL is for. */
export type Use = Exclude<keyof SecondsByUse, 'link'>

export interface ValidityInput {
  readonly use: Use
  /** Seconds that the caller asks for; undefined takes the bucket's default for the use. */
  readonly expiresIn: number | undefined
  /** In place of that default. */
  readonly defaultSeconds?: number | undefined
  /** Whether every caller within one window gets the same dates. */
  readonly stable?: boolean | undefined
  readonly bucket: Bucket
  readonly credentials: Credentials
  readonly now: Date
}

/** When a presigned URL is dated and how long it is valid. */
export interface Validity {
  /** The instant for `X-Amz-Date`, in whole seconds. */
  readonly signedAt: Date
  /** The seconds for `X-Amz-Expires`, counted from `signedAt`. */
  readonly signedSeconds: number
  /** Whole seconds that the URL is valid from now on. */
  readonly expiresInSeconds: number
  readonly expiresAt: Date
}

/**
 * The lifetime of a URL. `stable` dates it back to the start of a window as long as the lifetime
 * asked for, and signs for twice that, so that it stays valid for at least `expiresIn`; the
 * maximum is then half as long. Temporary credentials cut the end of such a URL, and leave its
 * window as it is: the URL would be another one each second.
 *
 * A default shrinks to what the bucket and temporary credentials allow. Throws `invalid_expiry`
 * where a requested lifetime doesn't fit, and `credentials_expired`.
 */
export function resolveValidity(input: ValidityInput): Validity {
  const { use, expiresIn, stable = false, bucket } = input
  const { defaultSeconds = bucket.defaultExpiresIn[use] } = input
  const nowSeconds = Math.floor(input.now.getTime() / 1000)
  const max = longestLife(input)
  const life = expiresIn ?? Math.min(defaultSeconds, stable ? longestWindow(input) : max)
  if (life < 1 || (expiresIn ?? 0) > max)
    throw new ApiError(
      'invalid_expiry',
      `expiresIn must be from 1 to ${max} seconds for ${stable ? 'a stable URL of ' : ''}this use.`,
    )

  const signedSecond = stable ? nowSeconds - (nowSeconds % life) : nowSeconds
  const expiresSecond = Math.min(signedSecond + (stable ? 2 : 1) * life, lastSecond(input))
  return {
    signedAt: new Date(signedSecond * 1000),
    signedSeconds: expiresSecond - signedSecond,
    expiresInSeconds: expiresSecond - nowSeconds,
    expiresAt: new Date(expiresSecond * 1000),
  }
}

/** The longest lifetime in seconds that `resolveValidity` grants. Throws `credentials_expired`. */
export function longestLife(input: Omit<ValidityInput, 'expiresIn'>): number {
  const credentialSeconds = lastSecond(input) - Math.floor(input.now.getTime() / 1000)
  if (credentialSeconds < 1) throw credentialsExpired()
  return Math.min(longestWindow(input), credentialSeconds)
}

/** The same for credentials that do not end. */
function longestWindow({ use, stable, bucket }: Omit<ValidityInput, 'expiresIn'>): number {
  const signed = Math.min(MAX_SIGNATURE_SECONDS, bucket.maxExpiresIn[use])
  return stable ? Math.floor(signed / 2) : signed
}

/** When the credentials end, in seconds since 1970. */
const lastSecond = ({ credentials }: Pick<ValidityInput, 'credentials'>): number =>
  Math.floor(credentials.expiresAt / 1000)

/** The error for temporary credentials that are past their end. */
export const credentialsExpired = (): ApiError =>
  new ApiError('credentials_expired', 'The temporary credentials of this bucket have expired.')
