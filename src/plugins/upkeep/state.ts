import type { OwnerTemplate } from './options.ts'

/** What upkeep may do: nothing, or repair the index and abort uploads in parts that nobody can finish. */
export const MODES = ['report', 'record'] as const
export type Mode = (typeof MODES)[number]

/** Why a walk has stopped. It changes nothing until a person lets it go on. */
export const STOP_REASONS = [
  'over 10,000 changes',
  'empty list',
  'another bucket',
  'many records differ',
] as const
export type StopReason = (typeof STOP_REASONS)[number]

/** Why and when a pass has stopped. */
export interface Stop {
  readonly reason: StopReason
  /** ISO 8601. */
  readonly at: string
}

/** What one pass has found and done in a bucket. */
const NO_COUNTS = {
  /** Objects and records that the walk has seen. */
  objects: 0,
  records: 0,
  /** Objects without a record, of generated keys or managed prefixes: older than the grace time. */
  unrecorded: 0,
  /** Objects without a record that are too young, and those that nobody asked to record. */
  young: 0,
  unmanaged: 0,
  /** Managed objects without an owner. */
  ownerless: 0,
  /** Records of another object than the bucket has. */
  different: 0,
  /** Records without an object. */
  gone: 0,
  /** Unfinished uploads in parts that are too old. Null if the server can't list them. */
  oldUploads: 0 as number | null,
  /** Entries of the index, and of the list, that nobody can read. */
  unreadable: 0,
  /** Entries of aliases that are no longer configured. Null if the index can't tell. */
  foreign: 0 as number | null,
  /** Keys that the index can't store, and keys that failed, which are tried again. */
  refused: 0,
  failed: 0,
  /** What was done. */
  recorded: 0,
  returned: 0,
  updated: 0,
  corrected: 0,
  dropped: 0,
  aborted: 0,
}

export type Counts = Readonly<typeof NO_COUNTS>

/** A pass that has ended. */
export interface PassSummary {
  readonly mode: Mode
  /** ISO 8601. */
  readonly startedAt: string
  readonly endedAt: string
  readonly counts: Counts
}

/** What to import: objects below a prefix get records, whoever put them there. */
export interface Import {
  readonly prefix: string
  /** Where the owner is in a key, and the owner's id in records. */
  readonly owner: OwnerTemplate
}

/** What a walk does. */
export interface Order {
  readonly mode: Mode
  readonly import: Import | null
  /** Whether a person waits for it. Otherwise, the free plan makes pauses. */
  readonly isWaited: boolean
}

/**
 * How far a walk has come. In the phase `objects`, it reads the lists of bucket and index side by side; in
 * `entries` those of the index that nobody can read. What it would remove or change, it only collects:
 * `acting` does that, if the brake allows it, and then `uploads` aborts unfinished uploads. `idle` after a pass.
 */
export interface WalkState {
  readonly version: 1
  readonly order: Order
  /** Endpoint, path and name of the bucket. */
  readonly identity: string
  readonly phase: 'objects' | 'uploads' | 'entries' | 'acting' | 'idle'
  readonly startedAt: string
  /** The last key that is done, and the cursor of the index page that comes next. */
  readonly after: string | null
  readonly indexCursor: string | null
  /** Where the phases `uploads` and `entries` go on. */
  readonly marker: string | null
  readonly counts: Counts
  /** Records that somebody has confirmed, and those of them that have no object or another one. */
  readonly confirmed: { readonly records: number; readonly odd: number }
  /** Failures in a row at this place. */
  readonly failures: number
  /** The last failure of a step or a key of this pass. */
  readonly failure: {
    readonly code: string
    readonly reason?: string
    readonly message: string
    readonly at: string
  } | null
  /** Whether the last pass had a reason to stop, while its index may have been late. */
  readonly isDoubted: boolean
  readonly stopped: Stop | null
  /** Why an earlier pass has stopped. A pass that only reports stops there again. */
  readonly held: Stop | null
  /** Reasons that a person has accepted in this pass. */
  readonly accepted: readonly StopReason[]
  /** When the pass goes on, in milliseconds since 1970. Null if it doesn't. */
  readonly nextAt: number | null
  /** The last complete pass. */
  readonly last: PassSummary | null
}

/** Returns the state before the first step of a pass, after `before`. */
export const startPass = (
  order: Order,
  identity: string,
  now: Date,
  before?: Pick<WalkState, 'last' | 'stopped' | 'held'>,
): WalkState => ({
  version: 1,
  order,
  identity,
  phase: 'objects',
  startedAt: now.toISOString(),
  after: null,
  indexCursor: null,
  marker: null,
  counts: NO_COUNTS,
  confirmed: { records: 0, odd: 0 },
  failures: 0,
  failure: null,
  isDoubted: false,
  stopped: null,
  accepted: [],
  held: order.mode === 'report' ? (before?.stopped ?? before?.held ?? null) : null,
  nextAt: now.getTime(),
  last: before?.last ?? null,
})

/** Returns the state from which a stopped walk goes on, after a person has looked at its counts. */
export function goOn(state: WalkState, now: Date): WalkState {
  if (state.stopped === null) return state
  const isEarly = state.stopped.reason === 'over 10,000 changes'
  const accepted = isEarly ? [state.stopped.reason] : STOP_REASONS
  // A report has taken the place of the stopped pass, whose collected keys are gone.
  const order = { ...state.order, mode: 'record' } as const
  const next = state.held === null ? state : startPass(order, state.identity, now, state)
  return { ...next, stopped: null, accepted, nextAt: now.getTime() }
}

/** Up to so many records, a walk may find without their object whatever their share is. */
const MAX_ODD = 20
/** Above that, at most one record in this many. */
const ODD_SHARE = 100
/** How many changes a pass collects before a person must let it go on. */
export const MAX_COLLECTED = 10_000

/**
 * Returns why the changes that a pass has collected must not be made, or null. Walks through another bucket
 * would soon have recorded its objects, so confirmed records also count alone.
 */
export function stopReason({
  counts,
  confirmed,
  accepted,
}: Pick<WalkState, 'counts' | 'confirmed' | 'accepted'>): StopReason | null {
  const { objects, records, gone, different } = counts
  const odd = gone + different
  const all = [{ records, odd }, confirmed]
  const reasons: readonly (readonly [StopReason, boolean])[] = [
    ['empty list', objects === 0 && odd > 0],
    ['another bucket', all.some((one) => one.odd > 0 && one.odd === one.records)],
    [
      'many records differ',
      all.some((one) => one.odd > MAX_ODD && ODD_SHARE * one.odd > one.records),
    ],
  ]
  return reasons.find(([reason, holds]) => holds && !accepted.includes(reason))?.[0] ?? null
}
