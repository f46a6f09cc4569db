import type { Bucket } from '../../../src/bucket/bucket.ts'
import { isSameFile, type Place } from '../../../src/core/reconcile.ts'
import { recordUpload } from '../../../src/core/record.ts'
import { removeFiles } from '../../../src/core/remove.ts'
import { asApiError } from '../../../src/errors/api-error.ts'
import { isNewObjectKey, nameInKey, newObjectKey } from '../../../src/keys/new-key.ts'
import { type ObjectKey, parseObjectKey } from '../../../src/keys/object-key.ts'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { kvFileIndex } from '../../../src/plugins/files/kv-file-index.ts'
import { renameFile } from '../../../src/plugins/files/rename.ts'
import type { Notification } from '../../../src/plugins/notifications/notification.ts'
import { recordAllNotified } from '../../../src/plugins/notifications/record-notified.ts'
import { goOn } from '../../../src/plugins/upkeep/state.ts'
import { WalkStore } from '../../../src/plugins/upkeep/store.ts'
import type { FileIndex } from '../../../src/records/file-index.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'
import type { ObjectHead } from '../../../src/storage/object.ts'
import {
  beginPass,
  DAY,
  HOUR,
  stateOf,
  step,
  steps,
  type TestWalk,
  testWalk,
} from '../../plugins/upkeep/support/walks.ts'
import { testDatabase } from '../../support/d1.ts'
import { unavailable } from '../../support/errors.ts'
import { type KvWrite, LaggingKv } from '../../support/lagging-kv.ts'
import { type Asked, MemoryBucket, type StoredObject } from '../../support/memory-bucket.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../../support/test-bucket.ts'
import { NOON, Schedule } from './schedule.ts'

export type Kind = 'D1' | 'KV'

/** Whose file somebody was told is recorded. */
interface Accepted {
  readonly owner: string
  readonly etag: string
}

interface Vanished {
  readonly object: StoredObject
  readonly until: number
}

/** Who acts, and where their requests arrive. In KV, one person stays in one location. */
const PEOPLE = ['ann', 'bob', 'cem'] as const
type Person = (typeof PEOPLE)[number]
const locationOf = (person: string): number => (person === 'ann' ? 0 : 1)

const OPERATIONS = [
  ...(['upload', 'upload', 'upload', 'replace', 'record', 'rename', 'delete', 'erase'] as const),
  ...([
    'claim',
    'notify',
    'notify',
    'notify',
    'walk',
    'walk',
    'walk',
    'touch',
    'touch',
    'recode',
  ] as const),
  ...(['vanish', 'expire', 'arrive'] as const),
]

/** One of two writes of which the later one has not seen the other. */
interface Act {
  readonly isClient: boolean
  /** Undefined for a removal. */
  readonly owner: string | null | undefined
}

type Row = (write: Act, over: Act, isGenerated: boolean) => boolean

/** What Workers KV can't hold: the rows of docs/maintainers/stored-data.md after which an owner may be lost. */
const LOSES_OWNER: readonly Row[] = [
  // A client records a file that is first recorded by inference elsewhere.
  (write, over) =>
    !write.isClient && write.owner === null && over.isClient && typeof over.owner === 'string',
  // Two clients record one file.
  (write, over) =>
    write.isClient && over.isClient && write.owner !== undefined && over.owner !== undefined,
  // A file of a chosen key is deleted, and recorded elsewhere.
  (write, over, isGenerated) =>
    !isGenerated && write.isClient && over.isClient && write.owner !== over.owner,
]
/** And the row after which a deleted file may leave a kept record: somebody records it elsewhere. */
const LEAVES_KEPT: readonly Row[] = [
  (write, over) =>
    write.isClient && over.isClient && (write.owner === undefined) !== (over.owner === undefined),
]

/**
 * Writers, notifications and a walk over few keys of one bucket, whose objects also vanish, return, and are copied in place.
 * Requests fail, before or after their effect, and operations are killed in between.
 */
export class World {
  readonly bucket = new MemoryBucket()
  /** Files whose owner was told that they are recorded, and has neither deleted nor replaced them. */
  readonly accepted = new Map<string, Accepted>()
  readonly log: string[] = []
  readonly schedule: Schedule
  readonly kind: Kind
  readonly #kv: LaggingKv
  readonly #d1 = d1FileIndex(testDatabase)
  /** What walks remember, in D1 for each kind of index. */
  readonly #walks: WalkStore
  /** Keys, and the number of changes to each that have begun or ended. */
  readonly #changes = new Map<string, number>()
  /** Who has uploaded the bytes of an ETag. */
  readonly #uploads = new Map<string, Person>()
  readonly #vanished = new Map<string, Vanished>()
  readonly #reports: Notification[] = []
  /** Keys under way to be deleted, whatever they have. */
  readonly #deleting = new Map<
    string,
    { readonly key: string; readonly etag: string | undefined }
  >()
  readonly #broken: string[] = []
  /** Operations of people. The others only infer. */
  readonly #clients = new Set<string>()
  /** Deleted keys, and the number of their changes by then. */
  readonly #erased = new Map<string, number | undefined>()

  constructor(seed: number, kind: Kind) {
    this.schedule = new Schedule(seed)
    this.kind = kind
    const { schedule } = this
    this.#kv = new LaggingKv(2, () => schedule.now, schedule.random)
    const { sql } = this.#d1
    this.#walks = new WalkStore(async (all) =>
      schedule.answered(async () => (await sql?.(all)) ?? []),
    )
    this.bucket.before = (asked) => this.#request(asked)
  }

  get now(): Date {
    return new Date(this.schedule.now)
  }

  /** The bucket for an operation. It compares when it deletes, so that nothing can come in between. */
  bucketOf = (id: string): Bucket =>
    testBucket({
      managedPrefixes: ['chosen/'],
      conditionalDelete: true,
      credentials: { ...EXAMPLE_CREDENTIALS, accessKeyId: id },
    })

  /** The index as a location shows it, for an operation, without failures. */
  indexAt = (location: number, by = ''): FileIndex =>
    this.kind === 'KV' ? kvFileIndex(this.#kv.at(location, by)) : this.#d1

  /** Where an operation reconciles keys. */
  placeOf(id: string, location: number): Place {
    const turn = () => this.schedule.turn(id)
    return {
      ...{ bucket: this.bucketOf(id), index: this.#indexOf(id, location), now: this.now },
      announce: async () => {
        await turn()
        if (this.schedule.fails()) throw unavailable('events', 'It failed.')
      },
      purge: turn,
    }
  }

  /** Returns the index for an operation: it waits, and sometimes fails before or after its effect. */
  #indexOf(id: string, location: number): FileIndex {
    const index = this.indexAt(location, id)
    const act = async <T>(work: () => Promise<T>): Promise<T> => {
      const fail = () => {
        if (this.schedule.fails()) throw unavailable('index', 'It failed.')
      }
      await this.schedule.turn(id)
      fail()
      const result = await this.schedule.answered(work)
      await this.schedule.turn(id)
      fail()
      return result
    }
    const { kept } = index
    return {
      lagSeconds: index.lagSeconds ?? 0,
      get: (...given) => act(() => index.get(...given)),
      put: (...given) => act(() => index.put(...given)),
      remove: (...given) => act(() => index.remove(...given)),
      list: (...given) => act(() => index.list(...given)),
      ...(kept && {
        kept: {
          get: (...given) => act(() => kept.get(...given)),
          put: (...given) => act(() => kept.put(...given)),
          remove: (...given) => act(() => kept.remove(...given)),
          getMany: (...given) => act(() => kept.getMany(...given)),
          list: (...given) => act(() => kept.list(...given)),
        },
      }),
    }
  }

  /** Waits before a request to the bucket, and lets some fail, a delete also after its effect. */
  async #request({ by: id, operation, key, ifMatch }: Asked): Promise<Response | undefined> {
    const { schedule } = this
    await schedule.turn(id)
    if (schedule.fails()) return new Response(null, { status: 500 })
    if (operation !== 'DELETE') return undefined
    const object = this.bucket.objects.get(key)
    const asked = this.#deleting.get(id)
    if (object !== undefined) {
      if (ifMatch !== null && ifMatch !== object.etag) return new Response(null, { status: 412 })
      const isAsked = asked?.key === key && (asked.etag ?? object.etag) === object.etag
      if (!isAsked) this.#broken.push(`${key} was deleted, and nobody has asked for that`)
      this.#store(key, null)
    }
    if (schedule.fails()) return new Response(null, { status: 500 })
    return new Response(null, { status: 204 })
  }

  /** Changes what the bucket has, which it reports later. */
  #store(key: string, object: StoredObject | null): void {
    if (object === null) this.bucket.objects.delete(key)
    else this.bucket.objects.set(key, object)
    this.#reports.push({
      ...{ bucket: 'files', account: null, key, time: this.schedule.now },
      etag: object === null ? '' : object.etag.replaceAll('"', ''),
    })
  }

  /** Notes that somebody who may change a file does so: from then on, nobody relies on it. */
  #change(key: string): void {
    this.#changes.set(key, (this.#changes.get(key) ?? 0) + 1)
    this.accepted.delete(key)
    this.#vanished.delete(key)
  }

  /** Uploads an object, which is the allowed end of what was there. */
  async #upload(id: string, key: string, person: Person): Promise<string> {
    await this.schedule.turn(id)
    this.#change(key)
    const size = 5 + Math.floor(3 * this.schedule.random())
    const object = this.bucket.put(key, this.schedule.now, { size })
    this.#store(key, object)
    this.#uploads.set(object.etag, person)
    return object.etag
  }

  /** Records an upload, whose uploader proves it. */
  async #record(id: string, key: ObjectKey, person: Person, etag: string): Promise<void> {
    const before = this.#changes.get(key)
    const isExpected = (head: ObjectHead) => head.etag === etag
    const { record } = await recordUpload(this.placeOf(id, locationOf(person)), {
      ...{ key, name: `${person}.txt`, owner: person, isExpected },
    })
    if (record.owner !== person) this.#broken.push(`${key} of ${person} was recorded for another`)
    if (this.#changes.get(key) === before) this.accepted.set(key, { owner: person, etag })
  }

  /** Tries to record the file of somebody else, by its key alone. */
  async #claim(id: string, key: ObjectKey, person: Person): Promise<void> {
    const known = this.accepted.get(key)
    if (known === undefined || known.owner === person) return
    const limits = { maxBytes: null, allowedTypes: null }
    const { record } = await recordUpload(this.placeOf(id, locationOf(person)), {
      ...{ key, name: 'mine.txt', owner: person, claim: () => ({ ofOthers: false, limits }) },
    })
    const isTaken = record.owner === person && this.accepted.get(key) === known
    // An object with other bytes is nobody's, until a person gives the order.
    if (isTaken && record.etag === known.etag && !this.isExcused(key, LOSES_OWNER))
      this.#broken.push(`${key} of ${known.owner} was recorded by ${person}`)
    if (isTaken) this.accepted.delete(key)
  }

  /** Deletes a file, and repeats that with its ETag if it fails. */
  async #delete(
    id: string,
    key: ObjectKey,
    location: number,
    isConditional: boolean,
  ): Promise<void> {
    const seen = this.bucket.objects.get(key)?.etag
    if (isConditional && seen === undefined) return
    const remove = async (etag: string | undefined) => {
      this.#deleting.set(id, { key, etag })
      const { index, announce, bucket, now } = this.placeOf(id, location)
      const removal = { index, announce, purge: () => this.schedule.turn(id) }
      return (await removeFiles(bucket, [{ key, etag }], removal, now)).get(key)
    }
    if (!isConditional || this.bucket.objects.get(key)?.etag === seen) this.#change(key)
    const failure = await remove(isConditional ? seen : undefined)
    const isReplaced = asApiError(failure)?.code === 'precondition_failed'
    if (!isReplaced && !isConditional) this.#change(key)
    // As the documentation advises. Somebody may have uploaded another object since.
    for (let i = 0; failure !== undefined && !isReplaced && seen !== undefined && i < 3; i++)
      if ((await remove(seen)) === undefined) break
    this.#deleting.delete(id)
    if (failure === undefined && !isConditional) this.#erased.set(key, this.#changes.get(key))
  }

  async #notify(id: string): Promise<void> {
    const report = this.schedule.pick(this.#reports)
    // Some arrive again.
    if (this.schedule.random() < 0.8) this.#reports.splice(this.#reports.indexOf(report), 1)
    const { bucket, index, announce, purge, now } = this.placeOf(id, this.#anywhere())
    const recorder = {
      ...{ buckets: [bucket], open: () => bucket, index, announce },
      purge: async (_: unknown, key: ObjectKey) => purge?.(key),
    }
    const isFirst = this.schedule.random() < 0.3
    const [result] = await recordAllNotified(recorder, [report], now, () => isFirst)
    const isDone = result?.status === 'fulfilled' && typeof result.value !== 'number'
    if (!isDone) this.#reports.push(report)
  }

  /** The walk of upkeep through the bucket, for an operation. Each step sees few keys. */
  #walkOf(id: string, location: number): TestWalk {
    const { now: _, ...place } = this.placeOf(id, location)
    return testWalk({
      ...{ name: 'walk', store: this.#walks, place, pageSize: 6, maxRequests: 30 },
    })
  }

  /** Does the step that is due, or begins a pass. */
  async #step(id: string): Promise<void> {
    const walk = this.#walkOf(id, this.#anywhere())
    const time = this.schedule.now - NOON
    if ((await step(walk, time)) !== null) return
    const state = (await walk.store.states([walk.name])).get(walk.name)
    if (state === undefined || state.phase === 'idle') await beginPass(walk, time)
    else if (state.stopped !== null) await walk.store.put(walk.name, goOn(state, this.now))
  }

  /** Walks once through everything, as upkeep does. A person lets it go on where it stops. */
  async walk(): Promise<void> {
    const walk = this.#walkOf('walk', 0)
    const time = () => this.schedule.now - NOON
    await beginPass(walk, time())
    // What has failed before is tried again within a day.
    for (let count = 0; count < 5; count++) {
      const { stopped, phase, startedAt } = await steps(walk, time(), time() + 2 * DAY)
      this.schedule.now += 2 * DAY
      const status = await walk.store.status(walk.name)
      this.log.push(`walk ${phase} ${stopped?.reason} ${startedAt} ${JSON.stringify(status)}`)
      if (stopped === null) return
      await walk.store.put(walk.name, goOn(await stateOf(walk), this.now))
    }
  }

  #anywhere = (): number => Math.floor(2 * this.schedule.random())

  /** A chosen key. In KV, each has one writer. */
  #chosen = (person: Person): ObjectKey =>
    parseObjectKey(
      this.kind === 'KV'
        ? `chosen/of-${person}.txt`
        : `chosen/${this.schedule.pick(['a', 'b', 'c'])}.txt`,
    )

  /** Begins an operation by chance. */
  async #operate(id: string): Promise<void> {
    const { schedule, bucket } = this
    const person = schedule.pick(PEOPLE)
    const known = [...bucket.objects.keys()]
    const fileName = `${schedule.pick(['x', 'y'])}.txt`
    const random = crypto.getRandomValues(new Uint8Array(11)).map(() => 256 * schedule.random())
    const generated = newObjectKey({
      fileName,
      prefix: '',
      now: this.now,
      random: random.map((byte) => byte & 31),
    })
    const key = known.length === 0 ? generated : parseObjectKey(schedule.pick(known))
    const object = bucket.objects.get(key)
    const kind = schedule.pick(OPERATIONS)
    if (kind !== 'notify' && kind !== 'walk') this.#clients.add(id)
    this.log.push(`${id} ${kind} ${key} ${person} ${(schedule.now - NOON) / 1000}`)
    if (kind === 'upload' || kind === 'replace') {
      const target = kind === 'upload' ? generated : this.#chosen(person)
      const etag = await this.#upload(id, target, person)
      // Some record it later, and some never.
      if (schedule.random() < 0.8) await this.#record(id, target, person, etag)
    } else if (kind === 'record') {
      const uploader = this.#uploads.get(object?.etag ?? '')
      if (object && uploader) await this.#record(id, key, uploader, object.etag)
    } else if (kind === 'claim') {
      const files = [...this.accepted.keys()]
      if (files.length > 0) await this.#claim(id, parseObjectKey(schedule.pick(files)), person)
    } else if (kind === 'rename') {
      const uploader = this.accepted.get(key)?.owner
      if (uploader) await renameFile(this.placeOf(id, locationOf(uploader)), key, 'new', uploader)
    } else if (kind === 'delete' || kind === 'erase') {
      const owner = this.accepted.get(key)?.owner ?? person
      const location = this.kind === 'KV' ? locationOf(owner) : this.#anywhere()
      await this.#delete(id, key, location, kind === 'erase')
    } else if (kind === 'notify') {
      if (this.#reports.length > 0) await this.#notify(id)
    } else if (kind === 'walk') {
      await this.#step(id)
    } else if (object !== undefined) this.#happen(kind, key, object)
  }

  /** What happens to an object without anybody who uses the presigner. */
  #happen(
    kind: 'touch' | 'recode' | 'vanish' | 'expire' | 'arrive',
    key: string,
    object: StoredObject,
  ) {
    const { schedule } = this
    const time = schedule.now
    if (kind === 'touch') {
      // A copy in place, such as for another storage class or type, or a move to another bucket.
      const mimetype = schedule.random() < 0.3 ? 'text/html' : object.mimetype
      this.#store(key, { ...object, time, mimetype })
    } else if (kind === 'recode') {
      // A copy instead of an upload in parts has another ETag.
      const etag = this.bucket.put(key, time, { size: object.size }).etag
      this.#store(key, { ...object, etag, time })
    } else if (kind === 'vanish') {
      this.#vanished.set(key, { object, until: time + Math.floor(schedule.random() * 3 * HOUR) })
      this.#store(key, null)
    } else if (kind === 'expire') this.#store(key, null)
    else {
      const other = parseObjectKey(`chosen/arrived-${Math.floor(3 * schedule.random())}.txt`)
      if (this.bucket.objects.has(other)) return
      this.#store(other, this.bucket.put(other, time))
    }
  }

  /** Shows vanished objects again, some as copies of a backup with another date. */
  #reappear(isAll = false): void {
    const { now, random } = this.schedule
    for (const [key, { object, until }] of this.#vanished) {
      if (now < until && !isAll) continue
      this.#vanished.delete(key)
      if (this.bucket.objects.has(key)) continue
      this.#store(key, random() < 0.5 ? object : { ...object, time: now })
    }
  }

  /** Runs so many operations, up to six at once, kills some of them, and waits for the others. */
  async run(operations: number): Promise<void> {
    const { schedule } = this
    const { running, random } = schedule
    for (let begun = 0; begun < operations || running.size > 0; ) {
      if (begun < operations && running.size < 6 && random() < 0.5) {
        const turns = random() < 0.02 ? Math.floor(random() * 12) : undefined
        schedule.begin((id) => this.#operate(id), turns)
        begun += 1
      }
      await schedule.next()
      this.#reappear()
    }
    this.#reappear(true)
    schedule.isCalm = true
    schedule.now += 2 * HOUR
  }

  /** Tells whether one of these rows of what Workers KV can't hold has happened to a key. */
  isExcused(key: string, rows: readonly Row[]): boolean {
    const isGenerated = isNewObjectKey(parseObjectKey(key))
    const acted = ({ by, metadata }: KvWrite): Act => ({
      isClient: this.#clients.has(by),
      owner: metadata === undefined ? undefined : Object(metadata).owner,
    })
    // In D1, nobody writes to KV.
    const blind = this.#kv.blind(`file:files:${key}`)
    return blind.some(({ write, over }) =>
      rows.some((fits) => fits(acted(write), acted(over), isGenerated)),
    )
  }

  /** Returns what is wrong after one walk. */
  async problems(): Promise<string[]> {
    const problems = [...this.#broken]
    const index = this.indexAt(0)
    const { records } = await index.list({ bucket: 'files', prefix: '', limit: 1000 })
    const known = new Map<string, FileRecord>(records.map((record) => [record.key, record]))
    for (const [key, { etag, size, mimetype, time }] of this.bucket.objects) {
      const record = known.get(key)
      const lastModified = new Date(Math.floor(time / 1000) * 1000)
      if (record === undefined) problems.push(`${key} has no record`)
      else if (!isSameFile(record, { etag, size }))
        problems.push(`${key} has the record of another`)
      else if (record.createdAt !== lastModified.toISOString() || record.mimetype !== mimetype)
        problems.push(`${key} has another date or type than its record`)
    }
    for (const key of known.keys())
      if (!this.bucket.objects.has(key)) problems.push(`${key} has no object`)
    for (const [key, { owner, etag }] of this.accepted) {
      if (this.isExcused(key, LOSES_OWNER)) continue
      const record = known.get(key)
      const kept = await index.kept?.get('files', parseObjectKey(key))
      const object = this.bucket.objects.get(key)
      const isHis = (one: FileRecord | null | undefined) =>
        one?.owner === owner &&
        one.status === undefined &&
        one.name !== nameInKey(parseObjectKey(key))
      if (object?.etag === etag ? !isHis(record) : !isHis(record) && !isHis(kept?.record))
        problems.push(`${key} of ${owner} has lost its owner`)
    }
    for (const [key, changes] of this.#erased) {
      if (changes !== this.#changes.get(key) || this.bucket.objects.has(key)) continue
      const kept = await index.kept?.get('files', parseObjectKey(key))
      if (kept && !this.isExcused(key, LEAVES_KEPT))
        problems.push(`${key} was deleted, and its record is kept`)
    }
    return problems
  }
}
