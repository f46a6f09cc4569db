import type { Bucket, ConfiguredBucket } from '../../bucket/bucket.ts'
import type { Announce } from '../../core/record.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { FileIndex } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'
import type { Import, Mode, StepResult, WalkState } from './state.ts'

/** What a walk through one bucket needs. */
export interface Walk {
  /** Its `credentials` and `uploadCredentials` are those of the pair that walks. */
  readonly bucket: Bucket
  /** Aliases that are configured. */
  readonly aliases: readonly string[]
  /**
   * Other aliases of the same address. An object with a record under one of them is neither recorded nor
   * expired here.
   */
  readonly siblings: readonly string[]
  /** Whether this is the first alias of its address: only then it records, expires and aborts. */
  readonly isFirst: boolean
  readonly index: FileIndex
  readonly purge: (bucket: ConfiguredBucket, keys: readonly ObjectKey[]) => Promise<void>
  /** Null if nobody listens. */
  readonly announce: Announce | null
  readonly mode: Mode
  /** With mode `expire`. */
  readonly expireSeconds: number
  /** Whose files are recorded: a template as in `Import`, or null. */
  readonly owner: Pick<Import, 'owner' | 'ownerAs'> | null
  readonly import: Import | null
  /** Objects that a page may have, and requests to the bucket that a step may make. */
  readonly pageSize: number
  readonly maxRequests: number
  /**
   * Keeps records that are about to be dropped, for 30 days. Null if nobody does: then a step returns them
   * in `toDrop`, and the next one drops them.
   */
  readonly keep: ((records: readonly FileRecord[], now: Date) => Promise<void>) | null
}

/**
 * Returns the state before the first step of a pass. With the state of an earlier walk through this
 * bucket, keeps what it has learned.
 */
export declare function startWalk(walk: Walk, now: Date, last?: WalkState | null): WalkState

/**
 * Does the next step of a walk. Resolves with a `failure` if a part of it failed. Throws only an
 * error of the program: then the same step can be done again.
 */
export declare function stepWalk(walk: Walk, state: WalkState, now: Date): Promise<StepResult>

/** Returns when the next record gets its second look, in milliseconds since 1970, or null. */
export declare function lookAgainAt(state: WalkState): number | null

/** Returns the state in which a walk goes on that the brake has stopped: a person has looked. */
export declare function goOn(state: WalkState, now: Date): WalkState
