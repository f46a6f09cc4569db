import * as z from 'zod/mini'
import { type Cursors, cursorsOf } from '../../access/cursor.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { MAX_UPLOAD_AGE_SECONDS } from '../../bucket/limits.ts'

/** What a cursor is for. Another principal, bucket, prefix or date can't use it. */
export interface ErasureScope {
  /** Id of the principal. */
  readonly principal: string
  /** Alias of the bucket. */
  readonly bucket: string
  readonly prefix: string
  /** As the client wrote it. */
  readonly before: string
  /** Whether nothing is deleted. Its positions would be wrong for a deletion. */
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
const positionSchema = z.discriminatedUnion('phase', [
  z.object({
    phase: z.literal('shares'),
    /** The names of all plugins, which of their seams it is, and where in its list. */
    plugins: text,
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

export type Position = z.output<typeof positionSchema>
export type PositionIn<Phase extends Position['phase']> = Extract<
  Position,
  { readonly phase: Phase }
>

/** Where a deletion starts. */
export const START: PositionIn<'shares'> = { phase: 'shares', plugins: '', seam: 0, start: null }

/**
 * Returns the cursors of a deletion. They expire when an unfinished upload of that time can have no
 * object any more.
 */
export const erasureCursors = (
  settings: SigningSettings,
  { principal, bucket, prefix, before, dryRun }: ErasureScope,
  now: Date,
): Cursors<Position> =>
  cursorsOf(
    settings,
    [dryRun ? 'delete-all dry run' : 'delete-all', principal, bucket, prefix, before],
    positionSchema,
    { now, seconds: MAX_UPLOAD_AGE_SECONDS },
  )
