import { isNothing } from '../check.ts'
import type {
  CopyOptions,
  FileToRemove,
  FolderLinkOptions,
  LinkOptions,
  LinksOptions,
  RemoveOptions,
  StatsOptions,
  UrlOptions,
} from '../requests.ts'
import {
  type Deleted,
  type FileRecord,
  type FileUrl,
  type Folder,
  type FolderLink,
  isDeleted,
  isFilePage,
  isFileRecord,
  isFileUrl,
  isFolderLink,
  isLimits,
  isLink,
  isLinks,
  isRecordedFiles,
  isStats,
  type Limits,
  type Link,
  type Links,
  type ListedFile,
  type RecordedFile,
  type RecordedFiles,
  type Stats,
} from '../responses.ts'
import { type SharingCalls, sharingCalls } from '../sharing-calls.ts'
import type { DropBox, Grant, ReceivedFile } from '../sharing-responses.ts'
import { toDelete } from '../to-delete.ts'
import { type CallOptions, createServerApi, type ServerOptions } from './api.ts'
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
import type { DeletedAll } from './responses.ts'
import {
  type FileUrls,
  isFileUrls,
  isObjectPage,
  isPurged,
  isToken,
  isUploadUrls,
  type ObjectPage,
  type Purged,
  type Token,
  type UploadUrls,
} from './responses.ts'
import type { UploadSource } from './source.ts'
import { type ServerUploadOptions, upload } from './upload.ts'
import { verifyWebhook } from './webhook.ts'

/** The API's limits for the keys or files in one request. */
const MAX_SIGNED_KEYS = 1000
const MAX_CHANGED_FILES = 100
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
  extends Omit<SharingCalls, 'listGrants' | 'listDropBoxes' | 'listReceived'> {
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
  /** Returns a signed GET URL. */
  url(key: string, options?: UrlOptions & CallOptions): Promise<FileUrl>
  /** Returns signed GET URLs of any number of files. Sends one request for each 1000. */
  urls(
    keys: readonly string[],
    options?: Pick<UrlOptions, 'use' | 'expiresIn'> & CallOptions,
  ): Promise<FileUrls>
  /** Returns a link that stays the same for a while, for `<img>` and email. */
  link(key: string, options?: LinkOptions & CallOptions): Promise<Link>
  /** Returns links to any number of files. Sends one request for each 1000. */
  links(keys: readonly string[], options?: LinksOptions & CallOptions): Promise<Links>
  /** Returns the start of the URLs of all files below `prefix`, which ends with `/`. */
  folderLink(prefix: string, options?: FolderLinkOptions & CallOptions): Promise<FolderLink>
  /** Lists all files of the index. Fetches a page when the loop needs it. */
  list(options?: ListAllOptions & CallOptions): AsyncGenerator<ListedFile, void, undefined>
  /** Lists the folders directly below a prefix. Needs an index with `answers`. */
  listFolders(options?: FolderOptions & CallOptions): AsyncGenerator<Folder, void, undefined>
  /** Counts files and their bytes. Needs an index with `answers`, such as one in D1. */
  stats(options?: StatsOptions & CallOptions): Promise<Stats>
  /**
   * Lists what is in the bucket, recorded or not, page by page. Fetches a page when the loop needs
   * it. The API key needs the scope `objects:list`.
   */
  objects(options?: ObjectsOptions & CallOptions): AsyncGenerator<ObjectPage, void, undefined>
  /** Records an object that was uploaded by other means, under a display name. */
  record(key: string, name: string, options?: CallOptions): Promise<FileRecord>
  /**
   * Records any number of objects that were uploaded by other means. Sends one request for each 16.
   */
  recordMany(files: readonly FileToRecord[], options?: CallOptions): Promise<RecordedFiles>
  /** Changes the display name. */
  rename(key: string, name: string, options?: CallOptions): Promise<FileRecord>
  /** Copies a file to another key. The bucket's server copies the bytes. */
  copy(from: string, to: string, options?: CopyOptions & CallOptions): Promise<RecordedFile>
  /** Moves a file: copies it to another key, and then deletes the source. Repeat it if it failed. */
  move(from: string, to: string, options?: CopyOptions & CallOptions): Promise<RecordedFile>
  /** Deletes the object and its record. */
  remove(key: string, options?: RemoveOptions & CallOptions): Promise<void>
  /** Deletes any number of files. Sends one request for each 100. */
  removeMany(files: readonly (string | FileToRemove)[], options?: CallOptions): Promise<Deleted>
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
  /** Returns what the API key may do. */
  limits(options?: CallOptions): Promise<Limits>
  readonly verifyWebhook: typeof verifyWebhook
}

/**
 * Returns a client of the Worker at `baseUrl`. Throws PresignerError `invalid_options` for a
 * `baseUrl` or `apiKey` that can't be right, and in a browser.
 */
export function createServerClient({ bucket, ...options }: ServerClientOptions): ServerClient {
  const { api, open } = createServerApi(options)
  const pathOf = (key: string) => `/files/${encodeURIComponent(key)}`
  const sharing = sharingCalls(api, bucket)
  return {
    bucket,
    tokens: {
      create: (body, { signal } = {}) => api(isToken, 'POST', '/tokens', { body, signal }),
    },
    upload: (source, uploadOptions = {}) => upload({ api, bucket }, source, uploadOptions),
    async uploadUrls(files, { signal, expiresIn } = {}) {
      const answers = await inChunks(files, MAX_CHANGED_FILES, (chunk) => {
        const body = { files: chunk, expiresIn, bucket }
        return api(isUploadUrls, 'POST', '/files/upload-urls', { body, signal })
      })
      return { uploads: answers.flatMap(({ uploads }) => uploads) }
    },
    url: (key, { signal, ...query } = {}) =>
      api(isFileUrl, 'GET', `${pathOf(key)}/url`, { query: { ...query, bucket }, signal }),
    async urls(keys, { signal, ...asked } = {}) {
      const answers = await inChunks(keys, MAX_SIGNED_KEYS, (chunk) => {
        const body = { ...asked, keys: chunk, bucket }
        return api(isFileUrls, 'POST', '/files/urls', { body, signal })
      })
      const urls = answers.flatMap((answer) => answer.urls)
      const expiresIn = Math.min(
        ...answers.map((answer) => answer.expiresIn),
        answers.length && Infinity,
      )
      return { urls, expiresIn, expiresAt: earliest(answers) }
    },
    link: (key, { signal, ...body } = {}) =>
      api(isLink, 'POST', `${pathOf(key)}/link`, { query: { bucket }, body, signal }),
    async links(keys, { signal, ...asked } = {}) {
      const answers = await inChunks(keys, MAX_SIGNED_KEYS, (chunk) => {
        const body = { ...asked, keys: chunk, bucket }
        return api(isLinks, 'POST', '/links', { body, signal })
      })
      const links = answers.flatMap((answer) => answer.links)
      return { links, expiresAt: earliest(answers) }
    },
    folderLink: (prefix, { signal, ...body } = {}) =>
      api(isFolderLink, 'POST', '/links/folder', { body: { ...body, prefix, bucket }, signal }),
    async *list({ signal, pageSize: limit, ...asked } = {}) {
      const load = (cursor: string | undefined) => {
        const query = { ...asked, limit, cursor, bucket }
        return api(isFilePage, 'GET', '/files', { query, signal })
      }
      for await (const { files } of pages(load)) yield* files
    },
    async *listFolders({ signal, pageSize: limit, prefix } = {}) {
      const load = (cursor: string | undefined) => {
        const query = { prefix, delimiter: '/', limit, cursor, bucket }
        return api(isFilePage, 'GET', '/files', { query, signal })
      }
      for await (const { folders = [], files } of pages(load)) {
        yield* folders
        if (files.length > 0) return // Folders come before files.
      }
    },
    stats: ({ signal, ...query } = {}) =>
      api(isStats, 'GET', '/stats', { query: { ...query, bucket }, signal }),
    async *objects({ signal, pageSize: limit, ...asked } = {}) {
      const load = (cursor: string | undefined) => {
        const query = { ...asked, limit, cursor, bucket }
        return api(isObjectPage, 'GET', '/objects', { query, signal })
      }
      yield* pages(load)
    },
    ...sharing,
    async *listGrants({ signal, pageSize: limit } = {}) {
      const load = (cursor: string | undefined) => sharing.listGrants({ limit, cursor, signal })
      for await (const { grants, unavailable = [] } of pages(load)) {
        yield* grants
        for (const id of unavailable) yield sharing.getGrant(id, { signal })
      }
    },
    async *listDropBoxes({ signal, pageSize: limit } = {}) {
      const load = (cursor: string | undefined) => sharing.listDropBoxes({ limit, cursor, signal })
      for await (const { dropBoxes, unavailable = [] } of pages(load)) {
        yield* dropBoxes
        for (const id of unavailable) yield sharing.getDropBox(id, { signal })
      }
    },
    async *listReceived(id, { signal, pageSize: limit } = {}) {
      const load = (cursor: string | undefined) =>
        sharing.listReceived(id, { limit, cursor, signal })
      for await (const { files } of pages(load)) yield* files
    },
    record: (key, name, { signal } = {}) =>
      api(isFileRecord, 'POST', '/files', { body: { key, name, bucket }, signal }),
    async recordMany(files, { signal } = {}) {
      const answers = await inChunks(files, MAX_RECORDED_FILES, (chunk) =>
        api(isRecordedFiles, 'POST', '/files/batch', { body: { files: chunk, bucket }, signal }),
      )
      return { files: answers.flatMap((answer) => answer.files) }
    },
    copy: (from, to, { signal, ...file } = {}) =>
      api(isFileRecord, 'POST', '/files/copy', { body: { ...file, from, to, bucket }, signal }),
    move: (from, to, { signal, ...file } = {}) =>
      api(isFileRecord, 'POST', '/files/move', { body: { ...file, from, to, bucket }, signal }),
    rename: (key, name, { signal } = {}) =>
      api(isFileRecord, 'PATCH', pathOf(key), { body: { name, bucket }, signal }),
    remove: (key, { etag, signal } = {}) =>
      api(isNothing, 'DELETE', pathOf(key), { query: { etag, bucket }, signal }),
    async removeMany(files, { signal } = {}) {
      const answers = await inChunks(files, MAX_CHANGED_FILES, (chunk) =>
        api(isDeleted, 'POST', '/files/delete', { body: { ...toDelete(chunk), bucket }, signal }),
      )
      return { deleted: answers.flatMap(({ deleted }) => deleted) }
    },
    deleteAll: (options) => deleteAll(api, bucket, options),
    exportFiles: ({ signal, ...query } = {}) =>
      open('/export', { query: { ...query, bucket }, signal }),
    async purge(keys, { signal } = {}) {
      const answers = await inChunks(keys, MAX_CHANGED_FILES, (chunk) =>
        api(isPurged, 'POST', '/files/purge', { body: { keys: chunk, bucket }, signal }),
      )
      return { purged: answers.flatMap(({ purged }) => purged) }
    },
    limits: ({ signal } = {}) => api(isLimits, 'GET', '/limits', { signal }),
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

/** Sends one request after the other, each with at most `size` items. */
async function inChunks<Item, Answer>(
  items: readonly Item[],
  size: number,
  send: (chunk: Item[]) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = []
  for (let start = 0; start < items.length; start += size)
    answers.push(await send(items.slice(start, start + size)))
  return answers
}

/** Returns when the first answer expires; now if nothing was asked for. */
const earliest = (answers: readonly { readonly expiresAt: string }[]): string =>
  answers.map(({ expiresAt }) => expiresAt).sort()[0] ?? new Date().toISOString()
