import type { Client, FilePage } from '../../client/src/index.ts'
import type { FileLinks, GalleryFile } from './file-links.ts'

const PAGE_SIZE = 48

/** Pages of the index, newest first. */
export interface FilePages {
  /** Returns the next files, and none at the end. */
  next(): Promise<readonly GalleryFile[]>
  readonly isAtEnd: boolean
}

/**
 * Reads the part of the index that `client` may read. Each page takes one request for the records,
 * and one each for the links of pictures and of other files.
 */
export function createFilePages(client: Client, links: FileLinks): FilePages {
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
      const files = await links.forTiles(page.files)
      cursor = next // Only now, so that a failed page is requested again.
      isAtEnd = next === undefined
      return files
    },
  }
}
