import type { BucketLimits, Client } from 'edge-presigner-client'
import { useEffect, useState } from 'react'

/** Returns what the user may upload, for a file input. The Worker checks each upload in any case. */
export function useLimits(client: Client) {
  const [limits, setLimits] = useState<BucketLimits>()

  useEffect(() => {
    let isCurrent = true
    async function load() {
      const { buckets } = await client.limits()
      const own = buckets.find(({ bucket }) => bucket === (client.bucket ?? bucket))
      if (isCurrent) setLimits(own)
    }
    load().catch(() => undefined) // useFiles shows the error
    return () => {
      isCurrent = false
    }
  }, [client])

  const { maxBytes, allowedTypes } = limits ?? {}
  return {
    accept: allowedTypes?.join(','),
    hint: maxBytes ? `Up to ${Math.max(1, Math.floor(maxBytes / 1e6))} MB for each file.` : '',
  }
}
