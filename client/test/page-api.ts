import type { FileRecord } from '../src/answers/files.ts'
import type { FileOptions } from '../src/requests.ts'

/** The options of `createClient` that are JSON. */
export interface PageClient {
  readonly baseUrl: string
  readonly bucket?: string
  /** Passed to `createClient` as an async function, whose calls are counted. */
  readonly token?: string
  /** The tokens of the users, of which the cookie `user` picks one, as a server does. */
  readonly tokens?: Readonly<Record<string, string>>
  /** A name, or `cookie` for a function that reads it from the cookie `user`. */
  readonly user?: string
  /** What that function returns until the client reports that it was refused. */
  readonly staleToken?: string
  readonly credentials?: 'include' | 'omit'
  readonly headers?: Record<string, string>
  /** Passes `createClient` an async function for the headers, which adds the number of the call. */
  readonly headersByFunction?: boolean
}

/** A file that the page creates, with the same bytes each time. */
export interface PageFile {
  readonly name: string
  readonly type: string
  readonly size: number
  readonly lastModified: number
  /** The index of a byte that differs. */
  readonly changedAt?: number
}

/** The options of `upload` that are JSON. */
export type PageUpload = FileOptions

/** An error as JSON. */
export interface PageFailure {
  readonly name: string
  readonly message: string
  /** Whether it is an instance of PresignerError, or of DOMException. */
  readonly type: 'PresignerError' | 'DOMException' | 'other'
  readonly code?: string | number
  readonly status?: number
  readonly requestId?: string
  readonly reason?: string
  readonly etag?: string | null
  readonly issues?: readonly { path: string; message: string }[]
}

/** The outcome of a call: a value or an error. */
export type Outcome<T> = { value: T; failure: null } | { value: null; failure: PageFailure }

/** `globalThis.page`: the client in Chromium, for the tests in Node. */
export interface ClientPage {
  /** Creates the client. */
  connect(options: PageClient): void
  /** How often the client requested the token. */
  tokenCalls(): number
  /** Starts an upload, and returns immediately. */
  begin(file: PageFile, options?: PageUpload): void
  /** Starts an upload with a handle. */
  start(file: PageFile, options?: PageUpload): void
  /** Calls a function of the handle. */
  handle(action: 'pause' | 'resume' | 'cancel'): void
  /** Ends the session. */
  endSession(): void
  /** Starts an upload of the file in the page's input. */
  beginChosen(options?: PageUpload): void
  /** Uploads `count` files at the same time. Resolves with their records, in order. */
  uploadMany(count: number, file: PageFile): Promise<Outcome<FileRecord[]>>
  /** Aborts the upload. */
  abort(): Promise<void>
  /** Waits for the upload's outcome. */
  end(): Promise<Outcome<FileRecord>>
  /** The bytes sent as `onProgress` reported them, without repetitions. */
  progress(): readonly number[]
  /**
   * The messages about what stalled the upload, in order. An empty message means that it continued.
   */
  stalls(): readonly string[]
  /** Uploads a Blob that is not a File. */
  uploadBlob(text: string): Promise<Outcome<FileRecord>>
  /** Calls another method of the client. */
  call(
    method:
      | 'list'
      | 'url'
      | 'link'
      | 'links'
      | 'record'
      | 'rename'
      | 'remove'
      | 'removeMany'
      | 'limits'
      | 'request',
    ...args: unknown[]
  ): Promise<Outcome<unknown>>
  /** Removes localStorage. */
  forbidStorage(): void
  /** Sets the expiry of everything in localStorage. */
  expireStored(date: string): void
  /** Returns the names in localStorage. */
  stored(): readonly string[]
}
