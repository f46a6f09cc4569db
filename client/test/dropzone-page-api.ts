import type { PageClient } from './page-api.ts'

/** What of a drop zone is JSON. */
export interface DropzoneMount extends PageClient {
  readonly props?: {
    readonly accept?: string
    readonly multiple?: boolean
    readonly directory?: boolean
    readonly maxFiles?: number
    readonly locale?: string
    readonly disabled?: boolean
    readonly thumbnails?: false
    readonly className?: string
  }
  readonly multipart?: boolean
  /** Uploads each file to this key. */
  readonly key?: string
  /** Shows the texts in Arabic, from right to left. */
  readonly isArabic?: boolean
  /** HTML from a server, to hydrate. */
  readonly html?: string
  /** Renders the mounted component again, with the same client. */
  readonly again?: boolean
  /** With another client, then. */
  readonly otherClient?: boolean
}

/** `globalThis.dropzonePage`: a drop zone in Chromium, for the tests in Node. */
export interface DropzonePage {
  /** Renders a drop zone in StrictMode, with a new client. */
  mount(options: DropzoneMount): void
  unmount(): void
  /** Ends the session of the client. */
  endSession(): void
  /** How often it was rendered. */
  renders(): number
  /** Keys, in the order of the calls of `onUploaded`. */
  uploaded(): readonly string[]
  /** Paths of the files that were added, as `fileOptions` sees them. */
  paths(): readonly string[]
  /** What the live region has said, in order. */
  said(): readonly string[]
  /** Errors that React recovered from, such as HTML that differs from a server's. */
  recovered(): readonly string[]
}
