import type { FileRecord } from '../../records/file-record.ts'
import type { Counts, PassSummary, WalkState } from './state.ts'

/** A walk that a run has begun. Nobody else walks there until the run ends, or two minutes after its last step. */
export interface Begun {
  /** Null before the first step. */
  readonly state: WalkState | null
  readonly token: string
}

/** How far a walk has come. Times are in milliseconds since 1970. */
export interface WalkStatus {
  /** Null before the first step. */
  readonly walk: {
    readonly phase: WalkState['phase']
    readonly startedAt: string
    readonly counts: Counts
    /** Records that wait for a second look. */
    readonly suspects: number
    readonly stopped: WalkState['stopped']
    readonly last: PassSummary | null
  } | null
  /** Records that were dropped and are kept. */
  readonly dropped: number
  /** When the last run began, or 0. */
  readonly ranAt: number
  /** When the last pass ended, or 0. */
  readonly doneAt: number
}

/** A record that upkeep has dropped, and when. */
export interface DroppedRecord {
  readonly record: FileRecord
  readonly at: number
}

/** Identifies a dropped record: a key may have had several objects. */
export interface DroppedName {
  readonly key: string
  readonly etag: string
}

export interface DroppedPage {
  readonly items: readonly DroppedRecord[]
  /** Where the next page starts, or null after the last one. */
  readonly next: DroppedName | null
}

/** What the object of a bucket's walk does. `now` is in milliseconds since 1970. */
export interface WalkObject {
  /** Returns the walk and a lease, or null while another run has it. */
  begin(now: number): Promise<Begun | null>
  /** Stores a step, and prolongs the lease. Returns false, and stores nothing, if another run has it. */
  save(state: WalkState, token: string, now: number, isDone: boolean): Promise<boolean>
  /** Returns the state, or null before the first step. */
  state(): Promise<WalkState | null>
  /** Lets a walk go on after the brake has stopped it. */
  goOn(): Promise<void>
  /** Ends a lease. */
  end(token: string): Promise<void>
  status(): Promise<WalkStatus>
  /** Keeps records that are about to be dropped, for 30 days. */
  keep(records: readonly FileRecord[], now: number): Promise<void>
  /** Returns records below `prefix` that were dropped, in the order of their keys, from `start` on. */
  dropped(prefix: string, limit: number, start: DroppedName | null): Promise<DroppedPage>
  /** Returns the dropped records of these keys. */
  droppedOf(keys: readonly string[]): Promise<DroppedRecord[]>
  /** Forgets dropped records, such as those that are in the index again. */
  forget(names: readonly DroppedName[]): Promise<void>
  /** Forgets dropped records below `prefix` of objects that are older than `before`. Resolves with their number. */
  forgetBelow(prefix: string, before: number): Promise<number>
}

/** The name of the object of a bucket's walk. */
export const walkName = (alias: string): string => `walk ${alias}`
