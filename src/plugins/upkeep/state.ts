import type { ApiError } from '../../errors/api-error.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { FileRecord } from '../../records/file-record.ts'

/** What upkeep may do: nothing, or repair the index and abort uploads in parts that nobody can finish. */
export const MODES = ['report', 'record'] as const
export type Mode = (typeof MODES)[number]

/** Why the brake stopped a walk. It changes nothing until a person lets it go on. */
export type StopReason =
  | 'another bucket'
  | 'empty list'
  | 'shorter list'
  | 'many records without an object'

/** What one pass has found and done in a bucket. */
export interface Counts {
  /** Objects and records that the walk has seen. */
  readonly objects: number
  readonly records: number
  /** Objects without a record, of generated keys or managed prefixes: older than the grace time. */
  readonly unrecorded: number
  /** Objects without a record that are too young, and those that nobody asked to record. */
  readonly young: number
  readonly unmanaged: number
  /** Records of another object than the bucket has. */
  readonly different: number
  /** Records without an object. */
  readonly gone: number
  /** Unfinished uploads in parts that are too old. Null if the server can't list them. */
  readonly oldUploads: number | null
  /** Entries of the index, and of the list, that nobody can read. */
  readonly unreadable: number
  /** Entries of aliases that are no longer configured. Null if the index can't tell. */
  readonly foreign: number | null
  /** Keys that the index can't store, and keys that failed again and again. */
  readonly refused: number
  readonly failed: number
  /** What was done. */
  readonly recorded: number
  readonly corrected: number
  readonly dropped: number
  readonly aborted: number
}

/** A record whose object was missing at the first look. */
export interface Suspect {
  readonly key: ObjectKey
  readonly etag: string
  readonly createdAt: string
  /** Milliseconds since 1970. */
  readonly seenAt: number
}

/** An object that had a record. */
export interface Witness {
  readonly key: ObjectKey
  readonly etag: string
}

/** Seconds until a record without an object gets its second look. */
export const SECOND_LOOK_SECONDS = 600

/** A pass that has ended. */
export interface PassSummary {
  readonly mode: Mode
  /** ISO 8601. */
  readonly startedAt: string
  readonly endedAt: string
  readonly counts: Counts
}

/**
 * How far the walk through one bucket has come: JSON that a Durable Object stores, or that a sealed
 * cursor carries. At most 256 KiB.
 */
export interface WalkState {
  readonly version: 1
  /** Alias of the bucket. */
  readonly bucket: string
  /** Endpoint, path and name of the bucket. */
  readonly identity: string
  /** Objects that had records in the last pass, to recognize the bucket, and those for the next one. */
  readonly witnesses: readonly Witness[]
  readonly nextWitnesses: readonly Witness[]
  readonly phase: 'objects' | 'uploads' | 'entries'
  /** Steps of this pass that have read a page of the phase `objects`. */
  readonly pages: number
  /** The last key that is done, and the cursor of the index page that comes next. */
  readonly after: string | null
  readonly indexCursor: string | null
  /** Where the phases `uploads` and `entries` go on. */
  readonly marker: string | null
  readonly startedAt: string
  readonly counts: Counts
  readonly suspects: readonly Suspect[]
  /** Keys of records that were announced in the last answer, and are dropped by the next step. */
  readonly announced: readonly string[]
  /** Failures in a row at this place. */
  readonly failures: number
  /** When this step saw a reason to stop, in milliseconds since 1970, while the index may be late. */
  readonly doubtedAt?: number
  readonly stopped: { readonly reason: StopReason; readonly at: string } | null
  /** Reasons that a person has accepted. */
  readonly accepted: readonly StopReason[]
  /** The last complete pass over the whole bucket. */
  readonly last: PassSummary | null
}

/** What to import: objects below a prefix get records, whoever put them there. */
export interface Import {
  readonly prefix: string
  /** Where the owner is in a key, such as `users/{owner}/`. */
  readonly owner: string | null
  /** The owner's id in records, such as `key:app/{owner}`. */
  readonly ownerAs: string
}

/** What a step has done. */
export interface StepResult {
  /** The state for the next step. */
  readonly state: WalkState
  /** Whether the pass has ended: `state` is the start of the next one. */
  readonly isDone: boolean
  /** Records that the next step drops, if nobody keeps them here. */
  readonly toDrop: readonly FileRecord[]
  /** The pass that has ended with this step, or null. */
  readonly ended: PassSummary | null
  /**
   * What failed, or null. `state` has what was done before. The next step tries again, and passes over a
   * key that has failed three times.
   */
  readonly failure: ApiError | null
}
