import type { Background, ConfiguredBucket } from '../../bucket/bucket.ts'
import { bucketsAt, bucketUrl } from '../../bucket/bucket-url.ts'
import { openBucket } from '../../bucket/credential-source.ts'
import { withWalkingKeys } from '../../bucket/walking-keys.ts'
import { purgeJobs } from '../../core/purge.ts'
import { ApiError, asApiError, statusOf } from '../../errors/api-error.ts'
import { deadlineOf } from '../../errors/deadline.ts'
import { describe } from '../../errors/describe.ts'
import type { WarningText } from '../../errors/warnings.ts'
import type { Instance } from '../../http/app-env.ts'
import { loggedReason } from '../../http/request-log.ts'
import { ON_WORKERS } from '../../http/runtime.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { NOBODY } from '../../records/file-event.ts'
import { timedIndex } from '../../records/file-index.ts'
import { requireSettings } from '../../settings/define.ts'
import type { Settings } from '../../settings/settings.ts'
import { callObjectAt, stateObjectIn } from '../../state/object.ts'
import type { UpkeepObject } from './cloudflare.ts'
import type { UpkeepSettings } from './options.ts'
import { type Mode, type Order, startPass, type WalkState } from './state.ts'
import { WalkStore } from './store.ts'
import { stepWalk } from './walk.ts'
import { failedState, type Walk } from './walk-step.ts'

/** An execution context, whose exports have the Durable Objects. */
type ExecutionContext = Parameters<Instance['objects']>[0]

/** Who walks. */
export interface Driver {
  readonly instance: Instance
  readonly settings: Settings
  readonly upkeep: UpkeepSettings
  readonly context: ExecutionContext
}

/** Cloudflare's free plan has 50 subrequests in a run, and 50 queries of D1. The pauses spare its daily limits. */
const FREE = { pageSize: 40, maxRequests: 45, maxOperations: 45, pauseSeconds: 600 }
/** The paid plan has 10,000 subrequests, of which 1,000 may go to Workers KV or D1. */
const PAID = { pageSize: 1000, maxRequests: 900, maxOperations: 900, pauseSeconds: 0 }
/** Six requests at once, so that a step in a request ends within its deadline. */
const MAX_REQUESTS_IN_TIME = 300

/** Outside of Workers, a run begins no step after this time. */
const RUN_MILLISECONDS = 5 * 60_000
/** After a pass, a bucket rests for almost an hour: Cron Triggers are not on time to the second. */
const REST_MILLISECONDS = 55 * 60_000

/** Returns the buckets that upkeep walks through. */
export const walkedBuckets = (
  { buckets }: Pick<Settings, 'buckets'>,
  upkeep: Pick<UpkeepSettings, 'buckets'>,
): readonly ConfiguredBucket[] =>
  buckets.filter(({ alias }) => upkeep.buckets?.includes(alias) ?? true)

/** Returns the aliases of a bucket. */
const aliasesOf = ({ buckets }: Pick<Settings, 'buckets'>, identity: string): string[] =>
  bucketsAt(buckets, identity).map(({ alias }) => alias)

export const importOf = (alias: string): string => `import ${alias}`

/** The names of the walks through the bucket of these aliases. */
const walksOf = (aliases: readonly string[]): string[] =>
  aliases.flatMap((alias) => [alias, importOf(alias)])

/** The name of the Durable Object of a bucket's walks. */
export const objectName = (identity: string): string => `walk ${identity}`

/** Where the walks through a bucket are, and what makes them go on. */
export interface Home {
  readonly store: WalkStore
  /**
   * Lets the next step begin: on Workers, wakes the bucket's object. Elsewhere, does the step, and resolves with true
   * unless none is due.
   */
  readonly wake: (now: Date) => Promise<boolean>
}

/**
 * Returns where the walks through a bucket are: in its Durable Object, or outside of Workers in the
 * database of the index. Throws `not_supported` without that, and `misconfigured` without the class.
 */
export function homeOf(driver: Driver, bucket: ConfiguredBucket, now: Date): Home {
  const { instance, settings, context } = driver
  const identity = bucketUrl(bucket)
  const { sql } = instance.fileIndex
  if (ON_WORKERS) {
    const object = stateObjectIn<UpkeepObject>(context, settings, 'Upkeep', objectName(identity))
    const { name } = settings.signingSecrets[0]
    return {
      store: new WalkStore((statements) => callObjectAt(now, () => object.run(statements))),
      wake: (at) => callObjectAt(at, () => object.wake({ identity, instance: name })),
    }
  }
  if (sql === undefined)
    throw new ApiError(
      'not_supported',
      'Upkeep needs Durable Objects, which only Workers have, or an index in SQL.',
    )
  const store = new WalkStore(sql)
  return { store, wake: (at) => drive(driver, store, identity, at) }
}

/** Begins a pass through a bucket, and ends an earlier one. */
export async function begin(
  { store }: Home,
  bucket: ConfiguredBucket,
  order: Order,
  now: Date,
  before?: WalkState,
): Promise<WalkState> {
  const identity = bucketUrl(bucket)
  const isOther = before !== undefined && before.identity !== identity
  const state = startPass(order, identity, now, isOther ? undefined : before)
  await store.begin(walkName(bucket, order), state, isOther)
  return state
}

export const walkName = (
  { alias }: Pick<ConfiguredBucket, 'alias'>,
  order: Pick<Order, 'import'>,
): string => (order.import === null ? alias : importOf(alias))

/** Does the next step that is due in a bucket. Returns whether there was one. */
export async function drive(
  driver: Driver,
  store: WalkStore,
  identity: string,
  now: Date,
): Promise<boolean> {
  const { settings } = driver
  const aliases = aliasesOf(settings, identity)
  const claim = await store.claim(walksOf(aliases), now.getTime())
  if (claim === null) return false
  const bucket = settings.buckets.find(({ alias }) => walksOf([alias]).includes(claim.walk))
  try {
    if (bucket === undefined) throw new Error('This alias is no longer configured.')
    const walk = await walkThrough(driver, store, bucket, claim.walk, now)
    const { state, changes } = await stepWalk(walk, allowed(driver, bucket, claim.state), now)
    await store.save(claim, state, changes)
  } catch (error) {
    await store.save(claim, failedState(claim.state, error, now), [])
  }
  return true
}

/** Returns the state with no more than the settings allow now. An import is a person's order. */
function allowed({ upkeep }: Driver, { alias }: ConfiguredBucket, state: WalkState): WalkState {
  const { order } = state
  const isAllowed = order.import !== null || modeOf(upkeep, alias) === 'record'
  return isAllowed ? state : { ...state, order: { ...order, mode: 'report' } }
}

/** Returns what upkeep may do in a bucket. */
export const modeOf = ({ mode, buckets }: UpkeepSettings, alias: string): Mode =>
  buckets?.includes(alias) === false ? 'report' : mode

/** Returns the walk through a bucket. Its events have no principal, like those of notifications. */
async function walkThrough(
  { instance, settings, upkeep, context }: Driver,
  store: WalkStore,
  bucket: ConfiguredBucket,
  name: string,
  now: Date,
): Promise<Walk> {
  const { after, appMilliseconds, enqueue, fileIndex } = instance
  const background: Background = context
  const aliases = aliasesOf(settings, bucketUrl(bucket))
  const walked = walkedBuckets(settings, upkeep).map(({ alias }) => alias)
  const isImport = name === importOf(bucket.alias)
  const { pauseSeconds, ...room } = !ON_WORKERS || upkeep.plan === 'paid' ? PAID : FREE
  const isInTime = !ON_WORKERS && deadlineOf(now) < Infinity
  return {
    ...room,
    ...(isInTime && { maxRequests: MAX_REQUESTS_IN_TIME }),
    name,
    store,
    owner: upkeep.owner,
    pauseSeconds: pauseSeconds * walked.length,
    place: {
      bucket: await openBucket(withWalkingKeys(bucket), now, background),
      index: timedIndex(fileIndex, now, appMilliseconds),
      announce:
        after &&
        ((change, about, at = new Date(), isRepeat = false) =>
          after({ ...change, ...NOBODY }, about, at, background, isRepeat)),
      async purge(key: ObjectKey) {
        try {
          await instance.objects(context).purge(bucket, [key])
        } catch (error) {
          if (enqueue === null) throw error
          await enqueue(...purgeJobs(bucket, [key]))
        }
      },
    },
    aliases: settings.buckets.map(({ alias }) => alias),
    siblings: aliases.filter((alias) => alias !== bucket.alias),
    isFirst: isImport || bucket.alias === walked.find((alias) => aliases.includes(alias)),
    eventRequests: after === null ? 0 : (after.requests ?? 1),
  }
}

/** How the schedule has found a walk. */
interface Visit {
  readonly alias: string
  readonly state: WalkState | undefined
  readonly error?: unknown
}

/**
 * Begins a pass through each bucket that has rested, at a time of a Cron Trigger, and lets all go on. On Workers, the
 * object of each bucket does the steps. It needs this to begin, and if its alarm is missing. An error in one bucket
 * doesn't keep the others from their turn. Logs one line, without keys. Throws `misconfigured` for settings.
 */
export async function runSchedule(
  given: Omit<Driver, 'settings'>,
  clock: () => Date,
): Promise<void> {
  const { instance, upkeep } = given
  const start = clock()
  const visits: Visit[] = []
  let thrown: unknown
  try {
    const driver = { ...given, settings: requireSettings(instance.settings) }
    const walked = walkedBuckets(driver.settings, upkeep)
    for (const identity of new Set(walked.map(bucketUrl))) {
      const buckets = bucketsAt(walked, identity)
      try {
        visits.push(...(await visit(driver, buckets, start, clock)))
      } catch (error) {
        visits.push(...buckets.map(({ alias }) => ({ alias, state: undefined, error })))
      }
    }
  } catch (error) {
    thrown = error
  }
  logVisits(instance, visits, thrown, clock().getTime() - start.getTime())
  if (thrown !== undefined) throw thrown
}

/** Visits the aliases of one bucket. Returns what their walks have left. */
async function visit(
  driver: Driver,
  buckets: readonly ConfiguredBucket[],
  start: Date,
  clock: () => Date,
): Promise<readonly Visit[]> {
  const [first] = buckets
  if (first === undefined) return []
  const home = homeOf(driver, first, start)
  const aliases = buckets.map(({ alias }) => alias)
  const states = await home.store.states(aliases)
  const order = { mode: driver.upkeep.mode, import: null, isWaited: false }
  for (const bucket of buckets) {
    const state = states.get(bucket.alias)
    if (isRested(state, start)) await begin(home, bucket, order, start, state)
  }
  const end = start.getTime() + RUN_MILLISECONDS
  let goesOn = true
  for (let now = start; goesOn && now.getTime() < end; now = clock()) goesOn = await home.wake(now)
  const left = ON_WORKERS ? states : await home.store.states(aliases)
  return aliases.map((alias) => ({ alias, state: left.get(alias) }))
}

const isRested = (state: WalkState | undefined, now: Date): boolean =>
  state === undefined ||
  (state.stopped === null &&
    state.phase === 'idle' &&
    now.getTime() >= Date.parse(state.last?.endedAt ?? '1970') + REST_MILLISECONDS)

function logVisits(
  { log }: Instance,
  visits: readonly Visit[],
  thrown: unknown,
  milliseconds: number,
): void {
  const warnings = visits.flatMap(({ alias, state, error }): WarningText[] => [
    ...(state?.stopped ? [`upkeep stopped: ${alias}, ${state.stopped.reason}` as const] : []),
    ...(error === undefined
      ? []
      : [`upkeep failed: ${alias}, ${asApiError(error)?.code ?? 'internal'}` as const]),
    ...(state?.failure && state.failures > 0
      ? [`upkeep failed: ${alias}, ${state.failure.code}` as const]
      : []),
  ])
  const error = thrown ?? visits.find((one) => one.error !== undefined)?.error
  const known = asApiError(error)
  log({
    method: 'SCHEDULED',
    route: 'upkeep',
    milliseconds,
    status: error === undefined ? 200 : known === null ? 500 : statusOf(known),
    code: error === undefined ? undefined : (known?.code ?? 'internal'),
    message: visits.map(inWords).join('; '),
    warning: warnings.join('; ') || undefined,
    reason: error === undefined ? undefined : ((known && loggedReason(known)) ?? describe(error)),
  })
}

/** Returns what a pass has found and done, without what is zero. */
function inWords({ alias, state }: Visit): string {
  if (state === undefined) return `${alias}: nothing`
  const counts = Object.entries(state.counts).flatMap(([name, count]) =>
    count ? [`${name} ${count}`] : [],
  )
  return `${alias}: ${[state.phase === 'idle' ? 'done' : state.phase, ...counts].join(', ')}`
}
