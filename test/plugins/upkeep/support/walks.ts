import { newObjectKey } from '../../../../src/keys/new-key.ts'
import { type ObjectKey, parseObjectKey } from '../../../../src/keys/object-key.ts'
import { memoryFileIndex } from '../../../../src/plugins/files/memory-file-index.ts'
import { startWalk, type Walk } from '../../../../src/plugins/upkeep/pass.ts'
import type { StepResult, WalkState } from '../../../../src/plugins/upkeep/state.ts'
import { stepWalk } from '../../../../src/plugins/upkeep/walk.ts'
import type { FileRecord } from '../../../../src/records/file-record.ts'
import type { StoredObject } from '../../../support/memory-bucket.ts'
import { testBucket } from '../../../support/test-bucket.ts'

export const NOON = Date.UTC(2026, 10, 24, 12)
export const HOUR = 3_600_000
export const DAY = 24 * HOUR

export const at = (milliseconds: number): Date => new Date(NOON + milliseconds)

/** Returns a walk through the test bucket with an index in memory, with `changes` applied. */
export const testWalk = (changes: Partial<Walk> = {}): Walk => ({
  bucket: testBucket({ managedPrefixes: ['managed/'] }),
  aliases: ['files'],
  siblings: [],
  isFirst: true,
  index: memoryFileIndex(),
  purge: async () => {},
  announce: null,
  mode: 'record',
  owner: null,
  import: null,
  pageSize: 1000,
  maxRequests: 900,
  operations: { left: Number.POSITIVE_INFINITY },
  eventRequests: 0,
  keep: async () => {},
  ...changes,
})

let serial = 0

/** Returns a new generated key, of a time in milliseconds since noon. */
export const generated = (milliseconds = 0, prefix = ''): ObjectKey =>
  newObjectKey({
    ...{ fileName: `file-${serial++}.txt`, prefix, now: at(milliseconds) },
    random: Uint8Array.from({ length: 11 }, (_, i) => (serial >> (5 * (10 - i))) & 31),
  })

/** Returns the confirmed record of an object. */
export const recordOf = (
  key: string,
  { etag, size, mimetype, time }: StoredObject,
  changes: Partial<FileRecord> = {},
): FileRecord => ({
  key: parseObjectKey(key),
  bucket: 'files',
  name: 'My file',
  ...{ size, mimetype, etag, owner: 'key:app' },
  createdAt: new Date(Math.floor(time / 1000) * 1000).toISOString(),
  ...changes,
})

/** Takes steps until the pass ends, the brake stops it, or a step fails. Returns the last result. */
export async function pass(
  walk: Walk,
  milliseconds: number,
  last: WalkState | null = null,
): Promise<StepResult> {
  let state = last ?? startWalk(walk, at(milliseconds))
  for (let steps = 0; steps < 500; steps++) {
    const result = await stepWalk(walk, state, at(milliseconds))
    const { isDone, failure } = result
    if (isDone || failure !== null || result.state.stopped !== null) return result
    state = result.state
  }
  throw new Error('The pass does not end.')
}

/** Returns the counts that are not zero. */
export const shown = (counts: object | undefined): Record<string, unknown> =>
  Object.fromEntries(Object.entries(counts ?? {}).filter(([, count]) => count !== 0))
