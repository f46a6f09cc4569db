import { bucketUrl } from '../../../../src/bucket/bucket-url.ts'
import { newObjectKey } from '../../../../src/keys/new-key.ts'
import { type ObjectKey, parseObjectKey } from '../../../../src/keys/object-key.ts'
import { d1FileIndex } from '../../../../src/plugins/files/d1-file-index.ts'
import { memoryFileIndex } from '../../../../src/plugins/files/memory-file-index.ts'
import { type Order, startPass, type WalkState } from '../../../../src/plugins/upkeep/state.ts'
import { WalkStore } from '../../../../src/plugins/upkeep/store.ts'
import { stepWalk } from '../../../../src/plugins/upkeep/walk.ts'
import type { Walk } from '../../../../src/plugins/upkeep/walk-step.ts'
import type { FileRecord } from '../../../../src/records/file-record.ts'
import { testDatabase } from '../../../support/d1.ts'
import type { StoredObject } from '../../../support/memory-bucket.ts'
import { testBucket } from '../../../support/test-bucket.ts'

export const NOON = Date.UTC(2026, 10, 24, 12)
export const HOUR = 3_600_000
export const DAY = 24 * HOUR

export const at = (milliseconds: number): Date => new Date(NOON + milliseconds)

/** A walk in a test, whose state is in D1. */
export interface TestWalk extends Walk {
  readonly store: WalkStore
}

/** The store of all walks of a test file. */
export const testStore = (): WalkStore => {
  const { sql } = d1FileIndex(testDatabase)
  if (sql === undefined) throw new Error('An index in SQL has sql().')
  return new WalkStore(sql)
}

let names = 0

/** Returns a walk through the test bucket with an index in memory, with `changes` applied. */
export const testWalk = ({
  place,
  ...changes
}: Partial<Omit<TestWalk, 'place'>> & {
  readonly place?: Partial<Walk['place']>
} = {}): TestWalk => ({
  name: `walk-${names++}`,
  store: testStore(),
  place: {
    bucket: testBucket({ managedPrefixes: ['managed/'] }),
    index: memoryFileIndex(),
    ...{ announce: null, purge: async () => {} },
    ...place,
  },
  aliases: ['files'],
  siblings: [],
  isFirst: true,
  owner: null,
  pageSize: 1000,
  maxRequests: 900,
  maxOperations: Number.POSITIVE_INFINITY,
  eventRequests: 0,
  pauseSeconds: 0,
  ...changes,
})

export const ORDER: Order = { mode: 'record', import: null, isWaited: false }

/** Begins a pass so many milliseconds after noon. */
export async function beginPass(
  { store, name, place }: TestWalk,
  milliseconds = 0,
  order: Partial<Order> = {},
): Promise<void> {
  const identity = bucketUrl(place.bucket)
  const before = (await store.states([name])).get(name)
  const state = startPass({ ...ORDER, ...order }, identity, at(milliseconds), before)
  await store.begin(name, state, false)
}

export async function stateOf({ store, name }: TestWalk): Promise<WalkState> {
  const state = (await store.states([name])).get(name)
  if (state === undefined) throw new Error('This walk has not begun.')
  return state
}

/** Does the step that is due so many milliseconds after noon. Returns the state, or null if none is due. */
export async function step(walk: TestWalk, milliseconds = 0): Promise<WalkState | null> {
  const now = at(milliseconds)
  const claim = await walk.store.claim([walk.name], now.getTime())
  if (claim === null) return null
  const { state, changes } = await stepWalk(walk, claim.state, now)
  await walk.store.save(claim, state, changes)
  return state
}

/** Returns when the next step is due, in milliseconds since noon, or null. */
export async function dueAt({ name }: TestWalk): Promise<number | null> {
  const select = testDatabase.prepare('SELECT next_at FROM presigner_walks WHERE walk = ?')
  const at = await select.bind(name).first<number>('next_at')
  return at === null ? null : at - NOON
}

/** Does all steps that are due until so many milliseconds after noon, at their times. Returns the state. */
export async function steps(walk: TestWalk, from: number, until: number): Promise<WalkState> {
  for (let time = from, count = 0; ; count++) {
    if (count > 1000) throw new Error('The walk does not end.')
    time = Math.max(time, (await dueAt(walk)) ?? until + 1)
    if (time > until) return stateOf(walk)
    await step(walk, time)
  }
}

/** Begins a pass, and does all steps until it has ended or stopped: it acts ten minutes later. */
export async function pass(
  walk: TestWalk,
  milliseconds = 0,
  order: Partial<Order> = {},
): Promise<WalkState> {
  await beginPass(walk, milliseconds, order)
  return steps(walk, milliseconds, milliseconds + 15 * 60_000)
}

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

/** Returns the counts that are not zero. */
export const shown = (counts: object | undefined): Record<string, unknown> =>
  Object.fromEntries(Object.entries(counts ?? {}).filter(([, count]) => count !== 0))
