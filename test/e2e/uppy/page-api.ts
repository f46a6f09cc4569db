/** What a test asks of the page, before an upload. */
export interface UppySettings {
  /** Companion's URL; or null for `signRequest`. */
  readonly endpoint: string | null
  /** The Worker and a token for it, for `signRequest`. */
  readonly presigner: { readonly baseUrl: string; readonly token: string }
  /** Whether our client's helpers make `signRequest`, or four lines by hand. */
  readonly helpers: boolean
  /** Sent with each request to Companion, where the version can. */
  readonly headers: Readonly<Record<string, string>>
  /** Whether the browser shall send cookies, where the version can. */
  readonly cookies?: boolean
  /** Which package uploads, where the version has two. */
  readonly plugin?: 'aws-s3' | 'aws-s3-multipart'
  readonly multipart: boolean
  /** Keeps files and uploads over a reload of the page. */
  readonly golden: boolean
}

/** What the page knows of its one file. */
export interface UppyState {
  readonly bytesUploaded: number
  readonly partsUploaded: number
  /** The upload that succeeded last. */
  readonly success: { readonly key: string; readonly uploadURL: string } | null
  /** Keys of all that succeeded; empty where the version hands on none. */
  readonly keys: readonly string[]
  readonly error: string | null
  /** Files that are there, of any state. */
  readonly files: number
}

/** `globalThis.page` of both pages: the same for each version of Uppy. */
export interface UppyPage {
  /** Makes a new Uppy. */
  start(settings: UppySettings): void
  /** Adds files of `size` bytes, made by `patternBytes`, with `meta`, and uploads them. */
  upload(
    names: readonly string[],
    type: string,
    size: number,
    meta?: Readonly<Record<string, unknown>>,
  ): void
  /** Gives Uppy another endpoint, in the way that docs/uppy.md shows for this version. */
  renew(endpoint: string): void
  /** Tries again what failed. */
  retry(): void
  pause(): void
  resume(): void
  cancel(): void
  /** Says yes to the restored upload. */
  confirmRestored(): void
  state(): UppyState
}
