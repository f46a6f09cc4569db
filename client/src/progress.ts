/** Bytes of the file that are sent, and all that it has. */
export interface Progress {
  readonly loaded: number
  readonly total: number
}

/** Tells how much of part `part` is sent: what was told of it before no longer counts. */
export type ReportPart = (part: number, sentBytes: number) => void

/**
 * Sums up the parts. `onProgress` hears of it when the sum is higher than ever, so it never falls
 * when a part is sent again.
 */
export function trackProgress(
  total: number,
  onProgress: ((progress: Progress) => void) | undefined,
): ReportPart {
  const sent = new Map<number, number>()
  let sum = 0
  let highest = -1
  return (part, sentBytes) => {
    sum += sentBytes - (sent.get(part) ?? 0)
    sent.set(part, sentBytes)
    if (sum <= highest) return
    highest = sum
    onProgress?.({ loaded: sum, total })
  }
}
