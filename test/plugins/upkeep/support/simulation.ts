import type { Bucket } from '../../../../src/bucket/bucket.ts'
import { type Announce, recordUpload } from '../../../../src/core/record.ts'
import { removeFiles } from '../../../../src/core/remove.ts'
import { ApiError } from '../../../../src/errors/api-error.ts'
import { isNewObjectKey } from '../../../../src/keys/new-key.ts'
import { type ObjectKey, parseObjectKey } from '../../../../src/keys/object-key.ts'
import { renameFile } from '../../../../src/plugins/files/rename.ts'
import { settleLate } from '../../../../src/plugins/upkeep/late.ts'
import { goOn, startWalk, type Walk } from '../../../../src/plugins/upkeep/pass.ts'
import type { PassSummary, WalkState } from '../../../../src/plugins/upkeep/state.ts'
import { stepWalk } from '../../../../src/plugins/upkeep/walk.ts'
import type { FileIndex } from '../../../../src/records/file-index.ts'
import { MemoryBucket, type StoredObject } from '../../../support/memory-bucket.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../../../support/test-bucket.ts'
import { at, DAY, generated, HOUR, indexSince, NOON, testWalk } from './walks.ts'

/** Hours until files that nobody has confirmed expire. In use, it is at least ten days. */
export const EXPIRE_HOURS = 6

/** Returns numbers from 0 to 1, always the same ones for a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** An operation of a writer, or a step of the walk. */
interface Operation {
  readonly id: string
  isKilled: boolean
  isDone: boolean
}

/** What somebody was told: 201 for this object. */
export interface Accepted {
  readonly etag: string
  readonly owner: string
}

/**
 * Writers and a walk over few keys, at a simulated time. Each request to the bucket or the index waits until
 * the simulation lets one of all waiting requests go on, which it chooses by its seed. Some fail, before or
 * after their effect, and some operations are killed in between.
 */
export class Simulation {
  readonly bucket = new MemoryBucket()
  readonly index: FileIndex = indexSince(at(-30 * DAY))
  /** Keys whose file somebody was told is recorded, unless a writer has replaced or deleted it since. */
  readonly accepted = new Map<string, Accepted>()
  /** Objects of others, which nobody here may touch. */
  readonly foreign = new Map<string, StoredObject>()
  readonly log: string[] = []
  /** What the walk has done in all passes. */
  readonly totals = { recorded: 0, corrected: 0, dropped: 0, expired: 0, aborted: 0 }
  state: WalkState
  #now = NOON
  #serial = 0
  #isCalm = false
  readonly #random: () => number
  readonly #waiting: (() => void)[] = []
  readonly #running = new Map<string, Operation>()
  /** Keys, and the number of changes to each that have begun or ended. */
  readonly #changes = new Map<string, number>()
  /** Who has uploaded each object. */
  readonly #uploads = new Map<string, Accepted>()

  constructor(seed: number) {
    this.#random = randomOf(seed)
    this.state = startWalk(this.walkOf(this.bucketOf('start'), this.index, null), at(0))
    this.bucket.before = (asked) => this.#request(asked.by, asked.operation, asked.key)
  }

  get now(): Date {
    return new Date(this.#now)
  }

  bucketOf = (id: string): Bucket =>
    testBucket({
      managedPrefixes: ['managed/'],
      credentials: { ...EXAMPLE_CREDENTIALS, accessKeyId: id },
    })

  walkOf = (bucket: Bucket, index: FileIndex, announce: Announce | null): Walk =>
    testWalk({
      ...{ bucket, index, announce, mode: 'expire', expireSeconds: EXPIRE_HOURS * 3600 },
      ...{ pageSize: this.#isCalm ? 1000 : 7, maxRequests: this.#isCalm ? 900 : 40 },
    })

  #pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.#random() * items.length)]
    if (item === undefined) throw new Error('There is nothing to choose from.')
    return item
  }

  /** Waits for its turn. Never comes back for a killed operation. */
  async #turn(id: string): Promise<void> {
    if (this.#isCalm) return
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (this.#running.get(id)?.isKilled) await new Promise(() => {})
  }

  #fails = (): boolean => !this.#isCalm && this.#random() < 0.01

  /** Waits before a request to the bucket, and lets some fail, a delete also after its effect. */
  async #request(id: string, operation: string, key: string): Promise<Response | undefined> {
    await this.#turn(id)
    const failure = () => new Response(null, { status: 500 })
    if (this.#fails()) return failure()
    if (operation !== 'DELETE' || !this.#fails()) return undefined
    this.bucket.objects.delete(key)
    return failure()
  }

  /** Returns the index for an operation: it waits, and sometimes fails before or after its effect. */
  #indexOf(id: string): FileIndex {
    const act = async <T>(work: () => Promise<T>): Promise<T> => {
      const fail = () => {
        if (this.#fails()) throw new ApiError('index_unavailable', 'It failed.')
      }
      await this.#turn(id)
      fail()
      const result = await work()
      await this.#turn(id)
      fail()
      return result
    }
    const { index } = this
    return {
      isConditional: true,
      get: (...given) => act(() => index.get(...given)),
      put: (...given) => act(() => index.put(...given)),
      remove: (...given) => act(() => index.remove(...given)),
      list: (input) => act(() => index.list({ ...input, limit: 5 })),
      since: async () => index.since?.(null) ?? null,
    }
  }

  /** Notes that a change to a key begins or ends. */
  #change(key: string): void {
    this.#changes.set(key, (this.#changes.get(key) ?? 0) + 1)
    this.accepted.delete(key)
  }

  /** Uploads an object, by a writer who may record it. */
  async #upload(id: string, key: string, owner: string): Promise<Accepted> {
    await this.#turn(id)
    this.#change(key)
    const { etag } = this.bucket.put(key, this.#now)
    this.#uploads.set(key, { etag, owner })
    return { etag, owner }
  }

  /** Records an upload, whose writer proves it. */
  async #record(id: string, key: ObjectKey, { owner, etag }: Accepted): Promise<void> {
    const index = this.#indexOf(id)
    const settle = settleLate(
      index,
      (alias) => [alias],
      EXPIRE_HOURS * 3600,
      () => this.now,
    )
    const principal = { kind: 'key', id: owner } as never
    const before = this.#changes.get(key)
    const { record } = await recordUpload(
      this.bucketOf(id),
      index,
      { key, name: `${owner}.txt`, owner, isExpected: (head) => head.etag === etag },
      this.now,
      async (change) => {
        await this.#turn(id)
        await settle(change, { principal })
        if (this.#fails()) throw new ApiError('events_unavailable', 'It failed.')
      },
    )
    // Otherwise, the file may be another one or gone by now, and that is right.
    if (this.#changes.get(key) === before) this.accepted.set(key, { etag: record.etag, owner })
  }

  /** Begins an operation by chance. Returns its name. */
  async #operate(id: string): Promise<void> {
    const owner = this.#pick(['ann', 'bob', 'cem'])
    const chosen = parseObjectKey(this.#pick(['managed/a', 'managed/b', 'managed/c']))
    const known = [...this.bucket.objects.keys()].filter((key) => !this.foreign.has(key))
    const existing = known.length === 0 ? chosen : parseObjectKey(this.#pick(known))
    const kind = this.#pick([
      ...['upload', 'upload', 'upload', 'replace', 'replace', 'record', 'record', 'rename'],
      ...['delete', 'parts', 'walk', 'walk', 'walk'],
    ])
    this.log.push(`${kind} ${existing}`)
    const index = this.#indexOf(id)
    if (kind === 'upload') {
      const key = generated(this.#now - NOON)
      const upload = await this.#upload(id, key, owner)
      // Some record it later, and some never.
      if (this.#random() < 0.7) await this.#record(id, key, upload)
    } else if (kind === 'replace') {
      const upload = await this.#upload(id, chosen, owner)
      if (this.#random() < 0.7) await this.#record(id, chosen, upload)
    } else if (kind === 'record') {
      const upload = this.#uploads.get(existing)
      if (upload !== undefined) await this.#record(id, existing, upload)
    } else if (kind === 'rename') {
      const settle = settleLate(
        index,
        (alias) => [alias],
        EXPIRE_HOURS * 3600,
        () => this.now,
      )
      await renameFile(
        this.bucketOf(id),
        index,
        existing,
        'new',
        null,
        this.now,
        async (change) =>
          void (await settle(change, { principal: { kind: 'key', id: owner } as never })),
      )
    } else if (kind === 'delete') {
      this.#change(existing)
      const removal = { index, purge: () => this.#turn(id), announce: () => this.#turn(id) }
      await removeFiles(this.bucketOf(id), [existing], removal, this.now)
      this.#change(existing)
    } else if (kind === 'parts') {
      this.bucket.uploads.push({ key: generated(this.#now - NOON), id, time: this.#now })
    } else await this.#step(this.walkOf(this.bucketOf(id), index, () => this.#turn(id)))
  }

  /** Takes a step from what the last one has saved, also next to others. */
  async #step(walk: Walk): Promise<void> {
    const { state, ended } = await stepWalk(walk, this.state, this.now)
    this.state = goOn(state)
    this.#total(ended)
  }

  #total(ended: PassSummary | null): void {
    if (ended === null) return
    for (const name of ['recorded', 'corrected', 'dropped', 'expired', 'aborted'] as const)
      this.totals[name] += ended.counts[name]
  }

  /** Runs so many operations, up to six at once, kills `kills` of them, and waits for the others. */
  async run(operations: number, kills: number): Promise<void> {
    const killed = new Set(
      Array.from({ length: kills }, () => Math.floor(this.#random() * operations)),
    )
    let begun = 0
    while (begun < operations || this.#running.size > 0) {
      if (begun < operations && this.#running.size < 6 && this.#random() < 0.5) {
        const id = `op${this.#serial++}`
        const operation: Operation = { id, isKilled: false, isDone: false }
        this.#running.set(id, operation)
        if (killed.has(begun)) setTimeout(() => this.#kill(operation), 3)
        begun += 1
        const end = () => void this.#running.delete(id)
        this.#operate(id).then(end, (error) => {
          end()
          if (!(error instanceof ApiError)) throw error
        })
      }
      await this.#settled()
      const next = Math.floor(this.#random() * this.#waiting.length)
      this.#waiting.splice(next, 1)[0]?.()
      this.#now += Math.floor(this.#random() * 20_000)
    }
    await this.#settled()
  }

  #kill(operation: Operation): void {
    if (!this.#running.delete(operation.id)) return
    this.#running.set(operation.id, { ...operation, isKilled: true })
    // What it waits for never goes on, and nothing waits for it.
    setTimeout(() => this.#running.delete(operation.id), 20)
  }

  /** Waits until everything that runs waits for its turn. */
  async #settled(): Promise<void> {
    for (let last = -1; last !== this.#waiting.length; ) {
      last = this.#waiting.length
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
  }

  /** Runs a pass of the walk alone, without failures, every three hours. */
  async upkeep(hours: number): Promise<void> {
    this.#isCalm = true
    for (let i = 0; i < hours; i += 3) {
      for (let steps = 0; steps < 100; steps++) {
        const walk = this.walkOf(this.bucketOf('upkeep'), this.index, null)
        const result = await stepWalk(walk, this.state, this.now)
        if (result.failure !== null) throw result.failure
        this.state = goOn(result.state)
        this.#total(result.ended)
        if (result.isDone) break
      }
      this.#now += 3 * HOUR
    }
  }

  /** Returns what is wrong after upkeep is done. */
  async problems(): Promise<string[]> {
    const problems: string[] = []
    const { records } = await this.index.list({ bucket: 'files', prefix: '', limit: 10_000 })
    const known = new Map<string, (typeof records)[number]>(
      records.map((record) => [record.key, record]),
    )
    for (const [key, object] of this.bucket.objects) {
      const record = known.get(key)
      const isForeign = this.foreign.has(key)
      if (isForeign && record !== undefined) problems.push(`${key} of others has a record`)
      if (isForeign) continue
      if (record === undefined) problems.push(`${key} has no record`)
      else if (record.etag !== object.etag) problems.push(`${key} has the record of another object`)
      else if (record.status === 'unconfirmed' && isNewObjectKey(key))
        problems.push(`${key} is left over`)
    }
    for (const key of known.keys())
      if (!this.bucket.objects.has(key)) problems.push(`${key} has no object`)
    for (const [key, object] of this.foreign)
      if (this.bucket.objects.get(key) !== object) problems.push(`${key} of others has changed`)
    for (const [key, { etag, owner }] of this.accepted) {
      const record = known.get(key)
      if (this.bucket.objects.get(key)?.etag !== etag)
        problems.push(`${key} was accepted and is gone`)
      else if (record?.owner !== owner || record.status !== undefined)
        problems.push(`${key} was accepted and is no longer confirmed`)
    }
    for (const { key } of this.bucket.uploads)
      if (isNewObjectKey(key)) problems.push(`an upload to ${key} is left over`)
    return problems
  }
}
