import { type Principal, subjectOf } from '../access/principal.ts'
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

/** What a grant or a drop box did. */
export type ShareChange =
  | {
      readonly type: 'used'
      readonly file: { readonly bucket: string; readonly key: string }
      /** `usesLeft` is null for any number. */
      readonly grant: ShareName & { readonly usesLeft: number | null }
      readonly country: string | null
    }
  | {
      readonly type: 'received'
      readonly file: FileRecord
      readonly dropBox: ShareName
      /** What the sender wrote, unchecked. */
      readonly sender: Sender | null
      readonly country: string | null
    }
  | ({
      readonly type: 'guessed'
      /** For a drop box, `key` is its prefix. */
      readonly file: { readonly bucket: string; readonly key: string }
      /** How many passwords were wrong until now. */
      readonly wrongPasswords: number
      /** Of the visitor who guessed last. */
      readonly country: string | null
    } & ({ readonly grant: ShareName } | { readonly dropBox: ShareName }))

/** The id of a grant or a drop box in the API, and the text that its creator gave it. */
export interface ShareName {
  readonly id: string
  readonly label: string | null
}

/** Who sent a file, as they say. Plain text. */
export interface Sender {
  readonly name: string
  readonly note: string
}

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

/** Returns the actor for what this principal does. */
export const actorOf = (principal: Pick<Principal, 'id' | 'context'>): Actor => ({
  principal: principal.id,
  subject: subjectOf(principal),
  context: principal.context,
})

/** What happened to a file, when, and who did it. It may arrive more than once. */
export type FileEvent = (FileChange | ShareChange) &
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
  'grant.used',
  'grant.guessed',
  'drop-box.received',
  'drop-box.guessed',
] as const

export type EventType = (typeof EVENT_TYPES)[number]

export function eventTypeOf(change: FileChange | ShareChange): EventType {
  switch (change.type) {
    case 'used':
      return 'grant.used'
    case 'received':
      return 'drop-box.received'
    case 'guessed':
      return 'grant' in change ? 'grant.guessed' : 'drop-box.guessed'
    default:
      return `file.${change.type}`
  }
}

/**
 * Returns the id of an event: a digest of what happened, bucket, key, ETag and the object's date, and of the
 * owner of a confirmed file. A repeat has the same id, even if it reports a replaced file as recorded. A record
 * with another owner, the first confirmed record, a copy of another source, and a file that a drop box received
 * have other ids. `about` is the record of the file. Without one, as for a deleted file that was never
 * recorded, each event has its own id, and so has each new name.
 */
export async function eventId(
  change: FileChange | ShareChange,
  about: Pick<FileRecord, 'etag' | 'createdAt' | 'owner' | 'status'> | null,
): Promise<string> {
  const { type, file } = change
  const { bucket, key } = file
  const owner = about?.status === undefined ? (about?.owner ?? null) : null
  const what =
    change.type === 'copied' || change.type === 'moved'
      ? [type, owner, change.from.bucket, change.from.key]
      : type === 'received'
        ? [type, change.dropBox.id]
        : type === 'deleted'
          ? type
          : owner
  const upload =
    about === null || type === 'renamed' ? [crypto.randomUUID()] : [about.etag, about.createdAt]
  const digest = await sha256(JSON.stringify([what, bucket, key, ...upload]))
  return `evt_${digest.slice(0, 32)}`
}

/** Returns the body of a webhook. */
export function eventBody(event: FileEvent): string {
  const { type: _, timestamp, file, ...data } = event
  return JSON.stringify({ type: eventTypeOf(event), timestamp, data: { file, ...data } })
}

/**
 * Tells the app and its webhooks about a change that happened `at`, before the index changes.
 * `about` is the record of the file, also of a deleted one. Resolves with what `dataIn` finds in the
 * result of the app's `onEvent`. A repeat of an accepted event only calls `onEvent` again. Throws
 * `unavailable`. Then the index must not change, so that a repeat announces the change again.
 */
export interface After {
  (
    change: (FileChange | ShareChange) & Actor,
    about: FileRecord | null,
    at: Date,
    background: Background,
    isRepeat?: boolean,
  ): Promise<Json | undefined>
  /** Requests to other servers that one change may cause. Default: 1. */
  readonly requests?: number
}
