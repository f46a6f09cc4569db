import type { Bucket } from '../../../../src/bucket/bucket.ts'
import { type Announce, isSameRecord, recordUpload } from '../../../../src/core/record.ts'
import { removeFiles } from '../../../../src/core/remove.ts'
import { byUtf8 } from '../../../../src/keys/encodings.ts'
import { isNewObjectKey } from '../../../../src/keys/new-key.ts'
import { type ObjectKey, parseObjectKey } from '../../../../src/keys/object-key.ts'
import { renameFile } from '../../../../src/plugins/files/rename.ts'
import { goOn, startWalk, type Walk } from '../../../../src/plugins/upkeep/pass.ts'
import type { PassSummary, WalkState } from '../../../../src/plugins/upkeep/state.ts'
import { stepWalk } from '../../../../src/plugins/upkeep/walk.ts'
import type { FileIndex } from '../../../../src/records/file-index.ts'
import type { FileRecord } from '../../../../src/records/file-record.ts'
import { conditionalMemoryIndex } from '../../../support/conditional-index.ts'
import { unavailable } from '../../../support/errors.ts'
import { MemoryBucket, type StoredObject } from '../../../support/memory-bucket.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../../../support/test-bucket.ts'
import { type Operation, Schedule } from './schedule.ts'
import { at, generated, HOUR, NOON, recordOf, testWalk } from './walks.ts'

/** Hours of uploads that were there before. */
export const HOURS_BEFORE = 30
/** Age at which upkeep records an object, as in its documentation. */
const RECORDED_AFTER = HOUR

/** What somebody was told: 201 for this object. */
export interface Accepted {
  readonly etag: string
  readonly owner: string
}

/** An object that the bucket does not show for a while. */
interface Vanished {
  readonly object: StoredObject
  readonly until: number
  /** Operations that have missed it. It stays away until they end. */
  readonly missedBy: Operation[]
}

type Write = 'upload' | 'replace' | 'record' | 'rename' | 'delete'

/**
 * Writers and a walk over few keys. Some requests to the bucket or the index fail, before or after their effect, and
 * some operations are killed in between. Before some requests of the walk, a writer begins to change the same file,
 * and comes first.
 */
export class Simulation {
  readonly bucket = new MemoryBucket()
  readonly index: FileIndex = conditionalMemoryIndex()
  /** Keys whose file somebody was told is recorded, unless a writer has replaced or deleted it since. */
  readonly accepted = new Map<string, Accepted>()
  /** Objects of others, which nobody here may touch. */
  readonly foreign = new Map<string, StoredObject>()
  readonly log: string[] = []
  /** What the walk has done in all passes. */
  readonly totals = { recorded: 0, corrected: 0, dropped: 0, aborted: 0 }
  state: WalkState
  readonly #schedule: Schedule
  /** Keys, and the number of changes to each that have begun or ended. */
  readonly #changes = new Map<string, number>()
  /** Who has uploaded each object. */
  readonly #uploads = new Map<string, Accepted>()
  readonly #vanished = new Map<string, Vanished>()
  /** Records without an object that operations have written, by key. */
  readonly #baseless = new Map<ObjectKey, { readonly id: string; readonly record: FileRecord }>()
  /** Rules that a step has broken. Later passes may hide that. */
  readonly #broken: string[] = []

  constructor(seed: number) {
    this.#schedule = new Schedule(seed)
    this.state = startWalk(this.walkOf(this.bucketOf('start'), this.index, null), at(0))
    this.bucket.before = (asked) => this.#request(asked.by, asked.operation, asked.key)
  }

  get now(): Date {
    return new Date(this.#schedule.now)
  }

  bucketOf = (id: string): Bucket =>
    testBucket({
      managedPrefixes: ['managed/'],
      credentials: { ...EXAMPLE_CREDENTIALS, accessKeyId: id },
    })

  walkOf = (bucket: Bucket, index: FileIndex, announce: Announce | null): Walk =>
    testWalk({
      ...{ bucket, index, announce, mode: 'record' },
      ...(!this.#schedule.isCalm && { pageSize: 12, maxRequests: 60 }),
    })

  /**
   * Stores files of the last hours: one that nobody has confirmed, and one that somebody has. Returns the key of the
   * first one.
   */
  async age(): Promise<ObjectKey> {
    const { random, now } = this.#schedule
    const store = (hours: number) => {
      const time = now - Math.floor(hours * HOUR)
      const key = generated(time - NOON)
      const object = this.bucket.put(key, time)
      this.#uploads.set(key, { etag: object.etag, owner: 'ann' })
      return recordOf(key, object)
    }
    const old = store(HOURS_BEFORE * random())
    await this.index.put({ ...old, owner: null, status: 'found' })
    const confirmed = { ...store(HOURS_BEFORE * random()), owner: 'ann' }
    await this.index.put(confirmed)
    this.accepted.set(confirmed.key, { etag: confirmed.etag, owner: 'ann' })
    return old.key
  }

  /** Waits before a request to the bucket, and lets some fail, a delete also after its effect. */
  async #request(id: string, operation: string, key: string): Promise<Response | undefined> {
    const { fails, running } = this.#schedule
    await this.#schedule.turn(id)
    if (operation === 'HEAD' || operation === 'DELETE') await this.#beforeLook(id, key, operation)
    const failure = () => new Response(null, { status: 500 })
    if (fails()) return failure()
    const vanished = this.#vanished.get(key)
    const asking = running.get(id)
    if (vanished !== undefined && asking !== undefined && operation === 'HEAD') {
      vanished.missedBy.push(asking)
      this.#change(key)
    }
    if (operation !== 'DELETE' || !fails()) return undefined
    this.bucket.objects.delete(key)
    return failure()
  }

  /** Before the walk asks for a key or changes it: lets a writer come first by chance. */
  async #beforeLook(id: string, key: string, operation: string): Promise<void> {
    const walk = this.#schedule.running.get(id)
    if (walk?.kind !== 'walk' || this.foreign.has(key)) return
    if (this.#schedule.random() < (operation === 'DELETE' ? 0.8 : 0.3)) {
      const kinds: readonly Write[] =
        operation === 'DELETE' ? ['record'] : ['record', 'record', 'delete', 'rename']
      const kind = isNewObjectKey(key) ? this.#schedule.pick(kinds) : 'replace'
      this.log.push(`rival ${kind} ${key}`)
      const write = (rival: string) => this.#write(rival, kind, parseObjectKey(key))
      await this.#schedule.begin(write, 'rival').ended
    }
    walk.touched.add(key)
  }

  /** Returns the index for an operation: it waits, and sometimes fails before or after its effect. */
  #indexOf(id: string): FileIndex {
    const act = async <T>(work: () => Promise<T>, key?: ObjectKey): Promise<T> => {
      const fail = () => {
        if (this.#schedule.fails()) throw unavailable('index', 'It failed.')
      }
      await this.#schedule.turn(id)
      if (key !== undefined) await this.#beforeLook(id, key, 'index')
      fail()
      const result = await work()
      await this.#schedule.turn(id)
      fail()
      return result
    }
    const { index } = this
    return {
      isConditional: true,
      get: (bucket, key) => act(() => index.get(bucket, key), key),
      put: (record, replaces) =>
        act(async () => {
          const stored = await index.put(record, replaces)
          this.#checkRecord(id, record, stored, replaces)
          return stored
        }, record.key),
      remove: (...given) => act(() => index.remove(...given)),
      list: (input) => act(() => index.list({ ...input, limit: 5 })),
    }
  }

  /** Checks what the walk has recorded where nothing was. Only that replaces null. */
  #checkRecord(
    id: string,
    record: FileRecord,
    stored: FileRecord,
    replaces: FileRecord | null | undefined,
  ): void {
    const { key, createdAt } = record
    this.#baseless.delete(key)
    // The record of another step is the matter of that one, which may have been killed.
    const isKept = !isSameRecord(stored, record) || stored.status !== record.status
    if (replaces !== null || isKept) return
    if (this.#schedule.now - Date.parse(createdAt) < RECORDED_AFTER)
      this.#broken.push(`${key} was recorded before its client could do that`)
    const isGone = !this.bucket.objects.has(key) && !this.#vanished.has(key)
    // Nobody uploads to a generated key again.
    if (isGone && isNewObjectKey(key)) this.#baseless.set(key, { id, record: stored })
  }

  /** Notes that a change to a key begins or ends. */
  #change(key: string): void {
    this.#changes.set(key, (this.#changes.get(key) ?? 0) + 1)
    this.accepted.delete(key)
  }

  /** Uploads an object, by a writer who may record it. */
  async #upload(id: string, key: string, owner: string): Promise<Accepted> {
    await this.#schedule.turn(id)
    this.#change(key)
    const { etag } = this.bucket.put(key, this.#schedule.now)
    this.#uploads.set(key, { etag, owner })
    return { etag, owner }
  }

  /** Returns what fails as listeners do. */
  #announcerOf(id: string): Announce {
    return async () => {
      await this.#schedule.turn(id)
      if (this.#schedule.fails()) throw unavailable('events', 'It failed.')
    }
  }

  /** Records an upload, whose writer proves it. */
  async #record(id: string, key: ObjectKey, { owner, etag }: Accepted): Promise<void> {
    const index = this.#indexOf(id)
    const announce = this.#announcerOf(id)
    const before = this.#changes.get(key)
    const { record } = await recordUpload(
      this.bucketOf(id),
      index,
      { key, name: `${owner}.txt`, owner, isExpected: (head) => head.etag === etag },
      this.now,
      announce,
    )
    // Otherwise, the file may be another one or gone by now, and that is right.
    if (this.#changes.get(key) === before) this.accepted.set(key, { etag: record.etag, owner })
  }

  /** Changes a file. */
  async #write(id: string, kind: Write, key: ObjectKey): Promise<void> {
    const index = this.#indexOf(id)
    const owner = this.#schedule.pick(['ann', 'bob', 'cem'])
    if (kind === 'upload' || kind === 'replace') {
      const name = kind === 'upload' ? generated(this.#schedule.now - NOON) : key
      const upload = await this.#upload(id, name, owner)
      // Some record it later, and some never.
      if (this.#schedule.random() < 0.7) await this.#record(id, name, upload)
    } else if (kind === 'record') {
      const upload = this.#uploads.get(key)
      if (upload !== undefined) await this.#record(id, key, upload)
    } else if (kind === 'rename') {
      const announce = this.#announcerOf(id)
      await renameFile(this.bucketOf(id), index, key, 'new', null, this.now, announce)
    } else {
      this.#change(key)
      const wait = () => this.#schedule.turn(id)
      const removal = { index, purge: wait, announce: wait }
      await removeFiles(this.bucketOf(id), [key], removal, this.now)
      this.#change(key)
    }
  }

  /** Begins an operation by chance. */
  async #operate(id: string): Promise<void> {
    const { now } = this.#schedule
    const chosen = parseObjectKey(this.#schedule.pick(['managed/a', 'managed/b', 'managed/c']))
    const known = [...this.bucket.objects.keys()].filter((key) => !this.foreign.has(key))
    const existing = known.length === 0 ? chosen : parseObjectKey(this.#schedule.pick(known))
    const kind = this.#schedule.pick([
      ...(['upload', 'upload', 'replace', 'record', 'record', 'rename', 'delete'] as const),
      ...(['parts', 'age', 'vanish'] as const),
    ])
    this.log.push(`${kind} ${existing}`)
    if (kind === 'age') await this.#write(id, 'record', await this.age())
    else if (kind === 'vanish') this.#vanish()
    else if (kind === 'parts')
      this.bucket.uploads.push({ key: generated(now - NOON), id, time: now })
    else await this.#write(id, kind, kind === 'replace' ? chosen : existing)
  }

  /** Hides confirmed objects for some minutes, of those that the walk comes to next. */
  #vanish(): void {
    const { random, now } = this.#schedule
    const next = [...this.accepted.keys()]
      .filter((key) => isNewObjectKey(key) && byUtf8(key, this.state.after ?? '') > 0)
      .sort(byUtf8)
    for (const key of next.slice(0, 3)) {
      const object = this.bucket.objects.get(key)
      if (object === undefined) continue
      this.bucket.objects.delete(key)
      const until = now + Math.floor(random() * HOUR)
      this.#vanished.set(key, { object, until, missedBy: [] })
    }
  }

  /** Shows vanished objects again. */
  #reappear(): void {
    for (const [key, { object, until, missedBy }] of this.#vanished) {
      if (this.#schedule.now < until || missedBy.some(({ id }) => this.#schedule.running.has(id)))
        continue
      this.#vanished.delete(key)
      this.bucket.objects.set(key, object)
    }
  }

  /** Takes a step from what the last one has saved, also next to others. */
  async #step(id: string): Promise<void> {
    const announce = () => this.#schedule.turn(id)
    const walk = this.walkOf(this.bucketOf(id), this.#indexOf(id), announce)
    const { state, ended, failure } = await stepWalk(walk, this.state, this.now)
    this.state = goOn(state)
    this.#total(ended)
    if (failure !== null) return
    for (const [key, { id: writer, record }] of this.#baseless) {
      if (writer !== id) continue
      const known = await this.index.get('files', key)
      // A client that confirms at the same moment looks at the bucket itself, unless it is killed.
      if (known !== null && isSameRecord(known, record) && known.status === record.status)
        this.#broken.push(`${key} was recorded after its object was deleted`)
    }
  }

  #total(ended: PassSummary | null): void {
    if (ended === null) return
    for (const name of ['recorded', 'corrected', 'dropped', 'aborted'] as const)
      this.totals[name] += ended.counts[name]
  }

  /** Runs so many operations, up to six at once, kills `kills` of them, and waits for the others. */
  async run(operations: number, kills: number): Promise<void> {
    const { running, random } = this.#schedule
    const killed = new Set(Array.from({ length: kills }, () => Math.floor(random() * operations)))
    for (let begun = 0; begun < operations || running.size > 0; ) {
      if (begun < operations && running.size < 6 && random() < 0.5) {
        const turns = killed.has(begun) ? Math.floor(random() * 12) : undefined
        if (random() < 0.5) this.#schedule.begin((id) => this.#step(id), 'walk', turns)
        else this.#schedule.begin((id) => this.#operate(id), 'writer', turns)
        begun += 1
      }
      await this.#schedule.next()
      this.#reappear()
    }
  }

  /** Runs a pass of the walk alone, without failures, every six hours. */
  async upkeep(hours: number): Promise<void> {
    this.#schedule.isCalm = true
    for (let i = 0; i < hours; i += 6) {
      this.#schedule.now += 6 * HOUR
      this.#reappear()
      for (let steps = 0; steps < 100; steps++) {
        const walk = this.walkOf(this.bucketOf('upkeep'), this.index, null)
        const result = await stepWalk(walk, this.state, this.now)
        if (result.failure !== null) throw result.failure
        this.state = goOn(result.state)
        this.#total(result.ended)
        if (result.isDone) break
      }
    }
  }

  /** Returns what is wrong after upkeep is done. */
  async problems(): Promise<string[]> {
    const problems = [...this.#broken]
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
