import * as z from 'zod/mini'
import { decrypt, encrypt } from '../../access/encrypt.ts'
import { seal, unseal } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { MAX_UPLOAD_AGE_SECONDS } from '../../bucket/limits.ts'
import { ApiError } from '../../errors/api-error.ts'

/** What a cursor is for. Another principal, bucket, prefix or date can't use it. */
export interface ErasureScope {
  /** Id of the principal. */
  readonly principal: string
  /** Alias of the bucket. */
  readonly bucket: string
  readonly prefix: string
  /** As the client wrote it. */
  readonly before: string
  /** Whether nothing is deleted. Its places would be wrong for a deletion. */
  readonly dryRun: boolean
}

const text = z.string()
/** How many items of this page were tried and are left. */
const skip = z.optional(z.int())
const uploadsMarker = z.object({ keyMarker: text, uploadIdMarker: text })
const versionMarker = z.object({ key: text, versionId: text })

/**
 * How far a deletion has come, in this order. What is shared ends first, so that nobody uploads any more. Uploads in parts are next, so that none of them becomes
 * an object that was already passed. Delete markers are last: without them, an older version of a
 * deleted object would be there again.
 */
const placeSchema = z.discriminatedUnion('phase', [
  z.object({
    phase: z.literal('shares'),
    /** Which seam of the plugins, and where in its list. */
    seam: z.int(),
    start: z.nullable(z.object({ id: text, at: z.int() })),
  }),
  z.object({ phase: z.literal('uploads'), marker: z.optional(uploadsMarker), skip }),
  z.object({
    phase: z.literal('objects'),
    /** S3's token of the next page, or the key that the next page follows. */
    token: z.optional(text),
    after: z.optional(text),
  }),
  z.object({
    phase: z.literal('records'),
    /** Which spelling of the prefix is being listed. */
    spelling: z.int(),
    /** The index's own cursor of the page, and the last key that is done there. */
    page: z.optional(text),
    after: z.optional(text),
  }),
  z.object({ phase: z.literal('versions'), marker: z.optional(versionMarker), skip }),
  z.object({ phase: z.literal('markers'), marker: z.optional(versionMarker), skip }),
])

export type Place = z.output<typeof placeSchema>
export type PlaceIn<Phase extends Place['phase']> = Extract<Place, { readonly phase: Phase }>

/** Where a deletion starts. */
export const START: Place = { phase: 'shares', seam: 0, start: null }

const boundTo = ({ principal, bucket, prefix, before, dryRun }: ErasureScope): string =>
  JSON.stringify([dryRun ? 'delete-all dry run' : 'delete-all', principal, bucket, prefix, before])

/**
 * Returns a cursor for clients, bound to its scope. It is encrypted, since the list of unfinished
 * uploads is that of the whole bucket.
 */
export async function sealPlace(
  { signingSecrets }: SigningSettings,
  scope: ErasureScope,
  place: Place,
  now: Date,
): Promise<string> {
  const secret = await encrypt(signingSecrets[0], boundTo(scope), JSON.stringify(place))
  const exp = Math.floor(now.getTime() / 1000) + MAX_UPLOAD_AGE_SECONDS
  return seal(signingSecrets, 'cursor', { secret, exp })
}

/** Returns the place of a cursor. Throws `invalid_cursor` for another scope, or an expired cursor. */
export async function openPlace(
  { signingSecrets }: SigningSettings,
  scope: ErasureScope,
  cursor: string,
  now: Date,
): Promise<Place> {
  const unsealed = await unseal(signingSecrets, 'cursor', cursor, now)
  if (unsealed.ok && typeof unsealed.claims.secret === 'string') {
    const bound = boundTo(scope)
    const opened = await decrypt(unsealed.secret, bound, unsealed.claims.secret).catch(() => 'null')
    const place = placeSchema.safeParse(JSON.parse(opened))
    if (place.success) return place.data
  }
  throw new ApiError(
    'invalid_cursor',
    'This cursor belongs to another prefix or date, or has expired. Start without one.',
  )
}
