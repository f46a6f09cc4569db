import type { PresignerError } from './presigner-error.ts'

/** Where an upload is. */
export interface Progress {
  /** Bytes of the file that are sent. They never fall. */
  readonly loaded: number
  /** Bytes of the file. */
  readonly total: number
  /** What the upload waits out: no network, or a server that does not answer. */
  readonly stalled: PresignerError | undefined
}

/** Tells how much of part `part` is sent: what was told of it before no longer counts. */
export type ReportPart = (part: number, sentBytes: number) => void

/** Tells what a request waits out, and without `error` that it waits no longer. */
export type Stall = (error?: PresignerError) => void

export interface Tracker {
  readonly report: ReportPart
  /** A `Stall` for one request, with its repetitions. */
  watch(): Stall
}

/**
 * Sums up the parts, and the requests that wait. `onProgress` hears when the sum is higher than
 * ever, so it never falls when a part is sent again, and when `stalled` changes.
 */
export function trackProgress(
  total: number,
  onProgress: ((progress: Progress) => void) | undefined,
): Tracker {
  const sent = new Map<number, number>()
  const waiting = new Map<Stall, PresignerError>()
  let sum = 0
  let loaded = -1
  let stalled: PresignerError | undefined
  return {
    report(part, sentBytes) {
      sum += sentBytes - (sent.get(part) ?? 0)
      sent.set(part, sentBytes)
      if (sum <= loaded) return
      loaded = sum
      onProgress?.({ loaded, total, stalled })
    },
    watch() {
      const stall: Stall = (error) => {
        if (error) waiting.set(stall, error)
        else waiting.delete(stall)
        const [first] = waiting.values()
        if (first?.message === stalled?.message) return
        stalled = first
        onProgress?.({ loaded: Math.max(loaded, 0), total, stalled })
      }
      return stall
    },
  }
}
