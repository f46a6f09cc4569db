import type { FileRecord, Folder } from './answers/files.ts'
import type { Client } from './client.ts'
import { announce, type FileChange, onChange, recentChanges } from './file-changes.ts'
import { asError, PresignerError } from './presigner-error.ts'
import type { LinksOptions, ListQuestion } from './requests.ts'
import { createStore, type Store } from './store.ts'

/** How long the links of new files are collected, and the time between two requests for them. */
const COLLECT_MILLISECONDS = 100
const LINK_PAUSE_MILLISECONDS = 3000

export type FilePagesOptions = ListQuestion & {
  /** Files of a page: 1 to 1000. Default: 100. */
  readonly limit?: number | undefined
  /** Adds a `link` to each file, for `<img>`. Needs the scope `links:create`, and `files:read` for originals. */
  readonly links?: boolean | LinksOptions | undefined
}

export interface ShownFile extends FileRecord {
  /** Only with `links`, and if the API allows a link to this file. */
  readonly link?: string | undefined
  /** For `<img srcset>`. Only with `widths` in `links`. */
  readonly srcset?: string | undefined
}

export interface FilesState {
  /**
   * The loaded pages. Newly uploaded files come first. With a question (anything but `prefix` and
   * `limit`), an upload or a rename loads the first page again.
   */
  readonly files: readonly ShownFile[]
  /** Only with `delimiter`: the folders of the loaded pages. */
  readonly folders: readonly Folder[]
  /** `loading` until the first page is loaded, or `failed` if it can't be loaded. */
  readonly status: 'loading' | 'ready' | 'failed'
  /** Whether a page is being loaded: the first, the next, or the first again. */
  readonly isFetching: boolean
  /** Whether `loadMore` finds more files. */
  readonly hasMore: boolean
  /** Why the last action failed. The next action clears it. */
  readonly error: Error | undefined
}

/** Functions that stay the same for the same client and options. Their promises never reject. */
export interface FileActions {
  /** Loads the next page. */
  loadMore(): Promise<void>
  /** Loads the first page again, and replaces the list by it. */
  refresh(): Promise<void>
  /** Shows a file that was recorded in another way, such as with Uppy, in all lists of the client. */
  add(record: FileRecord): void
  /**
   * Deletes a file. It disappears at once, and comes back if the API can't delete it. Resolves with
   * whether the file is deleted.
   */
  remove(key: string): Promise<boolean>
}

export interface FilePages extends Store<FilesState>, FileActions {}

/**
 * Returns a list that loads its first page when somebody subscribes. It is empty at the end of the
 * user's session.
 */
export function createFilePages(client: Client, options: FilePagesOptions): FilePages {
  const session = client.session()
  const { links, ...query } = options
  const { prefix, limit: _, ...question } = query
  /** Whether only the index knows which files the list has, and in which order. */
  const isQuestion = Object.values(question).some((value) => value !== undefined)
  /** Whether the links of new files will be requested, or are, and when they last were. */
  let isLinking = false
  let linkedAt = 0
  const removals = new Map<string, Promise<boolean>>()
  let files: readonly ShownFile[] = []
  let folders: readonly Folder[] = []
  let status: FilesState['status'] = 'loading'
  let cursor: string | undefined
  let error: Error | undefined
  /** The latest request for a page. Earlier ones are canceled, and their responses are ignored. */
  let fetching: Promise<void> | undefined
  let controller = new AbortController()
  /** Whether a file has changed since the request began that may change the answer to the question. */
  let isOutdated = false
  let subscribers = 0
  let stopListening = () => {}

  const store = createStore(() => ({
    files: files.filter(({ key }) => !removals.has(key)),
    folders,
    status,
    isFetching: fetching !== undefined || status === 'loading',
    hasMore: cursor !== undefined,
    error,
  }))

  /** Requests the page at `from`, and calls `show` with its files, if it is still wanted. */
  function fetchPage(
    from: string | undefined,
    show: (page: readonly ShownFile[], folders: readonly Folder[]) => void,
  ): Promise<void> {
    controller.abort()
    controller = new AbortController()
    const { signal } = controller
    const load = async () => {
      for (let next = from; ; ) {
        const page = await client.list({ ...query, cursor: next, signal })
        next = page.cursor
        // A page may be empty although more follow.
        if (page.files.length || page.folders?.length || next === undefined)
          return { ...page, files: await withLinks(page.files) }
      }
    }
    const done = (act: () => void) => {
      if (signal.aborted) return
      fetching = undefined
      act()
      store.changed()
      if (isOutdated) void refresh()
    }
    fetching = load().then(
      (page) =>
        done(() => {
          cursor = page.cursor
          status = 'ready'
          show(page.files, page.folders ?? [])
          linkSoon()
        }),
      (thrown) =>
        done(() => {
          error = asError(thrown)
          if (status === 'loading') status = 'failed'
        }),
    )
    error = undefined
    if (status === 'failed') status = 'loading'
    store.changed()
    return fetching
  }

  function refresh(): Promise<void> {
    isOutdated = false
    return fetchPage(undefined, (page, pageFolders) => {
      folders = pageFolders
      files = recentChanges(session).reduce(changed, page)
    })
  }

  /** Returns `shown` after a change by this page. */
  function changed(shown: readonly ShownFile[], { key, record }: FileChange): readonly ShownFile[] {
    const others = shown.filter((file) => file.key !== key)
    if (record === null) return others
    if (others.length < shown.length) return shown.map((file) => (file.key === key ? record : file))
    return !isQuestion && key.startsWith(prefix ?? '') ? [record, ...shown] : shown
  }

  /** Adds the links of files that the page has just uploaded, of many in one request. */
  function linkSoon(): void {
    if (!links || isLinking || files.every((file) => 'link' in file)) return
    isLinking = true
    const pause = linkedAt + LINK_PAUSE_MILLISECONDS - Date.now()
    setTimeout(linkNewFiles, Math.max(COLLECT_MILLISECONDS, pause))
  }

  async function linkNewFiles(): Promise<void> {
    linkedAt = Date.now()
    const unlinked = files.filter((file) => !('link' in file))
    const linked = await withLinks(unlinked).catch((thrown) => {
      error = asError(thrown)
      return unlinked.map((file) => ({ ...file, link: undefined }))
    })
    files = files.map((file) => linked[unlinked.indexOf(file)] ?? file)
    isLinking = false
    store.changed()
    linkSoon()
  }

  async function withLinks(records: readonly FileRecord[]): Promise<readonly ShownFile[]> {
    if (!links) return records
    const keys = records.map(({ key }) => key)
    const linked = (await client.links(keys, links === true ? undefined : links)).links
    return records.map((record, index) => {
      const { link, srcset } = { link: undefined, srcset: undefined, ...linked[index] }
      return { ...record, link, srcset }
    })
  }

  function forget(): void {
    controller.abort()
    files = folders = []
    cursor = fetching = undefined
    status = 'failed'
    error = session.signal.reason
    store.changed()
  }

  return {
    ...store,
    subscribe(listener) {
      const unsubscribe = store.subscribe(listener)
      if (subscribers++ === 0) {
        stopListening = onChange(session, (change) => {
          files = changed(files, change)
          store.changed()
          linkSoon()
          if (!isQuestion || change.record === null) return
          // One request at a time, even while many files are uploaded.
          if (fetching) isOutdated = true
          else void refresh()
        })
        session.signal.addEventListener('abort', forget)
        // Not again when React mounts a component twice, as in StrictMode.
        if (session.signal.aborted) forget()
        else if (!fetching) void refresh()
      }
      return () => {
        unsubscribe()
        if (--subscribers > 0) return
        stopListening()
        session.signal.removeEventListener('abort', forget)
        // Not when React mounts a component twice, as in StrictMode.
        setTimeout(() => {
          if (subscribers > 0) return
          controller.abort()
          fetching = undefined
        })
      }
    },
    refresh,
    async loadMore() {
      if (fetching) return fetching
      if (cursor === undefined) return
      await fetchPage(cursor, (page, pageFolders) => {
        folders = [...folders, ...pageFolders]
        const shown = new Set(files.map(({ key }) => key))
        const ofPage = ({ key }: { readonly key: string }) => page.some((file) => file.key === key)
        const current = recentChanges(session).filter(ofPage).reduce(changed, page)
        files = [...files, ...current.filter(({ key }) => !shown.has(key))]
      })
    },
    add: (record) => announce(session, record.key, record),
    remove(key) {
      const known = removals.get(key)
      if (known) return known
      error = undefined
      const removal = client
        .remove(key)
        .then(
          () => {
            announce(session, key, null)
            return true
          },
          (thrown) => {
            error = asError(thrown)
            const isDeleted = thrown instanceof PresignerError && thrown.deleted
            if (isDeleted) announce(session, key, null)
            return isDeleted
          },
        )
        .finally(() => {
          removals.delete(key)
          store.changed()
        })
      removals.set(key, removal)
      store.changed()
      return removal
    },
  }
}
