import * as z from 'zod/mini'
import type { Bucket } from '../../bucket/bucket.ts'
import { bucketUrl } from '../../bucket/bucket-url.ts'
import { ApiError } from '../../errors/api-error.ts'
import { outOfTime } from '../../errors/deadline.ts'
import { describe } from '../../errors/describe.ts'
import type { AppContext } from '../../http/app-env.ts'
import { extendDeadline, fileIndexOf } from '../../http/deadline.ts'
import { addWarning } from '../../http/request-log.ts'
import { sha256 } from '../../keys/encodings.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { KeyLock } from '../../records/file-index.ts'
import { StorageFailure } from '../../storage/storage-failure.ts'
import { isSameObject, type ObjectIdentity } from './same-object.ts'

/** In this time, a call sends all requests for the keys that it holds. CopyObject may take 120 seconds. */
const SENDING_SECONDS = 140
/** More than twice that: a request that was sent last may take effect as long after that. */
const LEASE_SECONDS = 300

const objectSchema = z.object({
  etag: z.string(),
  lastModified: z.pipe(
    z.string(),
    z.transform((date) => new Date(date)),
  ),
})

/** What is noted about a copy or a move, with the key of its target. */
const journalSchema = z.object({
  version: z.literal(1),
  /** Random, and that of the last copy or move to the key of the source, or null. */
  id: z.string(),
  sourceId: z.nullable(z.string()),
  /** What was asked for, by a digest: whoever erases the key of the source doesn't look here. */
  request: z.string(),
  source: objectSchema,
  /** Whether the target had no object. */
  wasVacant: z.boolean(),
  /** What the bucket has stored. Null before it has answered. */
  target: z.nullable(objectSchema),
})

export type Journal = Readonly<z.output<typeof journalSchema>>

export type CopyKind = 'copy' | 'move'

interface Keys {
  readonly from: ObjectKey
  readonly to: ObjectKey
}

interface Place {
  readonly kind: CopyKind
  readonly source: Bucket
  readonly target: Bucket
}

/**
 * The keys that a call holds: what its files are read from, and what they are written to. Without locks in
 * the index, everybody holds every key, and there are no journals.
 */
export class Hold {
  readonly #c: AppContext
  readonly #place: Place
  readonly #locks = new Map<string, KeyLock>()
  readonly #kept = new Set<string>()

  constructor(c: AppContext, place: Place) {
    this.#c = c
    this.#place = place
  }

  /**
   * Takes what it can of the keys of these files. Gives this request a deadline. Throws `unavailable`, and
   * may have some of the keys then.
   */
  async take(files: readonly Keys[]): Promise<void> {
    const { source, target } = this.#place
    extendDeadline(this.#c, SENDING_SECONDS)
    const { lock } = fileIndexOf(this.#c)
    if (lock === undefined) return
    const keys = files.flatMap(({ from, to }) => [
      [bucketUrl(source), from] as const,
      [bucketUrl(target), to] as const,
    ])
    for (const [bucket, own] of Map.groupBy(keys, ([bucket]) => bucket)) {
      const ofBucket = new Set(own.map(([, key]) => key))
      this.#locks.set(bucket, await lock(bucket, [...ofBucket], LEASE_SECONDS))
    }
  }

  /** Throws `unavailable` unless this call holds both keys of the file. */
  require({ from, to }: Keys): void {
    const { source, target } = this.#place
    for (const [bucket, key] of [
      [source, from],
      [target, to],
    ] as const) {
      const lock = this.#locks.get(bucketUrl(bucket))
      if (lock === undefined || lock.held.has(key)) continue
      // As long as somebody holds it already: usually a second, and longer if that call was killed.
      const seconds = Math.min(lock.busySeconds, LEASE_SECONDS - lock.busySeconds)
      throw new ApiError(
        'unavailable',
        'Another copy or move uses one of these keys. Send it again.',
        { reason: 'storage', retryAfterSeconds: Math.max(1, seconds) },
      )
    }
  }

  /** Returns what was noted about an earlier request for the same, with this source or a missing one (null). */
  async earlier({ from, to }: Keys, source: ObjectIdentity | null): Promise<Journal | null> {
    const journal = this.#journalOf(this.#place.target, to)
    if (journal?.request !== (await this.#request(from))) return null
    // An equal object may have replaced the source within its second.
    const isOfThis =
      source === null ||
      (isSameObject(journal.source, source) && journal.sourceId === this.#sourceId(from))
    return isOfThis ? journal : null
  }

  #request(from: ObjectKey): Promise<string> {
    const { kind, source } = this.#place
    return sha256(JSON.stringify([kind, bucketUrl(source), from]))
  }

  #journalOf(bucket: Bucket, key: ObjectKey): Journal | null {
    const text = this.#locks.get(bucketUrl(bucket))?.held.get(key) ?? null
    return text === null ? null : readJournal(text)
  }

  #sourceId(from: ObjectKey): string | null {
    return this.#journalOf(this.#place.source, from)?.id ?? null
  }

  /** Notes what a repeat of the request needs. Throws `unavailable` if the call no longer holds the target. */
  async note(
    { from, to }: Keys,
    noted: Pick<Journal, 'wasVacant'> &
      Record<'source', ObjectIdentity> & { target: ObjectIdentity | null },
  ): Promise<void> {
    const lock = this.#locks.get(bucketUrl(this.#place.target))
    const plain = ({ etag, lastModified }: ObjectIdentity) => ({ etag, lastModified })
    const journal = {
      ...{ version: 1, id: crypto.randomUUID(), sourceId: this.#sourceId(from) },
      ...{ request: await this.#request(from), wasVacant: noted.wasVacant },
      ...{ source: plain(noted.source), target: noted.target && plain(noted.target) },
    }
    if (lock !== undefined && !(await lock.note(to, JSON.stringify(journal)))) throw outOfTime()
  }

  /** Keeps both keys until the lock ends by itself, if `error` is of a request that may still take effect. */
  keepAfter(error: unknown, { from, to }: Keys): void {
    if (!mayTakeEffect(error)) return
    this.#kept.add(from)
    this.#kept.add(to)
  }

  /** Lets others have the keys. Only warns if that fails, since the lock ends by itself. */
  async release(): Promise<void> {
    for (const lock of this.#locks.values()) {
      const keys = [...lock.held.keys()].filter((key) => !this.#kept.has(key))
      await lock.release(keys).catch((error: unknown) => {
        addWarning(this.#c, `keys not released: ${describe(error)}`)
      })
    }
  }
}

function readJournal(text: string): Journal | null {
  try {
    return journalSchema.parse(JSON.parse(text))
  } catch {
    return null // of a later version
  }
}

/** Tells whether the bucket has not answered a copy or a delete, also if only a proxy did. */
function mayTakeEffect(error: unknown): boolean {
  const cause = error instanceof ApiError ? error.cause : null
  if (!(cause instanceof StorageFailure)) return false
  const { operation, status } = cause
  return (
    /^(?:Copy|Delete)Object/.test(operation) &&
    (status === null || status === 502 || status === 504)
  )
}
