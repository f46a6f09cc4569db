/** What `GET /upkeep` answers (docs/api.md), as far as the page shows it. */
export interface UpkeepStatus {
  readonly mode: string
  readonly buckets: readonly BucketStatus[]
}

export interface BucketStatus {
  readonly bucket: string
  /** When the pass that is on its way began, or null before the first one. */
  readonly startedAt: Date | null
  /** What this pass has found and done until now. */
  readonly counts: Counts
  /** Records that wait for a second look before they are removed or changed, and files that have failed. */
  readonly collected: number
  readonly failing: number
  /** Why the brake has stopped it, and when. */
  readonly stopped: { readonly reason: string; readonly at: Date } | null
  /** The last pass that has ended. */
  readonly last: { readonly endedAt: Date; readonly counts: Counts } | null
}

/** Numbers by their names. Missing for what the server can't tell. */
export type Counts = Readonly<Record<string, number>>

/** Returns the status in an answer, or null if it is not one. */
export function statusIn(answer: unknown): UpkeepStatus | null {
  const { mode, buckets } = membersOf(answer)
  if (typeof mode !== 'string' || !Array.isArray(buckets)) return null
  return {
    mode,
    buckets: buckets.map(bucketIn),
  }
}

function bucketIn(given: unknown): BucketStatus {
  const { bucket, startedAt, counts, collected, failing, stopped, last } = membersOf(given)
  const stop = membersOf(stopped)
  const stoppedAt = dateIn(stop.at)
  const end = membersOf(last)
  const endedAt = dateIn(end.endedAt)
  return {
    bucket: String(bucket),
    startedAt: dateIn(startedAt),
    counts: countsIn(counts),
    collected: numberIn(collected),
    failing: numberIn(failing),
    stopped: stoppedAt && { reason: String(stop.reason), at: stoppedAt },
    last: endedAt && { endedAt, counts: countsIn(end.counts) },
  }
}

const membersOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? { ...value } : {}

const numberIn = (value: unknown): number => (typeof value === 'number' ? value : 0)

function dateIn(value: unknown): Date | null {
  const date = new Date(typeof value === 'string' ? value : Number.NaN)
  return Number.isNaN(date.getTime()) ? null : date
}

const countsIn = (value: unknown): Counts =>
  Object.fromEntries(
    Object.entries(membersOf(value)).flatMap(([name, count]) =>
      typeof count === 'number' ? [[name, count]] : [],
    ),
  )
