import type { Bucket, ConfiguredBucket } from '../../bucket/bucket.ts'
import type { Announce } from '../../core/reconcile.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { FileIndex } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'
import { identityOf } from './brake.ts'
import {
  type Counts,
  type Import,
  type Mode,
  SECOND_LOOK_SECONDS,
  type WalkState,
} from './state.ts'

/** What a walk through one bucket needs. */
export interface Walk {
  /** Its `credentials` and `uploadCredentials` are those of the pair that walks. */
  readonly bucket: Bucket
  /** Aliases that are configured. */
  readonly aliases: readonly string[]
  /**
   * Other aliases of the same address. An object with a record under one of them is not recorded here.
   */
  readonly siblings: readonly string[]
  /** Whether this is the first alias of its address: only then it records and aborts. */
  readonly isFirst: boolean
  readonly index: FileIndex
  readonly purge: (bucket: ConfiguredBucket, keys: readonly ObjectKey[]) => Promise<void>
  /** Null if nobody listens. */
  readonly announce: Announce | null
  readonly mode: Mode
  /** Whose files are recorded: a template as in `Import`, or null. */
  readonly owner: Pick<Import, 'owner' | 'ownerAs'> | null
  readonly import: Import | null
  /** Objects that a page may have, and requests to the bucket that a step may make. */
  readonly pageSize: number
  readonly maxRequests: number
  /** Operations of the index that are left, for all steps of a run. Steps take from it. */
  readonly operations: { left: number }
  /** Requests that an event needs: a webhook without a queue is one. */
  readonly eventRequests: number
  /**
   * Keeps records that are about to be dropped, for 30 days. Null if nobody does: then a step returns them
   * in `toDrop`, and the next one drops them.
   */
  readonly keep: ((records: readonly FileRecord[], now: Date) => Promise<void>) | null
}

const NO_COUNTS: Counts = {
  ...{ objects: 0, records: 0, unrecorded: 0, young: 0, unmanaged: 0, different: 0, gone: 0 },
  ...{
    oldUploads: 0,
    unreadable: 0,
    foreign: 0,
    refused: 0,
    failed: 0,
  },
  ...{ recorded: 0, corrected: 0, dropped: 0, aborted: 0 },
}

/**
 * Returns the state before the first step of a pass. With the state of an earlier walk through this
 * bucket, keeps what it has learned.
 */
export const startWalk = (
  walk: Walk,
  now: Date,
  last: WalkState | null | undefined = null,
): WalkState => ({
  version: 1,
  bucket: walk.bucket.alias,
  identity: last?.identity ?? identityOf(walk.bucket),
  witnesses: last?.witnesses ?? [],
  nextWitnesses: [],
  phase: 'objects',
  pages: 0,
  after: null,
  indexCursor: null,
  marker: null,
  startedAt: now.toISOString(),
  counts: NO_COUNTS,
  suspects: last?.suspects ?? [],
  announced: last?.announced ?? [],
  failures: 0,
  stopped: last?.stopped ?? null,
  accepted: last?.accepted ?? [],
  last: last?.last ?? null,
})

/** Returns when the next record gets its second look, in milliseconds since 1970, or null. */
export const lookAgainAt = ({ suspects }: WalkState): number | null =>
  suspects.length === 0
    ? null
    : Math.min(...suspects.map(({ seenAt }) => seenAt)) + SECOND_LOOK_SECONDS * 1000

/** Returns the state from which a stopped walk goes on, after a person has looked. */
export const goOn = (state: WalkState): WalkState =>
  state.stopped === null
    ? state
    : { ...state, stopped: null, accepted: [...state.accepted, state.stopped.reason] }
