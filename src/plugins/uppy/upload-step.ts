import * as z from 'zod/mini'
import { seal, unsealAs } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { objectHeaders } from '../../http/fields.ts'
import type { Json } from '../../keys/encodings.ts'

const UPLOAD = {
  bucket: z.string(),
  owner: z.string(),
  key: z.string(),
  /** The principal's own limit and context, if it has them. */
  maxBytes: z.optional(z.int()),
  context: z.optional(z.custom<Json>()),
}

const startSchema = z.object({
  ...UPLOAD,
  file: z.object({
    fileName: z.string(),
    mimetype: z.string(),
    metadata: z.optional(z.catchall(z.object({}), z.string())),
    ...objectHeaders,
    size: z.nullable(z.int()),
    /** Whether it may replace an object. Only for a chosen key. */
    overwrite: z.optional(z.boolean()),
  }),
})

const completeSchema = z.object({ ...UPLOAD, uploadId: z.string() })

/** What the holder of a URL may do: start one upload in parts, or complete one. */
export type UploadStep = z.output<typeof startSchema> | z.output<typeof completeSchema>

/** Returns `step` in the form for a URL. Its holder can read it, and use it for `seconds`. */
export const sealUploadStep = (
  { signingSecrets }: SigningSettings,
  step: UploadStep,
  seconds: number,
  now: Date,
): Promise<string> =>
  seal(signingSecrets, 'step', { ...step, exp: Math.floor(now.getTime() / 1000) + seconds })

/** Returns what a URL that starts an upload allows. Throws `forbidden`. */
export const openStart = ({ signingSecrets }: SigningSettings, sealed: string, now: Date) =>
  unsealAs(signingSecrets, 'step', startSchema, sealed, now)

/** Returns what a URL that completes an upload allows. Throws `forbidden`. */
export const openComplete = ({ signingSecrets }: SigningSettings, sealed: string, now: Date) =>
  unsealAs(signingSecrets, 'step', completeSchema, sealed, now)
