import type { PasswordHash } from '../../access/password.ts'
import type { Scope } from '../../access/scopes.ts'
import type { StoredPrincipal } from '../../access/stored-principal.ts'
import { MAX_PARTS } from '../../bucket/limits.ts'
import type { Sender } from '../../records/file-event.ts'

/** Version of what a Durable Object stores about a drop box. */
export const SCHEMA = 1

/** Scopes of who creates a drop box, also later, when somebody uses it. */
export const BOX_SCOPES: readonly Scope[] = ['drop-boxes:create', 'files:upload']

/** Lifetime of the token of a page, in seconds. */
export const TOKEN_SECONDS = 600

/** Longest lifetime of what a sender gets signed, so that nothing outlives a closed box by more. */
export const MAX_URL_SECONDS = 300

/** Largest file that a box takes in one request. Others are sent in parts, which the bucket can list. */
export const MAX_BOX_PUT_BYTES = 32 * 1024 ** 2

/** Largest part. */
const MAX_BOX_PART_BYTES = 16 * 1024 ** 2

/** Largest file of a box. */
export const MAX_BOX_FILE_BYTES = MAX_PARTS * MAX_BOX_PART_BYTES

/** How long a box is kept after its deadline, so that its creator can see what arrived. */
export const KEPT_SECONDS = 30 * 86_400

/** What a request says about a drop box. Times are milliseconds since 1970. */
export interface BoxTerms {
  readonly bucket: string
  /** Ends with `/`. */
  readonly prefix: string
  /** Who asks for files: plain text. */
  readonly from: string
  readonly title: string
  readonly message: string | null
  readonly deadline: number
  readonly maxFiles: number
  /** Of one file. */
  readonly maxBytes: number
  readonly maxTotalBytes: number
  readonly allowedTypes: readonly string[] | null
}

/** A drop box as its object keeps it. */
export interface StoredBox extends BoxTerms {
  readonly schema: typeof SCHEMA
  /** The public id. */
  readonly id: string
  /** The `name` of the settings with which it was created. */
  readonly instance: string
  /** The secret id, which is in the URL of the page. */
  readonly secret: string
  readonly password: PasswordHash | null
  readonly createdAt: number
  /** Its creator, with the prefix of the box. */
  readonly owner: StoredPrincipal
  /** When its creator closed it, or null. */
  readonly closedAt: number | null
}

export interface Amount {
  readonly files: number
  readonly bytes: number
}

/** A drop box and what is in it. */
export interface BoxState {
  readonly box: StoredBox
  readonly received: Amount
  /** What nobody has sent or reserved. */
  readonly left: Amount
  readonly wrongPasswords: number
}

/** Tells whether senders may begin uploads. */
export const isOpen = ({ closedAt, deadline }: StoredBox, now: number): boolean =>
  closedAt === null && now < deadline

/** Bytes a second of the slowest sender who is waited for. */
const SLOWEST_SENDER = 32 * 1024

/** Returns how long the slowest sender needs for `size` bytes. */
export const sendingSeconds = (size: number): number => Math.ceil(size / SLOWEST_SENDER)

/**
 * Returns how long after its end an upload of `size` bytes may be dated and still be in time. Servers date
 * an object when its upload begins, or when it ends, and clocks differ.
 */
export const graceSeconds = (size: number): number => sendingSeconds(size) + 900

/** Tells whether senders may still record what they have sent in time. */
export const takesRecords = ({ closedAt, deadline, maxBytes }: StoredBox, now: number): boolean =>
  closedAt === null && now < deadline + 1000 * graceSeconds(maxBytes)

/** The id of the principal of a box's senders. */
export const principalOf = (id: string): string => `drop-box:${id}`

/** Who sends. Nobody learns an address from it. */
export interface Session {
  /** A name for the network, which only this box uses. */
  readonly network: string
  /** What the sender wrote, if anything. */
  readonly sender: Sender | null
}

/** An upload that a sender is about to begin. */
export interface Ask extends Session {
  readonly key: string
  /** Bytes. */
  readonly size: number
  readonly inParts: boolean
  readonly country: string | null
}

/**
 * The answer to an `Ask`. `earlier` is an upload in parts of the same key, to abort first. A box that is
 * `waiting` is full only of reservations.
 */
export type Reserved =
  | { readonly ok: true; readonly earlier: { readonly s3UploadId: string | null } | null }
  | { readonly ok: false; readonly why: 'closed' | 'full' | 'arrived' }
  | { readonly ok: false; readonly why: 'busy' | 'waiting'; readonly seconds: number }

/** The answer to a later step of an upload in parts. */
export type Renewal =
  | { readonly ok: true; readonly counts: boolean }
  | { readonly ok: false; readonly why: 'closed' | 'full' | 'gone' }

/** An object that the bucket has. */
export interface Arrived {
  readonly key: string
  readonly etag: string
  readonly size: number
  readonly name: string
  readonly mimetype: string
  /** When it arrived, as the bucket says, in milliseconds since 1970. */
  readonly at: number
}

/** The answer to an `Arrived`. `isNew` until the event of the box about these bytes is accepted. */
export type Settled =
  | {
      readonly ok: true
      readonly isNew: boolean
      readonly sender: Sender | null
      readonly country: string | null
    }
  | { readonly ok: false; readonly why: 'closed' | 'full' | 'replaced' | 'unknown' }

/** A file that a box has received. */
export interface Received extends Arrived {
  readonly sender: Sender | null
  readonly country: string | null
}

export interface ReceivedPage {
  readonly files: readonly Received[]
  /** Where the next page starts, or null after the last one. */
  readonly next: number | null
}
