import type { Client, FilePage, FileRecord } from '../../client/src/index.ts'
import { PresignerError } from '../../client/src/index.ts'

const PAGE_SIZE = 48

/** A file of the index, and a link to its bytes where the token may make links. */
export interface GalleryFile {
  readonly record: FileRecord
  readonly link: string | undefined
}

/** The index from its start, newest first, page by page. */
export interface FilePages {
  /** The next files; none where the end is reached. */
  next(): Promise<readonly GalleryFile[]>
  readonly isAtEnd: boolean
}

/**
 * Reads the index that `client` may see. Two requests a page: the records, then a link for each.
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
      } while (page.files.length === 0 && next !== undefined) // a page may be empty and not the last
      const files = await linked(client, page.files)
      cursor = next // not before: what fails is asked for again
      isAtEnd = next === undefined
      return files
    },
  }
}

/** `records` with their links, in the same order. */
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
