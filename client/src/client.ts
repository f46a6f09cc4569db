import {
  type FilePage,
  type FileRecord,
  type FileUrl,
  isAnything,
  isFilePage,
  isFileRecord,
  isFileUrl,
  isLink,
  isLinks,
  isNothing,
  type Link,
  type Links,
} from './answers.ts'
import { type ApiOptions, type ApiRequest, createApi } from './api.ts'
import type {
  LinkOptions,
  LinksOptions,
  ListOptions,
  RecordRequest,
  UrlOptions,
} from './requests.ts'
import { type UploadOptions, upload } from './upload.ts'

export interface ClientOptions extends ApiOptions {
  /** Alias of a bucket, as the Worker's configuration has it; the first one unless given. */
  readonly bucket?: string | undefined
}

/**
 * A Worker's API, for one of its buckets. Its methods throw PresignerError, and `upload` the reason
 * of its `signal`, too.
 */
export interface Client {
  readonly bucket: string | undefined
  /**
   * Uploads a file and records it. Faults that may pass are waited out. What fails all the same, or
   * ends with the page, goes on where it was when the same File is uploaded again within a week, if
   * it goes in parts.
   */
  upload(file: File | Blob, options?: UploadOptions): Promise<FileRecord>
  /** One page of the index. */
  list(options?: ListOptions): Promise<FilePage>
  /** A presigned GET. */
  url(key: string, options?: UrlOptions): Promise<FileUrl>
  /** A link that stays the same for a while, for `<img>` and email. */
  link(key: string, options?: LinkOptions): Promise<Link>
  /** Links to up to 1000 files. */
  links(keys: readonly string[], options?: LinksOptions): Promise<Links>
  /** Records an object that was uploaded by other means, under a name for people. */
  record(key: string, name: string): Promise<FileRecord>
  /** Deletes the object and its record. */
  remove(key: string): Promise<void>
  /** Any other request to the API, with the token. `path` begins with a slash. */
  request(method: 'GET' | 'POST' | 'DELETE', path: string, request?: ApiRequest): Promise<unknown>
}

/** A client of the Worker at `baseUrl`. */
export function createClient({ bucket, ...options }: ClientOptions): Client {
  const api = createApi(options)
  const pathOf = (key: string) => `/files/${encodeURIComponent(key)}`
  return {
    bucket,
    upload: (file, uploadOptions = {}) => upload(api, options.baseUrl, bucket, file, uploadOptions),
    list: (query) => api(isFilePage, 'GET', '/files', { query: { ...query, bucket } }),
    url: (key, query) =>
      api(isFileUrl, 'GET', `${pathOf(key)}/url`, { query: { ...query, bucket } }),
    link: (key, body = {}) =>
      api(isLink, 'POST', `${pathOf(key)}/link`, { query: { bucket }, body }),
    links: (keys, body) => api(isLinks, 'POST', '/links', { body: { ...body, keys, bucket } }),
    record(key, name) {
      const body: RecordRequest = { key, name, bucket }
      return api(isFileRecord, 'POST', '/files', { body })
    },
    remove: (key) => api(isNothing, 'DELETE', pathOf(key), { query: { bucket } }),
    request: (method, path, request) => api(isAnything, method, path, request),
  }
}
