import type { LinkPolicy } from '../../access/link-signature.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { downloadSigner } from '../../core/download-url.ts'

/** Minimum lifetime of the target in seconds. The maximum is twice as long. */
const TARGET_SECONDS = 300

export interface RedirectTarget {
  /** A signed GET URL, the same for all clients within a time window. */
  readonly url: string
  /** Seconds in the browser's cache: half of the target's, and no longer than the link. */
  readonly maxAgeSeconds: number
}

/** Returns the target of a link with delivery "redirect". Throws `misconfigured`. */
export async function redirectTarget(
  { key, download, expires }: LinkPolicy,
  bucket: Bucket,
  now: Date,
): Promise<RedirectTarget> {
  const { urlOf, expiresIn } = downloadSigner(
    bucket,
    {
      use: 'view',
      stable: true,
      defaultSeconds: TARGET_SECONDS,
      download: download ?? undefined,
    },
    now,
  )
  const leftOfLink = Math.max(0, expires - Math.ceil(now.getTime() / 1000))
  return { url: await urlOf(key), maxAgeSeconds: Math.min(Math.floor(expiresIn / 2), leftOfLink) }
}
