/** What a test sets, besides the upload. */
export interface UppySetup {
  readonly baseUrl: string
  readonly token: string
  readonly multipart: boolean
  readonly sha256?: boolean
  readonly directory?: string
}

/** The state of the page's only file. */
export interface UppyOutcome {
  /** The events in order: those of Uppy, and `record KEY`. */
  readonly events: readonly string[]
  /** The messages about what it waited for, in order. An empty message means that it continued. */
  readonly stalls: readonly string[]
  readonly partsUploaded: number
  readonly error: string | null
}

/** `globalThis.page` of the page with Uppy. */
export interface UppyHelperPage {
  /** Adds a file of `size` bytes with this metadata, and uploads it. */
  upload(setup: UppySetup, size: number, meta: Record<string, unknown>): void
  pause(): void
  resume(): void
  retry(): void
  outcome(): UppyOutcome
}
