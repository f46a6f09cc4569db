import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { ApiError, asApiError, statusOf } from '../../errors/api-error.ts'
import { describe } from '../../errors/describe.ts'
import type { WarningText } from '../../errors/warnings.ts'
import { loggedReason } from '../../http/request-log.ts'
import { ON_WORKERS } from '../../http/runtime.ts'
import { requireSettings } from '../../settings/define.ts'
import { callObjectAt } from '../../state/object.ts'
import { startWalk } from './pass.ts'
import type { PassSummary, WalkState } from './state.ts'
import { stepWalk } from './walk.ts'
import type { WalkObject } from './walk-object.ts'
import { type StepSize, type Walker, walkedBuckets, walkObject, walkThrough } from './walks.ts'

/** What one run may do. */
interface Room extends StepSize {
  readonly steps: number
  /** Operations of the index. */
  readonly operations: number
}

/** Cloudflare's free plan has 50 subrequests a run, and 50 queries of D1. */
const FREE: Room = { steps: 1, pageSize: 40, maxRequests: 45, operations: 45 }
/** The paid plan has 10,000 subrequests, of which 1,000 may go to Workers KV or D1. */
const PAID: Room = { steps: 10, pageSize: 1000, maxRequests: 900, operations: 900 }
/** A run starts no step with fewer operations of the index. */
const MIN_OPERATIONS = 30

/** A run starts no step after this time. */
const RUN_MILLISECONDS = 5 * 60_000
/** After a pass, a bucket rests for almost an hour: Cron Triggers are not on time to the second. */
const REST_MILLISECONDS = 55 * 60_000

/** How a run went in one bucket. */
interface Visit {
  readonly alias: string
  readonly state: WalkState | null
  /** The pass that has ended, or null. */
  readonly ended?: PassSummary | null
  readonly error?: unknown
}

/** Returns what a run may do. */
export const roomFor = ({ upkeep }: Pick<Walker, 'upkeep'>): Room =>
  upkeep.plan === 'free' ? FREE : PAID

/**
 * Walks on through the buckets at a time of a Cron Trigger: first the one that was visited longest ago.
 * An error in one bucket doesn't keep the others from their turn. Logs one line, without keys. Throws
 * `not_supported` outside of Workers, and `misconfigured` for settings or without the class of objects.
 */
export async function runUpkeep(
  { instance, context, upkeep }: Omit<Walker, 'settings'>,
  clock: () => Date,
): Promise<void> {
  const start = clock().getTime()
  const log = (visits: readonly Visit[], failure?: unknown) => {
    const failed = visits.filter(({ error }) => error !== undefined)
    const error = failure ?? failed[0]?.error
    const known = asApiError(error)
    const warnings = visits.flatMap(({ alias, state }): WarningText[] =>
      state?.stopped ? [`upkeep stopped: ${alias}, ${state.stopped.reason}`] : [],
    )
    for (const { alias, error } of failed)
      warnings.push(`upkeep failed: ${alias}, ${asApiError(error)?.code ?? 'internal'}`)
    instance.log({
      ...{ method: 'SCHEDULED', route: 'upkeep', milliseconds: clock().getTime() - start },
      status: error === undefined ? 200 : known === null ? 500 : statusOf(known),
      code: error === undefined ? undefined : (known?.code ?? 'internal'),
      message: visits.map(inWords).join('; '),
      warning: warnings.join('; ') || undefined,
      reason: error === undefined ? undefined : ((known && loggedReason(known)) ?? describe(error)),
    })
  }
  try {
    const walker = { instance, context, upkeep, settings: requireSettings(instance.settings) }
    log(await visitBuckets(walker, start, clock))
  } catch (error) {
    log([], error)
    throw error
  }
}

async function visitBuckets(walker: Walker, start: number, clock: () => Date): Promise<Visit[]> {
  if (!ON_WORKERS)
    throw new ApiError(
      'not_supported',
      'A scheduled walk needs Durable Objects, which only Workers have. Run `npx edge-presigner upkeep` instead.',
    )
  const room = roomFor(walker)
  const places = walkedBuckets(walker.settings, walker.upkeep).map((bucket) => ({
    bucket,
    object: walkObject(walker, bucket.alias),
  }))
  const now = new Date(start)
  const visits: Visit[] = []
  const found = await Promise.all(
    places.map(async (place) => {
      try {
        const status = await callObjectAt(now, () => place.object.status())
        return [{ ...place, status }]
      } catch (error) {
        visits.push({ alias: place.bucket.alias, state: null, error })
        return []
      }
    }),
  )
  const due = found.flat().filter(({ status }) => start >= status.doneAt + REST_MILLISECONDS)
  let left = room.steps
  const operations = { left: room.operations }
  const meter: Meter = {
    operations,
    goesOn: () =>
      left > 0 && operations.left >= MIN_OPERATIONS && clock().getTime() < start + RUN_MILLISECONDS,
    count() {
      left -= 1
    },
  }
  for (const { bucket, object } of due.toSorted((a, b) => a.status.ranAt - b.status.ranAt)) {
    const { alias } = bucket
    let state: WalkState | null = null
    try {
      if (!meter.goesOn()) break
      let [failure, ended]: [ApiError | null, PassSummary | null] = [null, null]
      for await (const step of visit(walker, bucket, object, room, meter, clock))
        ({ state, failure, ended } = step)
      visits.push({ alias, state, ended, ...(failure && { error: failure }) })
    } catch (error) {
      // It may have used all requests of the free plan.
      meter.count()
      visits.push({ alias, state, error })
    }
  }
  return visits
}

/** Counts the steps of a run. */
interface Meter {
  /** Whether the run has room and time for another step. */
  goesOn(): boolean
  /** Counts a step. */
  count(): void
  /** What the steps may still do with the index. */
  readonly operations: { left: number }
}

/** What a step has left. */
interface Step {
  readonly state: WalkState
  readonly failure: ApiError | null
  readonly ended: PassSummary | null
}

/** Does the next steps in a bucket, and yields what each has left. Does nothing while another run is there, or if it is stopped. */
async function* visit(
  walker: Walker,
  bucket: ConfiguredBucket,
  object: WalkObject,
  room: Room,
  meter: Meter,
  clock: () => Date,
): AsyncGenerator<Step, void> {
  const began = clock()
  const begun = await callObjectAt(began, () => object.begin(began.getTime()))
  if (begun === null) return
  const { token } = begun
  const { mode } = walker.upkeep
  const order = {
    ...{ mode, import: null, pageSize: room.pageSize, maxRequests: room.maxRequests },
    ...{ operations: meter.operations, keep: keeperOf(object) },
  }
  try {
    let state = begun.state
    if (state?.stopped) yield { state, failure: null, ended: null }
    while (!state?.stopped && meter.goesOn()) {
      const now = clock()
      const walk = await walkThrough(walker, bucket, order, now)
      const before = state ?? startWalk(walk, now)
      const result = await stepWalk(walk, before, now)
      meter.count()
      const saved = clock().getTime()
      const isOurs = await callObjectAt(now, () =>
        object.save(result.state, token, saved, result.isDone),
      )
      state = result.state
      yield { state, failure: result.failure, ended: result.ended }
      if (result.isDone || !isOurs || result.failure) return
    }
  } finally {
    // Otherwise, it ends by itself.
    await callObjectAt(clock(), () => object.end(token)).catch(() => undefined)
  }
}

/** Returns the function that keeps dropped records in the object. */
export const keeperOf =
  (object: WalkObject) =>
  (records: Parameters<WalkObject['keep']>[0], now: Date): Promise<void> =>
    callObjectAt(now, () => object.keep(records, now.getTime()))

/** Returns what a pass has found and done so far, without what is zero. */
function inWords({ alias, state, ended }: Visit): string {
  if (state === null) return `${alias}: nothing`
  const counts = Object.entries((ended ?? state).counts).flatMap(([name, count]) =>
    count ? [`${name} ${count}`] : [],
  )
  return `${alias}: ${[ended ? 'done' : state.phase, ...counts].join(', ')}`
}
