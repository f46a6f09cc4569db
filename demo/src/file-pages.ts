import type { Client, FilePage, FileRecord } from '../../client/src/index.ts'
import { PresignerError } from '../../client/src/index.ts'

const PAGE_SIZE = 48

/** A file of the index. `link` is undefined if the token may not make links. */
export interface GalleryFile {
  readonly record: FileRecord
  readonly link: string | undefined
}

/** Pages of the index, newest first. */
export interface FilePages {
  /** Returns the next files, and none at the end. */
  next(): Promise<readonly GalleryFile[]>
  readonly isAtEnd: boolean
}

/**
 * Reads the part of the index that `client` may read. Each page takes two requests: one for the
 * records, one for their links.
 */
export function createFilePages(client: Client): FilePages {
  let cursor: string | undefined
  let isAtEnd = false
  return {
    get isAtEnd() {
      return isAtEnd
    },
    async next() {
      let page: FilePage
      let next = cursor
      do {
        page = await client.list({ limit: PAGE_SIZE, cursor: next })
        next = page.cursor
      } while (page.files.length === 0 && next !== undefined) // an empty page may not be the last
      const files = await linked(client, page.files)
      cursor = next // Only now, so that a failed page is requested again.
      isAtEnd = next === undefined
      return files
    },
  }
}

/** Returns Returns `records` with their links, in the same order. */
export async function linked(
  client: Client,
  records: readonly FileRecord[],
): Promise<readonly GalleryFile[]> {
  if (records.length === 0) return []
  const links = await linksTo(
    client,
    records.map(({ key }) => key),
  )
  return records.map((record) => ({ record, link: links.get(record.key) }))
}

async function linksTo(client: Client, keys: readonly string[]): Promise<Map<string, string>> {
  try {
    const { links } = await client.links(keys)
    return new Map(links.flatMap((made) => ('link' in made ? [[made.key, made.link]] : [])))
  } catch (error) {
    // A token without links:create may still list.
    if (error instanceof PresignerError && error.code === 'forbidden') return new Map()
    throw error
  }
}
