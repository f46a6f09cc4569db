/** What a test sets before an upload. */
export interface UppySettings {
  /** Companion's URL, or null for `signRequest`. */
  readonly endpoint: string | null
  /** The Worker and a token for it, for `signRequest`. */
  readonly presigner: { readonly baseUrl: string; readonly token: string }
  /** Whether `signRequest` comes from the client package's helpers, or from four lines of code. */
  readonly helpers: boolean
  /** Sent with each request to Companion, if the version supports it. */
  readonly headers: Readonly<Record<string, string>>
  /** Whether the browser sends cookies, if the version supports it. */
  readonly cookies?: boolean
  /** Which package uploads, if the version has two. */
  readonly plugin?: 'aws-s3' | 'aws-s3-multipart'
  readonly multipart: boolean
  /** Keeps files and uploads across a reload of the page. */
  readonly golden: boolean
}

/** The state of the page's only file. */
export interface UppyState {
  readonly bytesUploaded: number
  readonly partsUploaded: number
  /** The upload that succeeded last. */
  readonly success: { readonly key: string; readonly uploadURL: string } | null
  /** The keys of all that succeeded; empty when the version passes on none. */
  readonly keys: readonly string[]
  readonly error: string | null
  /** The number of files in any state. */
  readonly files: number
}

/** `globalThis.page` of both pages: the same for each version of Uppy. */
export interface UppyPage {
  /** Creates a new Uppy. */
  start(settings: UppySettings): void
  /** Adds files of `size` bytes, made by `patternBytes`, with `meta`, and uploads them. */
  upload(
    names: readonly string[],
    type: string,
    size: number,
    meta?: Readonly<Record<string, unknown>>,
  ): void
  /** Sets another endpoint, as docs/uppy.md shows for this version. */
  renew(endpoint: string): void
  /** Retries failed uploads. */
  retry(): void
  pause(): void
  resume(): void
  cancel(): void
  /** Accepts the restored upload. */
  confirmRestored(): void
  state(): UppyState
}
