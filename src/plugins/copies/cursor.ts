import * as z from 'zod/mini'
import { decrypt, encrypt } from '../../access/encrypt.ts'
import { seal, unseal } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { MAX_UPLOAD_AGE_SECONDS } from '../../bucket/limits.ts'
import { ApiError } from '../../errors/api-error.ts'

/** What a cursor is for. Another principal, source or target can't use it. */
export interface CopyScope {
  readonly kind: 'copy' | 'move'
  /** Id of the principal. */
  readonly principal: string
  /** Alias of a bucket and key. */
  readonly from: readonly [bucket: string, key: string]
  readonly to: readonly [bucket: string, key: string]
}

const claimsSchema = z.object({
  version: z.literal(1),
  scope: z.string(),
  /** ETag of the source, which every part is copied from. */
  etag: z.string(),
  size: z.int(),
  partSize: z.int(),
  /** Number of the next part to copy. */
  next: z.int(),
  overwrite: z.boolean(),
  /** Whether the app let it replace an object. */
  byApp: z.optional(z.boolean()),
  name: z.string(),
  /** What the holder must not read, encrypted. */
  secret: z.string(),
})

const secretSchema = z.object({
  s3UploadId: z.string().check(z.minLength(1)),
  /** Random text in the metadata of the copy. */
  mark: z.string(),
})

/** A copy in parts that has begun. */
export type CopyInParts = Readonly<
  Omit<z.output<typeof claimsSchema>, 'version' | 'scope' | 'secret'>
> &
  Readonly<z.output<typeof secretSchema>>

const scopeText = ({ kind, principal, from, to }: CopyScope): string =>
  JSON.stringify(['copy', kind, principal, from, to])

/** Returns a cursor for clients, bound to its scope. It hides S3's own id, like an upload id. */
export async function sealCopy(
  { signingSecrets }: SigningSettings,
  scope: CopyScope,
  { s3UploadId, mark, ...copy }: CopyInParts,
  now: Date,
): Promise<string> {
  const bound = scopeText(scope)
  const secret = await encrypt(signingSecrets[0], bound, JSON.stringify({ s3UploadId, mark }))
  const exp = Math.floor(now.getTime() / 1000) + MAX_UPLOAD_AGE_SECONDS
  return seal(signingSecrets, 'copy', { version: 1, ...copy, scope: bound, secret, exp })
}

/** Returns the copy of a cursor. Throws `invalid_cursor` for another scope, or an expired cursor. */
export async function openCopy(
  { signingSecrets }: SigningSettings,
  scope: CopyScope,
  cursor: string,
  now: Date,
): Promise<CopyInParts> {
  const bound = scopeText(scope)
  const unsealed = await unseal(signingSecrets, 'copy', cursor, now)
  const parsed = claimsSchema.safeParse(unsealed.ok && unsealed.claims)
  if (!unsealed.ok || !parsed.success || parsed.data.scope !== bound)
    throw new ApiError('invalid_cursor', 'This cursor belongs to another copy or has expired.')
  const { secret, ...copy } = parsed.data
  const opened: unknown = JSON.parse(await decrypt(unsealed.secret, bound, secret))
  return { ...copy, ...secretSchema.parse(opened) }
}
