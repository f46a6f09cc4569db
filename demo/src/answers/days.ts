/** What was added on one day, in UTC, and is still there. */
export interface Day {
  /** Such as `2026-11-28`. */
  readonly day: string
  readonly count: number
  readonly bytes: number
}

const DAY_MILLISECONDS = 86_400_000

/** A group of `GET /stats` by day. */
interface DayGroup {
  readonly value: string | null
  readonly count: number
  readonly bytes: number
}

/** Returns the last days until `now`, oldest first, including those without files. */
export function lastDays(groups: readonly DayGroup[], count: number, now: Date): readonly Day[] {
  const of = new Map(groups.map((group) => [group.value, group]))
  return Array.from({ length: count }, (_, index) => {
    const then = new Date(now.getTime() - (count - 1 - index) * DAY_MILLISECONDS)
    const day = then.toISOString().slice(0, 10)
    const group = of.get(day)
    return { day, count: group?.count ?? 0, bytes: group?.bytes ?? 0 }
  })
}
