import { type ApiOptions, type ApiRequest, createApi } from './api.ts'
import { type Check, isNothing } from './check.ts'
import { copyFile } from './copy-file.ts'
import type {
  CopyOptions,
  FileToRemove,
  FolderLinkOptions,
  LinkOptions,
  LinksOptions,
  ListOptions,
  RecordRequest,
  RemoveOptions,
  StatsOptions,
  UrlOptions,
} from './requests.ts'
import {
  type Deleted,
  type FilePage,
  type FileRecord,
  type FileUrl,
  type FolderLink,
  isAnything,
  isDeleted,
  isFilePage,
  isFileRecord,
  isFileUrl,
  isFolderLink,
  isLimits,
  isLink,
  isLinks,
  isStats,
  type Limits,
  type Link,
  type Links,
  type RecordedFile,
  type Stats,
} from './responses.ts'
import { toDelete } from './to-delete.ts'
import { type UploadOptions, upload } from './upload.ts'

export interface ClientOptions extends ApiOptions {
  /** Alias of a bucket in the Worker's configuration. Default: the first one. */
  readonly bucket?: string | undefined
}

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/**
 * A Worker's API, for one of its buckets. Its methods throw PresignerError. `upload` also throws
 * the reason of its `signal`.
 */
export interface Client {
  readonly bucket: string | undefined
  /**
   * Uploads a file and records it. Retries after temporary errors. If an upload in parts fails or
   * the page closes, the upload resumes when you upload the same File again within a week.
   */
  upload(file: File | Blob, options?: UploadOptions): Promise<RecordedFile>
  /** Lists one page of the index. Sort, filters and folders need `answers`. `signal` cancels it. */
  list(options?: ListOptions & Pick<ApiRequest, 'signal'>): Promise<FilePage>
  /** Counts files and their bytes. Needs an index with `answers`, such as one in D1. */
  stats(options?: StatsOptions): Promise<Stats>
  /** Returns a signed GET URL. */
  url(key: string, options?: UrlOptions): Promise<FileUrl>
  /** Returns a link that stays the same for a while, for `<img>` and email. */
  link(key: string, options?: LinkOptions): Promise<Link>
  /** Returns links to up to 1000 files. */
  links(keys: readonly string[], options?: LinksOptions): Promise<Links>
  /** Returns the start of the URLs of all files below `prefix`, which ends with `/`. */
  folderLink(prefix: string, options?: FolderLinkOptions): Promise<FolderLink>
  /** Records an object that was uploaded by other means, under a display name. */
  record(key: string, name: string): Promise<RecordedFile>
  /** Changes the display name in the index. */
  rename(key: string, name: string): Promise<FileRecord>
  /** Copies a file to another key. The bucket's server copies the bytes. */
  copy(from: string, to: string, options?: CopyOptions): Promise<RecordedFile>
  /** Moves a file: copies it to another key, and then deletes the source. Repeat it if it failed. */
  move(from: string, to: string, options?: CopyOptions): Promise<RecordedFile>
  /** Deletes the object and its record. */
  remove(key: string, options?: RemoveOptions): Promise<void>
  /** Deletes up to 100 files. Resolves with an error for each key that is not deleted. */
  removeMany(files: readonly (string | FileToRemove)[]): Promise<Deleted>
  /** Returns what the caller may do, for example to check a file before its upload. */
  limits(): Promise<Limits>
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
export function createClient({ bucket, ...options }: ClientOptions): Client {
  const api = createApi(options)
  const pathOf = (key: string) => `/files/${encodeURIComponent(key)}`
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
    bucket,
    upload: (file, uploadOptions = {}) => upload(api, options.baseUrl, bucket, file, uploadOptions),
    list: ({ signal, ...query } = {}) =>
      api(isFilePage, 'GET', '/files', { query: { ...query, bucket }, signal }),
    stats: (query) => api(isStats, 'GET', '/stats', { query: { ...query, bucket } }),
    url: (key, query) =>
      api(isFileUrl, 'GET', `${pathOf(key)}/url`, { query: { ...query, bucket } }),
    link: (key, body = {}) =>
      api(isLink, 'POST', `${pathOf(key)}/link`, { query: { bucket }, body }),
    links: (keys, body) => api(isLinks, 'POST', '/links', { body: { ...body, keys, bucket } }),
    folderLink: (prefix, body) =>
      api(isFolderLink, 'POST', '/links/folder', { body: { ...body, prefix, bucket } }),
    record: (key, name) =>
      api(isFileRecord, 'POST', '/files', {
        body: { key, name, bucket } satisfies RecordRequest,
      }),
    rename: (key, name) => api(isFileRecord, 'PATCH', pathOf(key), { body: { name, bucket } }),
    copy: (from, to, body) => copyFile(api, 'copy', { ...body, from, to, bucket }),
    move: (from, to, body) => copyFile(api, 'move', { ...body, from, to, bucket }),
    removeMany: (files) =>
      api(isDeleted, 'POST', '/files/delete', { body: { ...toDelete(files), bucket } }),
    remove: (key, { etag } = {}) =>
      api(isNothing, 'DELETE', pathOf(key), { query: { etag, bucket } }),
    limits: () => api(isLimits, 'GET', '/limits'),
    request,
  }
}
