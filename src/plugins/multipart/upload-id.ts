import * as z from 'zod/mini'
import { purpose } from '../../access/purpose-key.ts'
import { decrypt, encrypt, seal, unseal } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { MAX_UPLOAD_AGE_SECONDS } from '../../bucket/limits.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { ObjectKey } from '../../keys/object-key.ts'

const UPLOAD = purpose('upload')

/** Strict, so that this version refuses an upload id with a member that a later one adds. */
const claimsSchema = z.strictObject({
  bucket: z.string(),
  key: z.string(),
  owner: z.string(),
  /** What the holder must not read, encrypted. */
  secret: z.string(),
  name: z.string(),
  /** Size of the file in bytes, or null if the client didn't state it. */
  size: z.nullable(z.int()),
  /** Bytes of each part except the last, or null if the client chooses the parts. */
  partSize: z.nullable(z.int()),
  /** Whether it may replace an object. Only for a key that the client or the app chose. */
  overwrite: z.optional(z.boolean()),
  byApp: z.optional(z.boolean()),
  /** Maximum size of the file when the upload began, if there was one. */
  maxBytes: z.optional(z.int()),
  exp: z.int(),
})

const secretSchema = z.object({
  s3UploadId: z.string().check(z.minLength(1)),
  /** Random text in its object's metadata, if other uploads may have the same key. */
  mark: z.optional(z.string()),
})

/** Identifies the owner and the object of an upload. */
export interface UploadScope {
  /** Alias of the bucket. */
  readonly bucket: string
  readonly key: ObjectKey
  /** Id of the principal. */
  readonly owner: string
}

/** The content of an upload id. */
export type UploadClaims = UploadScope &
  Readonly<Omit<z.output<typeof claimsSchema>, keyof UploadScope | 'secret' | 'exp'>> &
  Readonly<z.output<typeof secretSchema>>

type Bound = UploadScope & Pick<UploadClaims, 'overwrite'>

/**
 * Returns an upload id for clients, bound to bucket, key and principal, and its expiry. Hides S3's
 * own id, with which anyone could sign parts through a route that accepts S3's ids, and the mark,
 * with which the holder could pass another object off as the one that this upload made.
 */
export async function sealUploadId(
  { signingSecrets }: SigningSettings,
  { s3UploadId, mark, ...claims }: UploadClaims,
  now: Date,
): Promise<{ readonly uploadId: string; readonly expiresAt: Date }> {
  const exp = Math.floor(now.getTime() / 1000) + MAX_UPLOAD_AGE_SECONDS
  const secret = await encrypt(
    signingSecrets[0],
    boundTo(claims),
    JSON.stringify({ s3UploadId, mark }),
  )
  const uploadId = await seal(signingSecrets, UPLOAD, { ...claims, secret, exp })
  return { uploadId, expiresAt: new Date(exp * 1000) }
}

/**
 * Returns the content of `uploadId`. Throws `invalid_upload_id` for another bucket, key or
 * principal, an expired or a malformed one: the same error, so that a caller learns nothing.
 */
export async function openUploadId(
  { signingSecrets }: SigningSettings,
  scope: UploadScope,
  uploadId: string,
  now: Date,
): Promise<UploadClaims> {
  const unsealed = await unseal(signingSecrets, UPLOAD, uploadId, now)
  const parsed = claimsSchema.safeParse(unsealed.ok && unsealed.claims)
  if (
    !unsealed.ok ||
    !parsed.success ||
    parsed.data.bucket !== scope.bucket ||
    parsed.data.key !== scope.key ||
    parsed.data.owner !== scope.owner
  )
    throw new ApiError(
      'invalid_upload_id',
      'This upload id belongs to another upload or has expired.',
    )
  const { secret, exp: _, ...claims } = parsed.data
  const bound = boundTo({ ...scope, overwrite: claims.overwrite })
  const opened: unknown = JSON.parse(await decrypt(unsealed.secret, bound, secret))
  return { ...claims, key: scope.key, ...secretSchema.parse(opened) }
}

const boundTo = ({ bucket, key, owner, overwrite }: Bound): string =>
  JSON.stringify([bucket, key, owner, overwrite ?? null])
