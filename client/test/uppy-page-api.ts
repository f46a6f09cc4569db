/** What a test needs from the page, in addition to an upload. */
export interface UppySetup {
  readonly baseUrl: string
  readonly token: string
  readonly multipart: boolean
  readonly sha256?: boolean
  readonly directory?: string
}

/** The state of the page's only file. */
export interface UppyOutcome {
  /** Events in order: Uppy's own, and `record KEY`. */
  readonly events: readonly string[]
  /** Messages of what it waited for, in order. An empty one if it continued. */
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
