import * as z from 'zod/mini'
import { MAX_UPLOAD_AGE_SECONDS } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'
import { base64url, fromBase64url, utf8 } from '../keys/encodings.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { encryptionKey } from './purpose-key.ts'
import { seal, unseal } from './seal.ts'
import type { SigningSecret, SigningSettings } from './settings.ts'

/** Bytes of an initialization vector for AES-GCM. */
const IV_BYTES = 12

const claimsSchema = z.object({
  bucket: z.string(),
  key: z.string(),
  owner: z.string(),
  /** S3's own id, encrypted. Earlier versions stored it unencrypted, as `s3UploadId`. */
  s3: z.optional(z.string()),
  s3UploadId: z.optional(z.string().check(z.minLength(1))),
  name: z.string(),
  size: z.nullable(z.int()),
  partSize: z.nullable(z.int()),
  /** Only for a chosen key. */
  chosen: z.optional(z.object({ mark: z.string(), overwrite: z.boolean() })),
  maxBytes: z.optional(z.int()),
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
export interface UploadClaims extends UploadScope {
  /** S3's own `UploadId`. */
  readonly s3UploadId: string
  /** File name. */
  readonly name: string
  /** Size of the file in bytes, or null if the client didn't state it. */
  readonly size: number | null
  /** Bytes of each part except the last, or null if the client chooses the parts. */
  readonly partSize: number | null
  /** For a key that the client chose. Undefined for a generated one. */
  readonly chosen?: ChosenKey | undefined
  /** Maximum size of the file when the upload began, if there was one. */
  readonly maxBytes?: number | undefined
}

/** How an upload in parts treats an object that its key already has. */
export interface ChosenKey {
  /** Random text in the metadata of the object that this upload makes. */
  readonly mark: string
  /** Whether the upload may replace another object. */
  readonly overwrite: boolean
}

/** What the encrypted part of an upload id is bound to. */
type Bound = UploadScope & Pick<UploadClaims, 'chosen'>

/**
 * Returns an upload id for clients, bound to bucket, key and principal, and its expiry. Its holder
 * can read everything except S3's own id. With that id, anyone could sign parts through a route
 * that accepts S3's ids.
 */
export async function sealUploadId(
  { signingSecrets }: SigningSettings,
  { s3UploadId, ...claims }: UploadClaims,
  now: Date,
): Promise<{ readonly uploadId: string; readonly expiresAt: Date }> {
  const exp = Math.floor(now.getTime() / 1000) + MAX_UPLOAD_AGE_SECONDS
  const s3 = await encrypt(signingSecrets[0], claims, s3UploadId)
  const uploadId = await seal(signingSecrets, 'upload', { ...claims, s3, exp })
  return { uploadId, expiresAt: new Date(exp * 1000) }
}

/**
 * Returns the content of `uploadId`. Throws `invalid_upload_id` if it belongs to another bucket,
 * key or principal, has expired, or is malformed. All cases have the same error, so that a caller
 * learns nothing about other uploads.
 */
export async function openUploadId(
  { signingSecrets }: SigningSettings,
  scope: UploadScope,
  uploadId: string,
  now: Date,
): Promise<UploadClaims> {
  const unsealed = await unseal(signingSecrets, 'upload', uploadId, now)
  const parsed = claimsSchema.safeParse(unsealed.ok && unsealed.claims)
  if (
    !unsealed.ok ||
    !parsed.success ||
    (parsed.data.s3 ?? parsed.data.s3UploadId) === undefined ||
    parsed.data.bucket !== scope.bucket ||
    parsed.data.key !== scope.key ||
    parsed.data.owner !== scope.owner
  )
    throw new ApiError(
      'invalid_upload_id',
      'This upload id belongs to another upload or has expired.',
    )
  const { s3 = '', ...claims } = parsed.data
  const { secret } = unsealed
  const s3UploadId =
    claims.s3UploadId ?? (await decrypt(secret, { ...scope, chosen: claims.chosen }, s3))
  return { ...claims, key: scope.key, s3UploadId }
}

/**
 * Encrypts `text` with AES-GCM. The random initialization vector comes first. To decrypt it, the
 * scope must be the same.
 */
async function encrypt(secret: SigningSecret, scope: Bound, text: string): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES))
  const key = await encryptionKey(secret)
  const sealed = await crypto.subtle.encrypt(aesGcm(iv, scope), key, utf8(text))
  return base64url(new Uint8Array([...iv, ...new Uint8Array(sealed)]))
}

async function decrypt(secret: SigningSecret, scope: Bound, text: string): Promise<string> {
  const bytes = fromBase64url(text)
  const algorithm = aesGcm(bytes.subarray(0, IV_BYTES), scope)
  const key = await encryptionKey(secret)
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
    await crypto.subtle.decrypt(algorithm, key, bytes.subarray(IV_BYTES)),
  )
}

/**
 * An earlier version of the presigner can't decrypt the id of an upload to a chosen key. It would
 * treat any object under the key as this upload's own.
 */
const aesGcm = (iv: Uint8Array, { bucket, key, owner, chosen }: Bound) => ({
  name: 'AES-GCM',
  iv,
  additionalData: utf8(
    JSON.stringify([
      ...[bucket, key, owner],
      ...(chosen === undefined ? [] : [chosen.mark, chosen.overwrite]),
    ]),
  ),
})
