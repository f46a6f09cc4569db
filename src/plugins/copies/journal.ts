import * as z from 'zod/mini'
import type { Bucket } from '../../bucket/bucket.ts'
import { bucketUrl } from '../../bucket/bucket-url.ts'
import type { KeyHold } from '../../core/key-hold.ts'
import { outOfTime } from '../../errors/deadline.ts'
import { sha256 } from '../../keys/encodings.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { isSameObject, type ObjectIdentity } from './same-object.ts'

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

/** Whether a call copies or moves, and between which buckets. */
export interface CopiedBuckets {
  readonly kind: CopyKind
  readonly source: Bucket
  readonly target: Bucket
}

/** What the index has noted about the keys that a call holds. Without locks, there is nothing. */
export class Journals {
  readonly #hold: Pick<KeyHold, 'lockOf'>
  readonly #call: CopiedBuckets

  constructor(hold: Pick<KeyHold, 'lockOf'>, call: CopiedBuckets) {
    this.#hold = hold
    this.#call = call
  }

  /** Returns what was noted about an earlier request for the same, with this source or a missing one (null). */
  async earlier({ from, to }: Keys, source: ObjectIdentity | null): Promise<Journal | null> {
    const journal = this.#read(this.#call.target, to)
    if (journal?.request !== (await this.#request(from))) return null
    // An equal object may have replaced the source within its second.
    const isOfThis =
      source === null ||
      (isSameObject(journal.source, source) && journal.sourceId === this.#sourceId(from))
    return isOfThis ? journal : null
  }

  #request(from: ObjectKey): Promise<string> {
    const { kind, source } = this.#call
    return sha256(JSON.stringify([kind, bucketUrl(source), from]))
  }

  #read(bucket: Bucket, key: ObjectKey): Journal | null {
    const text = this.#hold.lockOf(bucket)?.held.get(key)
    try {
      return journalSchema.parse(JSON.parse(text ?? 'null'))
    } catch {
      return null // or of a later version
    }
  }

  #sourceId(from: ObjectKey): string | null {
    return this.#read(this.#call.source, from)?.id ?? null
  }

  /** Notes what a repeat of the request needs. Throws `unavailable` if the call no longer holds the target. */
  async note(
    { from, to }: Keys,
    noted: Pick<Journal, 'wasVacant'> &
      Record<'source', ObjectIdentity> & { target: ObjectIdentity | null },
  ): Promise<void> {
    const plain = ({ etag, lastModified }: ObjectIdentity) => ({ etag, lastModified })
    const journal = {
      version: 1,
      id: crypto.randomUUID(),
      sourceId: this.#sourceId(from),
      request: await this.#request(from),
      wasVacant: noted.wasVacant,
      source: plain(noted.source),
      target: noted.target && plain(noted.target),
    }
    const lock = this.#hold.lockOf(this.#call.target)
    if (lock !== undefined && !(await lock.note(to, JSON.stringify(journal)))) throw outOfTime()
  }
}
