import type { DropBoxToken } from './answers/drop-box.ts'
import type { DropBox, DropBoxPage, Grant, GrantPage, ReceivedPage } from './answers/sharing.ts'
import {
  isDropBox,
  isDropBoxPage,
  isGrant,
  isGrantPage,
  isReceivedPage,
} from './answers/sharing.ts'
import { type Call, type CallOptions, sendsOptions } from './call.ts'
import { isNothing } from './check.ts'
import type { LinkRestrictions } from './requests.ts'

/** Body of `POST /grants`, without its key. */
export type GrantOptions = GrantTerms & (PageGrant | DirectGrant)

interface GrantTerms {
  /** When it ends: ISO 8601 in UTC, up to 366 days ahead. */
  readonly deadline: string
  /** How often it can be used: 1 to 1,000,000. Default: any number. */
  readonly uses?: number | undefined
  /** One line for people, which the page shows. */
  readonly label?: string | undefined
  /** Name to save under. Default: the file's. With `direct`, the default is to show the file. */
  readonly download?: string | undefined
  readonly restrictions?: LinkRestrictions | undefined
}

interface PageGrant {
  /** 8 to 128 characters. Not with `direct`. */
  readonly password?: string | undefined
  readonly direct?: false | undefined
}

interface DirectGrant {
  readonly password?: undefined
  /** Redirects to the file at once, for `<img>` and `curl`, instead of showing a page with a button. */
  readonly direct?: boolean | undefined
}

/** Body of `PATCH /grants/:id`. Members that are missing stay as they are. */
export interface GrantChanges {
  /** How often it can be used in total, including past uses. Null for any number. */
  readonly uses?: number | null | undefined
  readonly label?: string | null | undefined
  readonly deadline?: string | undefined
}

/** Body of `POST /drop-boxes`, without its prefix. */
export interface DropBoxOptions {
  /** Who asks for files: one line, up to 100 characters. */
  readonly from: string
  /** One line of plain text, up to 200 characters. */
  readonly title: string
  /** Plain text, up to 2000 characters. */
  readonly message?: string | undefined
  /** When it closes: ISO 8601 in UTC, up to 366 days ahead. */
  readonly deadline: string
  readonly maxFiles: number
  /** Largest file, in bytes. */
  readonly maxBytes: number
  /** Bytes of all files together. */
  readonly maxTotalBytes: number
  /** Types such as `image/png` or `image/*`. Default: those of the caller. */
  readonly allowedTypes?: readonly string[] | undefined
  /** 8 to 128 characters. */
  readonly password?: string | undefined
}

/** Who uploads. The box keeps it with each file, as plain text of up to 2 KB together. */
export interface DropBoxSender {
  readonly name?: string | undefined
  readonly note?: string | undefined
}

/** What a visitor gives to use a drop box. */
export interface DropBoxVisitor {
  /** Only for a box with a password. If it is wrong or missing, the code is `password_wrong`. */
  readonly password?: string | undefined
  readonly sender?: DropBoxSender | undefined
}

/** What a drop box asks for and allows. */
export type DropBoxTerms = Omit<DropBoxToken, 'token' | 'expiresAt' | 'endpoint' | 'bucket'>

/** Query of the lists. */
export interface PageOptions {
  /** 1 to 100. Default: 50. */
  readonly limit?: number | undefined
  /** `cursor` of the previous page. */
  readonly cursor?: string | undefined
}

/** A page of the caller's grants or drop boxes, or of those of a user. */
export interface OwnedOptions extends PageOptions {
  /** The `subject` of tokens of this API key. */
  readonly subject?: string | undefined
}

/** Grants and drop boxes of the caller, a page of each list at a time. */
export interface SharingCalls {
  /** Creates a link to a file that counts its uses and can be revoked. A repeat makes another. */
  createGrant(key: string, grant: GrantOptions & CallOptions): Promise<Grant>
  /** Lists one page of the caller's grants. */
  listGrants(options?: OwnedOptions & CallOptions): Promise<GrantPage>
  getGrant(id: string, options?: CallOptions): Promise<Grant>
  updateGrant(id: string, changes: GrantChanges & CallOptions): Promise<Grant>
  /** Ends a grant at once, everywhere. A link that it dispensed before is valid for ten minutes. */
  withdrawGrant(id: string, options?: CallOptions): Promise<void>
  /** Creates a page on which others drop files below `prefix`, which ends with `/`. A repeat makes another. */
  createDropBox(prefix: string, box: DropBoxOptions & CallOptions): Promise<DropBox>
  /** Lists one page of the caller's drop boxes. */
  listDropBoxes(options?: OwnedOptions & CallOptions): Promise<DropBoxPage>
  getDropBox(id: string, options?: CallOptions): Promise<DropBox>
  /** Lists one page of the files that a drop box received. */
  listReceived(id: string, options?: PageOptions & CallOptions): Promise<ReceivedPage>
  /** Closes a drop box at once. The bucket and the index keep what it received. */
  closeDropBox(id: string, options?: CallOptions): Promise<void>
}

/** Returns the calls for files in one bucket. */
export function sharingCalls(call: Call, bucket: string | undefined): SharingCalls {
  const send = sendsOptions(call)
  const grant = (id: string) => `/grants/${encodeURIComponent(id)}`
  const dropBox = (id: string) => `/drop-boxes/${encodeURIComponent(id)}`
  return {
    createGrant: (key, options) => send(isGrant, 'POST', '/grants', options, { key, bucket }),
    listGrants: (options) => send(isGrantPage, 'GET', '/grants', options),
    getGrant: (id, options) => send(isGrant, 'GET', grant(id), options),
    updateGrant: (id, options) => send(isGrant, 'PATCH', grant(id), options),
    withdrawGrant: (id, options) => send(isNothing, 'DELETE', grant(id), options),
    createDropBox: (prefix, options) =>
      send(isDropBox, 'POST', '/drop-boxes', options, { prefix, bucket }),
    listDropBoxes: (options) => send(isDropBoxPage, 'GET', '/drop-boxes', options),
    getDropBox: (id, options) => send(isDropBox, 'GET', dropBox(id), options),
    listReceived: (id, options) => send(isReceivedPage, 'GET', `${dropBox(id)}/files`, options),
    closeDropBox: (id, options) => send(isNothing, 'DELETE', dropBox(id), options),
  }
}
