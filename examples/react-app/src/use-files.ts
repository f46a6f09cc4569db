import type { Client, FileRecord } from 'edge-presigner-client'
import { useEffect, useState } from 'react'
import { explain } from './explain'

export interface ShownFile extends FileRecord {
  /** Works in `<img>` and `<a>`. */
  readonly link: string
}

export interface Files {
  /** Newest first. Undefined until they are loaded. */
  readonly files: readonly ShownFile[] | undefined
  readonly hasMore: boolean
  /** A message for the user. Empty without an error. */
  readonly error: string
  loadMore(): Promise<void>
  /** Shows a file that was just uploaded. */
  add(record: FileRecord): Promise<void>
  remove(key: string): Promise<void>
}

/** Loads the user's files, each with a link. */
export function useFiles(client: Client): Files {
  const [files, setFiles] = useState<readonly ShownFile[]>()
  const [cursor, setCursor] = useState<string>()
  const [error, setError] = useState('')

  useEffect(() => {
    let isCurrent = true
    loadPage(client).then(
      (page) => {
        if (!isCurrent) return
        setFiles(page.files)
        setCursor(page.cursor)
      },
      (reason) => {
        if (isCurrent) setError(explain(reason))
      },
    )
    return () => {
      isCurrent = false
    }
  }, [client])

  async function attempt(act: () => Promise<void>) {
    setError('')
    await act().catch((reason) => setError(explain(reason)))
  }

  return {
    files,
    hasMore: cursor !== undefined,
    error,
    loadMore: () =>
      attempt(async () => {
        const page = await loadPage(client, cursor)
        setFiles((all = []) => [...all, ...page.files])
        setCursor(page.cursor)
      }),
    add: (record) =>
      attempt(async () => {
        const added = await withLinks(client, [record])
        setFiles((all = []) => [...added, ...all])
      }),
    remove: (key) =>
      attempt(async () => {
        await client.remove(key)
        setFiles((all = []) => all.filter((file) => file.key !== key))
      }),
  }
}

async function loadPage(client: Client, cursor?: string) {
  const page = await client.list({ limit: 50, cursor })
  return { files: await withLinks(client, page.files), cursor: page.cursor }
}

/** Requests the links of all `records` at once. */
async function withLinks(client: Client, records: readonly FileRecord[]): Promise<ShownFile[]> {
  if (records.length === 0) return []
  const { links } = await client.links(records.map(({ key }) => key))
  const linkOf = new Map(links.map((each) => [each.key, 'link' in each ? each.link : '']))
  return records.map((record) => ({ ...record, link: linkOf.get(record.key) ?? '' }))
}
