import * as z from 'zod/mini'
import { ApiError } from '../errors/api-error.ts'
import { seal, unseal } from './seal.ts'
import type { SigningSettings } from './settings.ts'

const claimsSchema = z.object({
  bucket: z.string(),
  owner: z.string(),
  key: z.string(),
  file: z.optional(
    z.object({
      fileName: z.string(),
      mimetype: z.string(),
      metadata: z.optional(z.record(z.string(), z.string())),
      cacheControl: z.optional(z.string()),
      size: z.nullable(z.int()),
    }),
  ),
  uploadId: z.optional(z.string()),
})

/** What the holder of a URL for one step of an upload in parts may do. */
export interface UploadStep extends z.output<typeof claimsSchema> {}

/** Returns `step` in the form for a URL. Its holder can read it, and use it for `seconds`. */
export const sealUploadStep = (
  { signingSecrets }: SigningSettings,
  step: UploadStep,
  seconds: number,
  now: Date,
): Promise<string> =>
  seal(signingSecrets, 'step', { ...step, exp: Math.floor(now.getTime() / 1000) + seconds })

/**
 * Returns the step that `sealUploadStep` sealed. Throws `forbidden` if it is invalid or has
 * expired.
 */
export async function openUploadStep(
  { signingSecrets }: SigningSettings,
  sealed: string,
  now: Date,
): Promise<UploadStep> {
  const unsealed = await unseal(signingSecrets, 'step', sealed, now)
  const step = claimsSchema.safeParse(unsealed.ok && unsealed.claims)
  if (step.success) return step.data
  throw new ApiError('forbidden', 'This URL is invalid or has expired. Request a new one.')
}
