import type { FileRecord } from '../../records/file-record.ts'
import type { Remote } from '../../state/object.ts'
import type { Upkeep } from './cloudflare.ts'
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

/** The object of a bucket's walk, as the Worker calls it. */
export type WalkObject = Remote<Upkeep>

/** The name of the object of a bucket's walk. */
export const walkName = (alias: string): string => `walk ${alias}`
