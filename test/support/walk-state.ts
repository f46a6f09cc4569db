import type { Counts, WalkState } from '../../src/plugins/upkeep/state.ts'

/** The counts of a pass that has seen nothing. */
export const NO_COUNTS: Counts = {
  ...{ objects: 0, records: 0, unrecorded: 0, young: 0, unmanaged: 0, different: 0, gone: 0 },
  ...{ oldUploads: 0, unreadable: 0, foreign: 0, refused: 0 },
  ...{ failed: 0, recorded: 0, corrected: 0, dropped: 0, aborted: 0 },
}

/** Returns a state of the bucket "files", as before its first step unless `changes` say otherwise. */
export const walkState = (changes: Partial<WalkState> = {}): WalkState => ({
  ...{ version: 1, bucket: 'files', identity: 'https://s3.example/files/', phase: 'objects' },
  ...{ witnesses: [], nextWitnesses: [], pages: 0, after: null, indexCursor: null, marker: null },
  ...{ startedAt: '2026-11-28T12:00:00.000Z', counts: NO_COUNTS, suspects: [], announced: [] },
  ...{ failures: 0, stopped: null, accepted: [], last: null, ...changes },
})
