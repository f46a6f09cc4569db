import type { PresignerError } from './presigner-error.ts'

/** The progress of an upload. */
export interface Progress {
  /** Bytes of the file that are sent. The number never decreases. */
  readonly loaded: number
  /** Bytes of the file. */
  readonly total: number
  /** The error that the upload waits for to pass: no network, or a server that does not respond. */
  readonly stalled: PresignerError | undefined
}

/** Sets how many bytes of part `part` are sent. Replaces the earlier number. */
export type ReportPart = (part: number, sentBytes: number) => void

/** Reports the error that a request waits for to pass. Without `error`, the request continues. */
export type Stall = (error?: PresignerError) => void

export interface Tracker {
  readonly report: ReportPart
  /** Returns a `Stall` for one request and its retries. */
  watch(): Stall
}

/**
 * Adds up the progress of all parts, and tracks the requests that wait. Calls `onProgress` when the
 * sum reaches a new maximum, so that it never decreases when a part is sent again, and when
 * `stalled` changes.
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
