import type { FileRecord } from '../src/answers.ts'

/** Options of `createClient`, as far as they are JSON. */
export interface PageClient {
  readonly baseUrl: string
  readonly bucket?: string
  /** Given to `createClient` by an async function, whose calls are counted. */
  readonly token?: string
  /** What that function gives until the client says that this was refused. */
  readonly staleToken?: string
  readonly credentials?: 'include' | 'omit'
  readonly headers?: Record<string, string>
  /** Gives `createClient` an async function for the headers, which adds the number of its call. */
  readonly headersByFunction?: boolean
}

/** A file that the page makes: the same bytes each time. */
export interface PageFile {
  readonly name: string
  readonly type: string
  readonly size: number
  readonly lastModified: number
  /** The index of a byte that differs from those. */
  readonly changedAt?: number
}

/** Options of `upload`, as far as they are JSON. */
export interface PageUpload {
  readonly multipart?: boolean
  readonly sha256?: boolean
  readonly fileName?: string
  readonly directory?: string
  readonly metadata?: Record<string, string>
}

/** An error as the page can hand it on. */
export interface PageFault {
  readonly name: string
  readonly message: string
  /** Whether it is an instance of PresignerError, or of DOMException. */
  readonly type: 'PresignerError' | 'DOMException' | 'other'
  readonly code?: string | number
  readonly status?: number
  readonly requestId?: string
  readonly issues?: readonly { path: string; message: string }[]
}

/** How a call has ended: by a value or a fault. */
export type Outcome<T> = { value: T; fault: null } | { value: null; fault: PageFault }

/** `globalThis.page`: the client in Chromium, for the tests in Node. */
export interface ClientPage {
  /** Makes the client. */
  connect(options: PageClient): void
  /** How often the token was asked for. */
  tokenCalls(): number
  /** Starts an upload, and returns before it ends. */
  begin(file: PageFile, options?: PageUpload): void
  /** Starts an upload of the file that the page's input has. */
  beginChosen(options?: PageUpload): void
  /** Uploads so many files at the same time. Resolves with their records, in order. */
  uploadMany(count: number, file: PageFile): Promise<Outcome<FileRecord[]>>
  /** Aborts it. Resolves with milliseconds until it ended. */
  abort(): Promise<void>
  /** The end of it. */
  end(): Promise<Outcome<FileRecord>>
  /** Bytes sent as `onProgress` was told, without repetitions. */
  progress(): readonly number[]
  /** Messages of what stalled the upload, in order; an empty one where it went on. */
  stalls(): readonly string[]
  /** Uploads a Blob that is no File. */
  uploadBlob(text: string): Promise<Outcome<FileRecord>>
  /** Calls another method of the client. */
  call(
    method: 'list' | 'url' | 'link' | 'links' | 'record' | 'remove' | 'request',
    ...args: unknown[]
  ): Promise<Outcome<unknown>>
  /** Takes localStorage away. */
  forbidStorage(): void
  /** Lets what localStorage holds expire on that date. */
  expireStored(date: string): void
  /** Names of what localStorage holds. */
  stored(): readonly string[]
}
