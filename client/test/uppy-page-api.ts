/** What a test asks of the page, beside an upload. */
export interface UppySetup {
  readonly baseUrl: string
  readonly token: string
  readonly multipart: boolean
  readonly sha256?: boolean
  readonly directory?: string
}

/** What the page knows of its one file. */
export interface UppyOutcome {
  /** Events in their order: those of Uppy, and `record KEY`. */
  readonly events: readonly string[]
  /** Messages of what it waited for, in order; an empty one where it went on. */
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
