import type {
  Deleted,
  FileRecord,
  FileUrl,
  FolderLink,
  Limits,
  Link,
  Links,
  RecordedFile,
  Stats,
} from './answers/files.ts'
import {
  isDeleted,
  isFileRecord,
  isFileUrl,
  isFolderLink,
  isLimits,
  isLink,
  isLinks,
  isStats,
} from './answers/files.ts'
import { type Call, type CallOptions, sendsOptions } from './call.ts'
import { isNothing } from './check.ts'
import type {
  CopyOptions,
  FileToRemove,
  FolderLinkOptions,
  LinkOptions,
  LinksOptions,
  RemoveOptions,
  StatsOptions,
  UrlOptions,
} from './requests.ts'

/** The API's limits for the keys or files in one request. */
export const MAX_SIGNED_KEYS = 1000
export const MAX_CHANGED_FILES = 100

/** What a page and a server can do with the files of a bucket. */
export interface FileCalls<Data = unknown> {
  /** Returns a signed GET URL. */
  url(key: string, options?: UrlOptions & CallOptions): Promise<FileUrl>
  /** Returns a link that stays the same for a while, for `<img>` and email. */
  link(key: string, options?: LinkOptions & CallOptions): Promise<Link>
  /** Returns links to any number of files. Sends one request for each 1000. */
  links(keys: readonly string[], options?: LinksOptions & CallOptions): Promise<Links>
  /** Returns the start of the URLs of all files below `prefix`, which ends with `/`. */
  folderLink(prefix: string, options?: FolderLinkOptions & CallOptions): Promise<FolderLink>
  /** Counts files and their bytes. Needs an index with `answers`, such as one in D1. */
  stats(options?: StatsOptions & CallOptions): Promise<Stats>
  /** Records an object that was uploaded by other means, under a display name. */
  record(key: string, name: string, options?: CallOptions): Promise<RecordedFile<Data>>
  /** Changes the display name. */
  rename(key: string, name: string, options?: CallOptions): Promise<FileRecord>
  /** Copies a file to another key. The bucket's server copies the bytes. */
  copy(from: string, to: string, options?: CopyOptions & CallOptions): Promise<RecordedFile<Data>>
  /** Moves a file: copies it to another key, and then deletes the source. Repeat it if it failed. */
  move(from: string, to: string, options?: CopyOptions & CallOptions): Promise<RecordedFile<Data>>
  /** Deletes the object and its record. */
  remove(key: string, options?: RemoveOptions & CallOptions): Promise<void>
  /**
   * Deletes any number of files. Sends one request for each 100. Resolves with an error for each key that
   * is not deleted.
   */
  removeMany(files: readonly (string | FileToRemove)[], options?: CallOptions): Promise<Deleted>
  /** Returns what the caller may do, for example to check a file before its upload. */
  limits(options?: CallOptions): Promise<Limits>
}

const pathOf = (key: string): string => `/files/${encodeURIComponent(key)}`

/** Returns the calls for files in one bucket. Each begins once, however many requests it sends. */
export function fileCalls<Data>(begin: () => Call, bucket: string | undefined): FileCalls<Data> {
  const sender = () => sendsOptions(begin())
  const send: ReturnType<typeof sender> = async (...request) => sender()(...request)
  return {
    url: (key, options) => send(isFileUrl, 'GET', `${pathOf(key)}/url`, options, { bucket }),
    link: async (key, { signal, ...body } = {}) =>
      begin()(isLink, 'POST', `${pathOf(key)}/link`, { query: { bucket }, body, signal }),
    async links(keys, options) {
      const send = sender()
      const answers = await inChunks(keys, MAX_SIGNED_KEYS, (chunk) =>
        send(isLinks, 'POST', '/links', options, { keys: chunk, bucket }),
      )
      return { links: answers.flatMap(({ links }) => links), expiresAt: earliest(answers) }
    },
    folderLink: (prefix, options) =>
      send(isFolderLink, 'POST', '/links/folder', options, { prefix, bucket }),
    stats: (options) => send(isStats, 'GET', '/stats', options, { bucket }),
    record: (key, name, options) =>
      send(isFileRecord, 'POST', '/files', options, { key, name, bucket }),
    rename: (key, name, options) =>
      send(isFileRecord, 'PATCH', pathOf(key), options, { name, bucket }),
    copy: (from, to, options) =>
      send(isFileRecord, 'POST', '/files/copy', options, { from, to, bucket }),
    move: (from, to, options) =>
      send(isFileRecord, 'POST', '/files/move', options, { from, to, bucket }),
    remove: (key, options) => send(isNothing, 'DELETE', pathOf(key), options, { bucket }),
    async removeMany(files, options) {
      const send = sender()
      const answers = await inChunks(files, MAX_CHANGED_FILES, (chunk) =>
        send(isDeleted, 'POST', '/files/delete', options, { files: chunk.map(toRemove), bucket }),
      )
      return { deleted: answers.flatMap(({ deleted }) => deleted) }
    },
    limits: (options) => send(isLimits, 'GET', '/limits', options),
  }
}

const toRemove = (file: string | FileToRemove) => (typeof file === 'string' ? { key: file } : file)

/** Sends one request after the other, each with at most `size` items. */
export async function inChunks<Item, Answer>(
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
export const earliest = (answers: readonly { readonly expiresAt: string }[]): string =>
  answers.map(({ expiresAt }) => expiresAt).sort()[0] ?? new Date().toISOString()
