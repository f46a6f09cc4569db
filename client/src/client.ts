import type { FilePage, FileRecord, RecordedFile } from './answers/files.ts'
import { isFilePage } from './answers/files.ts'
import type { Api } from './api.ts'
import type { ApiRequest, CallOptions, Method } from './call.ts'
import type { Check } from './check.ts'
import { isAnything } from './check.ts'
import { whenFree } from './copy-file.ts'
import { type FileCalls, fileCalls } from './file-calls.ts'
import { createHandle, type UploadHandle } from './handle.ts'
import type { ListOptions } from './requests.ts'
import { createSessions, type Session, type SessionOptions } from './session.ts'
import type { KeptFile } from './single.ts'
import { type StartOptions, turnsInParts, type UploadOptions, upload } from './upload.ts'

export interface ClientOptions extends SessionOptions {
  /** Alias of a bucket in the Worker's configuration. Default: the first one. */
  readonly bucket?: string | undefined
}

/** How often a running upload looks for another user. */
const WATCH_MILLISECONDS = 1000

/**
 * A Worker's API, for one of its buckets. Its methods throw PresignerError. `upload` also throws
 * the reason of its `signal`. `Data` is the type of what the app's `onEvent` returns as `data`.
 */
export interface Client<Data = unknown> extends FileCalls<Data> {
  readonly bucket: string | undefined
  /**
   * Returns the current session: the time in which one person uses this client. With `begin`, for
   * something new that the person does, starts another one after `end`.
   */
  session(act?: 'begin'): Session
  /**
   * Calls `listener` at the end of each session, which is the time to forget what the page shows of a
   * person. Returns a function that stops this.
   */
  onEnd(listener: () => void): () => void
  /** Calls `listener` when a session has begun. Returns a function that stops this. */
  onBegin(listener: () => void): () => void
  /**
   * Ends the session, when a user logs out. Cancels all requests and uploads. The parts of files stay
   * for this user, who can resume them later.
   */
  end(): void
  /**
   * Uploads a file and records it. Retries after temporary errors. If an upload in parts fails or
   * the page closes, the upload resumes when you upload the same File again within a week. `kept` has
   * what an earlier try has done: pass the same empty object to each of them.
   */
  upload(file: File | Blob, options?: UploadOptions, kept?: KeptFile): Promise<RecordedFile<Data>>
  /** Uploads a file like `upload`, with a handle that pauses, resumes and cancels it. */
  start(file: File | Blob, options?: StartOptions): UploadHandle<RecordedFile<Data>>
  /** Lists one page of the index. Sort, filters and folders need `answers`. */
  list(options?: ListOptions & CallOptions): Promise<FilePage>
  /** Sends any other request to the API, with the token. `path` starts with a slash. */
  request(method: Method, path: string, request?: ApiRequest): Promise<unknown>
  /** Sends a request whose response must pass `check`. Otherwise, the code is `bad_answer`. */
  request<T>(
    method: Method,
    path: string,
    request: ApiRequest & { readonly check: Check<T> },
  ): Promise<T>
}

/** Returns a client of the Worker at `baseUrl`. */
export function createClient<Data = unknown>({ bucket, ...options }: ClientOptions): Client<Data> {
  const { current, begin, onBegin, onEnd } = createSessions(options)
  const api: Api = async (...request) => begin().api(...request)
  const free = () => {
    const { api, sending } = begin()
    return whenFree(api, sending)
  }
  const { copy, move } = fileCalls<Data>(free, bucket)
  const inTurn = turnsInParts()
  function request<T>(
    method: Method,
    path: string,
    request: ApiRequest & { readonly check: Check<T> },
  ): Promise<T>
  function request(method: Method, path: string, request?: ApiRequest): Promise<unknown>
  function request(
    method: Method,
    path: string,
    request?: ApiRequest & { readonly check?: Check<unknown> },
  ): Promise<unknown> {
    return api(request?.check ?? isAnything, method, path, request)
  }
  return {
    ...fileCalls<Data>(() => begin().api, bucket),
    copy,
    move,
    bucket,
    session: (act) => (act ? begin() : current()),
    onBegin,
    onEnd,
    end: () => current().end(),
    ...uploadsWith(() => {
      const session = begin()
      const { signal: over } = session
      const run: Run = (file, uploadOptions, kept) => {
        if (current() === session) session.goOn()
        const watch = setInterval(current, WATCH_MILLISECONDS)
        return upload({ ...session, bucket, inTurn }, file, uploadOptions, kept).finally(() =>
          clearInterval(watch),
        )
      }
      return { run, over }
    }),
    list: ({ signal, ...query } = {}) =>
      api(isFilePage, 'GET', '/files', { query: { ...query, bucket }, signal }),
    request,
  }
}

type Run = (file: File | Blob, options: UploadOptions, kept: KeptFile) => Promise<FileRecord>

/** Returns both ways to upload a file. Each upload belongs to the session that `begin` returns. */
export const uploadsWith = (begin: () => { readonly run: Run; readonly over?: AbortSignal }) => ({
  upload: async (file: File | Blob, options: UploadOptions = {}, kept: KeptFile = {}) =>
    begin().run(file, options, kept),
  start(file: File | Blob, options: StartOptions = {}) {
    const { run, over } = begin()
    const kept: KeptFile = {}
    return createHandle((signal) => run(file, { ...options, signal }, kept), over)
  },
})
