import type { FileRecord, Folder, ListedFile } from '../answers/files.ts'
import { isFilePage } from '../answers/files.ts'
import type {
  FileUrls,
  ObjectPage,
  Purged,
  RecordedFiles,
  Token,
  UploadUrls,
} from '../answers/server.ts'
import {
  isFileUrls,
  isObjectPage,
  isPurged,
  isRecordedFiles,
  isToken,
  isUploadUrls,
} from '../answers/server.ts'
import type { DropBox, Grant, ReceivedFile } from '../answers/sharing.ts'
import { isDropBoxPage, isGrantPage, isReceivedPage } from '../answers/sharing.ts'
import { type CallOptions, sendsOptions } from '../call.ts'
import type { Check } from '../check.ts'
import {
  earliest,
  type FileCalls,
  fileCalls,
  inChunks,
  MAX_CHANGED_FILES,
  MAX_SIGNED_KEYS,
} from '../file-calls.ts'
import type { UrlOptions } from '../requests.ts'
import { type SharingCalls, sharingCalls } from '../sharing-calls.ts'
import { createServerApi, type ServerOptions } from './api.ts'
import type { DeletedAll } from './delete-all.ts'
import { type DeleteAllOptions, deleteAll } from './delete-all.ts'
import type {
  ExportOptions,
  FileToRecord,
  FileToUpload,
  FolderOptions,
  ListAllOptions,
  ObjectsOptions,
  TokenRequest,
} from './requests.ts'
import type { UploadSource } from './source.ts'
import { type ServerUploadOptions, upload } from './upload.ts'
import { verifyWebhook } from './webhook.ts'

/** The API accepts 20. With webhooks, Cloudflare's free plan allows 16. */
const MAX_RECORDED_FILES = 16

export interface ServerClientOptions extends ServerOptions {
  /** Alias of a bucket. Default: the first one that the key may use. */
  readonly bucket?: string | undefined
}

/** How the lists of grants and drop boxes are fetched. */
export interface SharingListOptions extends CallOptions {
  /** Items in one request: 1 to 100. Default: 50. */
  readonly pageSize?: number | undefined
}

/**
 * A Worker's API for server code, for one of its buckets. Its methods throw PresignerError, and the
 * reason of `signal`. They retry after temporary errors.
 */
export interface ServerClient
  extends FileCalls,
    Omit<SharingCalls, 'listGrants' | 'listDropBoxes' | 'listReceived'> {
  readonly bucket: string | undefined
  readonly tokens: {
    /** Creates a token for a page or an app, with some of the rights of the API key. */
    create(request: TokenRequest, options?: CallOptions): Promise<Token>
  }
  /**
   * Uploads bytes, a Blob, a stream or a file on disk, and records it. Large and unknown sources go
   * in parts. A failed upload is aborted in the bucket.
   */
  upload(source: UploadSource, options?: ServerUploadOptions): Promise<FileRecord>
  /** Returns upload URLs for any number of files. Sends one request for each 100. */
  uploadUrls(
    files: readonly FileToUpload[],
    options?: CallOptions & { readonly expiresIn?: number | undefined },
  ): Promise<UploadUrls>
  /** Returns signed GET URLs of any number of files. Sends one request for each 1000. */
  urls(
    keys: readonly string[],
    options?: Pick<UrlOptions, 'use' | 'expiresIn'> & CallOptions,
  ): Promise<FileUrls>
  /** Lists all files of the index. Fetches a page when the loop needs it. */
  list(options?: ListAllOptions & CallOptions): AsyncGenerator<ListedFile, void, undefined>
  /** Lists the folders directly below a prefix. Needs an index with `answers`. */
  listFolders(options?: FolderOptions & CallOptions): AsyncGenerator<Folder, void, undefined>
  /**
   * Lists what is in the bucket, recorded or not, page by page. Fetches a page when the loop needs
   * it. The API key needs the scope `objects:list`.
   */
  objects(options?: ObjectsOptions & CallOptions): AsyncGenerator<ObjectPage, void, undefined>
  /**
   * Records any number of objects that were uploaded by other means. Sends one request for each 16.
   */
  recordMany(files: readonly FileToRecord[], options?: CallOptions): Promise<RecordedFiles>
  /**
   * Deletes everything below a prefix that is older than a date: objects, records, older versions and
   * unfinished uploads. Repeats requests until nothing is left. The API key needs `files:delete-all`.
   */
  deleteAll(options: DeleteAllOptions): Promise<DeletedAll>
  /**
   * Returns a response whose body streams all records below a prefix. It fails if the Worker can't read
   * all of them. NDJSON ends with the line `{"records": …}`.
   */
  exportFiles(options?: ExportOptions & CallOptions): Promise<Response>
  /**
   * Removes the edge copies of any number of objects, so that links show the current objects. Sends one
   * request for each 100.
   */
  purge(keys: readonly string[], options?: CallOptions): Promise<Purged>
  /** Lists the caller's grants, the newest first. Fetches a page when the loop needs it. */
  listGrants(options?: SharingListOptions): AsyncGenerator<Grant, void, undefined>
  /** Lists the caller's drop boxes, the newest first. Fetches a page when the loop needs it. */
  listDropBoxes(options?: SharingListOptions): AsyncGenerator<DropBox, void, undefined>
  /** Lists what a drop box received. Fetches a page when the loop needs it. */
  listReceived(
    id: string,
    options?: SharingListOptions,
  ): AsyncGenerator<ReceivedFile, void, undefined>
  readonly verifyWebhook: typeof verifyWebhook
}

/**
 * Returns a client of the Worker at `baseUrl`. Throws PresignerError `invalid_options` for a
 * `baseUrl` or `apiKey` that can't be right, and in a browser.
 */
export function createServerClient({ bucket, ...options }: ServerClientOptions): ServerClient {
  const { api, open } = createServerApi(options)
  const send = sendsOptions(api)
  const sharing = sharingCalls(api, bucket)
  const all = <Page extends { readonly cursor?: string | undefined }>(
    check: Check<Page>,
    path: string,
    { pageSize: limit, ...asked }: SharingListOptions = {},
    members?: object,
  ) => pages((cursor) => send(check, 'GET', path, asked, { ...members, limit, cursor }))
  return {
    ...fileCalls(() => api, bucket),
    ...sharing,
    bucket,
    tokens: {
      create: (request, asked) => send(isToken, 'POST', '/tokens', asked, request),
    },
    upload: (source, uploadOptions = {}) => upload({ api, bucket }, source, uploadOptions),
    async uploadUrls(files, asked) {
      const answers = await inChunks(files, MAX_CHANGED_FILES, (chunk) =>
        send(isUploadUrls, 'POST', '/files/upload-urls', asked, { files: chunk, bucket }),
      )
      return { uploads: answers.flatMap(({ uploads }) => uploads) }
    },
    async urls(keys, asked) {
      const answers = await inChunks(keys, MAX_SIGNED_KEYS, (chunk) =>
        send(isFileUrls, 'POST', '/files/urls', asked, { keys: chunk, bucket }),
      )
      const urls = answers.flatMap((answer) => answer.urls)
      const expiresIn = Math.min(
        ...answers.map((answer) => answer.expiresIn),
        answers.length && Infinity,
      )
      return { urls, expiresIn, expiresAt: earliest(answers) }
    },
    async *list(asked) {
      for await (const { files } of all(isFilePage, '/files', asked, { bucket })) yield* files
    },
    async *listFolders(asked) {
      const members = { delimiter: '/', bucket }
      for await (const { folders = [], files } of all(isFilePage, '/files', asked, members)) {
        yield* folders
        if (files.length > 0) return // Folders come before files.
      }
    },
    objects: (asked) => all(isObjectPage, '/objects', asked, { bucket }),
    async *listGrants(asked) {
      for await (const { grants, unavailable = [] } of all(isGrantPage, '/grants', asked)) {
        yield* grants
        for (const id of unavailable) yield sharing.getGrant(id, { signal: asked?.signal })
      }
    },
    async *listDropBoxes(asked) {
      const boxes = all(isDropBoxPage, '/drop-boxes', asked)
      for await (const { dropBoxes, unavailable = [] } of boxes) {
        yield* dropBoxes
        for (const id of unavailable) yield sharing.getDropBox(id, { signal: asked?.signal })
      }
    },
    async *listReceived(id, asked) {
      const path = `/drop-boxes/${encodeURIComponent(id)}/files`
      for await (const { files } of all(isReceivedPage, path, asked)) yield* files
    },
    async recordMany(files, asked) {
      const answers = await inChunks(files, MAX_RECORDED_FILES, (chunk) =>
        send(isRecordedFiles, 'POST', '/files/batch', asked, { files: chunk, bucket }),
      )
      return { files: answers.flatMap((answer) => answer.files) }
    },
    deleteAll: (options) => deleteAll(api, bucket, options),
    exportFiles: ({ signal, ...query } = {}) =>
      open('/export', { query: { ...query, bucket }, signal }),
    async purge(keys, asked) {
      const answers = await inChunks(keys, MAX_CHANGED_FILES, (chunk) =>
        send(isPurged, 'POST', '/files/purge', asked, { keys: chunk, bucket }),
      )
      return { purged: answers.flatMap(({ purged }) => purged) }
    },
    verifyWebhook,
  }
}

/** Loads one page after the other, when the loop needs it. */
async function* pages<Page extends { readonly cursor?: string | undefined }>(
  load: (cursor: string | undefined) => Promise<Page>,
): AsyncGenerator<Page, void, undefined> {
  let cursor: string | undefined
  do {
    const page = await load(cursor)
    yield page
    cursor = page.cursor
  } while (cursor !== undefined)
}
