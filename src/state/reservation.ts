import type { Sender } from '../records/file-event.ts'
import type { Item } from './item.ts'

/** Longest lifetime of what a sender gets signed, so that nothing outlives a closed item by more. */
export const MAX_URL_SECONDS = 300

/** An item that promises limits, such as a drop box. */
export interface Limited extends Item {
  readonly maxFiles: number
  /** Of one file. */
  readonly maxBytes: number
  readonly maxTotalBytes: number
  /** When it was closed, or null. */
  readonly closedAt: number | null
  /** Whether it was closed with everything in it, so that whatever still arrives is deleted. */
  readonly isErased: boolean
}

export interface Amount {
  readonly files: number
  readonly bytes: number
}

/** What is in it, and what nobody has sent or reserved. */
export interface Filling {
  readonly received: Amount
  readonly left: Amount
}

/** Tells whether senders may begin uploads. */
export const isOpen = ({ closedAt, deadline }: Limited, now: number): boolean =>
  closedAt === null && now < deadline

/** Bytes a second of the slowest sender who is waited for. */
const SLOWEST_SENDER = 32 * 1024

/** Returns how long the slowest sender needs for `size` bytes. */
export const sendingSeconds = (size: number): number => Math.ceil(size / SLOWEST_SENDER)

/** Returns how long the slowest sender may take for a file of `size` bytes, which begins in time. */
export const graceSeconds = (size: number): number => sendingSeconds(size) + 900

/** Tells whether a file of `size` bytes, or the largest, may still be completed and recorded. */
export const takesRecords = (item: Limited, now: number, size = item.maxBytes): boolean =>
  item.closedAt === null && now < item.deadline + 1000 * graceSeconds(size)

/** Who sends. Nobody learns an address from it. */
export interface Session {
  /** A name for the network, which only this item uses. */
  readonly network: string
  /** A name for the larger network around it, which one owner may have. */
  readonly around: string
  /** What the sender wrote, if anything. */
  readonly sender: Sender | null
}

/** An upload that a sender is about to begin. */
export interface Ask extends Session {
  readonly key: string
  /** Bytes. */
  readonly size: number
  readonly country: string | null
}

/**
 * The answer to an `Ask`. `earlier` is an upload of the same key, to abort first. An item that is `waiting`
 * is full only of reservations.
 */
export type Reserved =
  | { readonly ok: true; readonly earlier: { readonly s3UploadId: string | null } | null }
  | { readonly ok: false; readonly why: 'closed' | 'full' | 'arrived' | 'ending' }
  | {
      readonly ok: false
      readonly why: 'busy' | 'waiting' | 'rechecking'
      readonly seconds: number
    }

/** The answer to a later step of an upload. With `counts`, the caller passes what is listed to `renew`. */
export type Stepped =
  | { readonly ok: true; readonly counts: boolean }
  | { readonly ok: false; readonly why: 'closed' | 'gone' | 'ending' }
  | { readonly ok: false; readonly why: 'rechecking'; readonly seconds: number }

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

/** The answer to an `Arrived`. `isNew` once, for the event about it. */
export type Settled =
  | {
      readonly ok: true
      readonly isNew: boolean
      readonly sender: Sender | null
      readonly country: string | null
    }
  | { readonly ok: false; readonly why: 'closed' | 'full' | 'arrived' | 'unknown' }

/** Returns what a sender wrote, from JSON that the object keeps. */
export const senderIn = (json: string | null): Sender | null =>
  json === null ? null : JSON.parse(json)

/** A file that has been received. */
export interface Received extends Arrived {
  readonly sender: Sender | null
  readonly country: string | null
}

export interface ReceivedPage {
  readonly files: readonly Received[]
  /** Where the next page starts, or null after the last one. */
  readonly next: number | null
}
