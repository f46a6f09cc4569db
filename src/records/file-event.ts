import type { Background } from '../bucket/bucket.ts'
import { type Json, sha256 } from '../keys/encodings.ts'
import type { FileRecord } from './file-record.ts'

/** A change to a file. `key` and `etag` identify an upload. */
export type FileChange =
  | { readonly type: 'recorded' | 'replaced' | 'renamed'; readonly file: FileRecord }
  | {
      readonly type: 'copied' | 'moved'
      /** The record of the target. */
      readonly file: FileRecord
      /** The source. */
      readonly from: { readonly bucket: string; readonly key: string }
    }
  | { readonly type: 'deleted'; readonly file: { readonly bucket: string; readonly key: string } }

/** Who changed a file. Everything is null if the bucket itself reported the change. */
export interface Actor {
  /** Id of the principal. */
  readonly principal: string | null
  /** The user that the principal's token is for. */
  readonly subject: string | null
  /** The `context` of the principal's token. */
  readonly context: Json | null
}

/** The actor of what the presigner or the bucket itself reports. */
export const NOBODY: Actor = { principal: null, subject: null, context: null }

/** What happened to a file, when, and who did it. It may arrive more than once. */
export type FileEvent = FileChange &
  Actor & {
    /**
     * When it happened, ISO 8601 in UTC. For a deleted file, a moment before the bucket was asked to
     * delete it, or whether it is there, so that every later upload under its key has a later one.
     */
    readonly timestamp: string
  }

/** Event types of webhooks. */
export const EVENT_TYPES = [
  'file.recorded',
  'file.replaced',
  'file.renamed',
  'file.copied',
  'file.moved',
  'file.deleted',
] as const

export type EventType = (typeof EVENT_TYPES)[number]

export const eventTypeOf = ({ type }: FileChange): EventType => `file.${type}`

/**
 * Returns the id of an event: a digest of what happened, bucket, key, ETag and the object's date, and
 * of the owner of a file that is stored. A repeat has the same id, also if it reports a replaced file
 * as recorded. A record with another owner, or the first one, has another id, and so has a copy of
 * another source. `about` is the record of the file. Without one, as for a deleted file that was never
 * recorded, each event has its own id, and so has each new name.
 */
export async function eventId(
  change: FileChange,
  about: Pick<FileRecord, 'etag' | 'createdAt' | 'owner'> | null,
): Promise<string> {
  const { type, file } = change
  const { bucket, key } = file
  const owner = about?.owner ?? null
  const what =
    change.type === 'copied' || change.type === 'moved'
      ? [type, owner, change.from.bucket, change.from.key]
      : type === 'deleted'
        ? type
        : owner
  const upload =
    about === null || type === 'renamed' ? [crypto.randomUUID()] : [about.etag, about.createdAt]
  const digest = await sha256(JSON.stringify([what, bucket, key, ...upload]))
  return `evt_${digest.slice(0, 32)}`
}

/** Returns the body of a webhook. */
export const eventBody = (event: FileEvent): string =>
  JSON.stringify({
    type: eventTypeOf(event),
    timestamp: event.timestamp,
    data: {
      file: event.file,
      ...((event.type === 'copied' || event.type === 'moved') && { from: event.from }),
      principal: event.principal,
      subject: event.subject,
      context: event.context,
    },
  })

/**
 * Tells the app and its webhooks about a change that happened `at`, before the index changes.
 * `about` is the record of the file, also of a deleted one. Resolves with what `dataIn` finds in the
 * result of the app's `onEvent`. A repeat of an accepted event only calls `onEvent` again. Throws
 * `events_unavailable`. Then the index may not change, so that a repeat announces the change again.
 */
export type After = (
  change: FileChange & Actor,
  about: FileRecord | null,
  at: Date,
  background: Background,
  isRepeat?: boolean,
) => Promise<Json | undefined>
