import type { BucketLimits } from 'edge-presigner-client'
import { usePresigner } from 'edge-presigner-client/react'
import { useEffect, useState } from 'react'

/** Returns what the user may upload, for a file input. The Worker checks each upload in any case. */
export function useLimits() {
  const client = usePresigner()
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
    hint: maxBytes ? `Up to ${sizeText(maxBytes)} for each file.` : '',
  }
}

/** Returns a size, rounded down: `2.5 MB`. */
function sizeText(bytes: number): string {
  const [unit, unitBytes]: [string, number] =
    bytes < 1e3 ? ['byte', 1] : bytes < 1e6 ? ['kilobyte', 1e3] : ['megabyte', 1e6]
  const size = Math.floor((bytes / unitBytes) * 10) / 10
  return new Intl.NumberFormat('en', { style: 'unit', unit }).format(size)
}
