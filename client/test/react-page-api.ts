import type { FileRecord } from '../src/answers/files.ts'
import type { PageClient, PageFile } from './page-api.ts'

/** What the hooks returned last, as JSON. Errors are messages. */
export interface PageState {
  readonly uploads: {
    readonly status: 'idle' | 'uploading' | 'paused' | 'failed' | 'done'
    readonly loaded: number
    readonly total: number
    readonly progress: number
    readonly uploads: readonly {
      readonly id: number
      readonly name: string
      readonly status: string
      readonly progress: number
      readonly error: string
      readonly record?: FileRecord
    }[]
  }
  readonly files: {
    readonly files: readonly (FileRecord & { readonly link?: string; readonly srcset?: string })[]
    readonly status: 'loading' | 'ready' | 'failed'
    readonly isFetching: boolean
    readonly hasMore: boolean
    readonly error: string
  }
  /** How often the component was rendered, twice each time in StrictMode. */
  readonly renders: number
  /** Keys, in the order of the calls of `onUploaded`. */
  readonly uploaded: readonly string[]
  /** Messages, in the order of the calls of `onError`. */
  readonly failed: readonly string[]
}

/** What `useDropBox` returned last, as JSON. */
export interface BoxState {
  readonly access: string
  readonly accessError: string
  readonly box?: { readonly title: string; readonly left: { readonly files: number } }
  readonly status: string
  readonly loaded: number
  readonly total: number
}

export interface PageMount extends PageClient {
  /** Creates a client in each render, as an app should not. */
  readonly clientInRender?: boolean
  readonly prefix?: string
  readonly q?: string
  readonly limit?: number
  readonly links?: boolean | { readonly widths: number[] }
  readonly multipart?: boolean
  /** HTML from a server, to hydrate. */
  readonly html?: string
  /** Renders the mounted component again, with these options and the same client. */
  readonly again?: boolean
  /** Cancels all uploads when the component unmounts. */
  readonly cancels?: boolean
  /** Lets `onUploaded` throw. */
  readonly throws?: boolean
}

/** `globalThis.reactPage`: the hooks in Chromium, for the tests in Node. */
export interface ReactPage {
  /** Renders a component with both hooks in StrictMode, with a new client. */
  mount(options: PageMount): void
  unmount(): void
  state(): PageState
  /** Whether every function of the hooks is the same as at the first `state()`. */
  hasSameActions(): boolean
  /** Ends the session of the client. */
  endSession(): void
  /** Adds files, and returns their ids. */
  add(files: readonly PageFile[]): readonly number[]
  /** Calls a function of `useUpload`. */
  uploads(action: 'pause' | 'resume' | 'cancel' | 'retry' | 'dismiss', id?: number): void
  /** Calls a function of `useFiles`, and waits for it. */
  files(action: 'loadMore' | 'refresh' | 'remove', key?: string): Promise<unknown>
  /** Renders a drop box in StrictMode, in place of the other hooks. */
  mountBox(url: string): void
  box(): BoxState
  openBox(visitor: {
    readonly password?: string
    readonly sender?: { readonly name: string; readonly note?: string }
  }): Promise<boolean>
  addToBox(files: readonly PageFile[]): void
  /** Errors that React recovered from, such as HTML that differs from a server's. */
  recovered(): readonly string[]
}
