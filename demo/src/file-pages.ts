import type { Client, FilePage, Folder, ListOptions } from '../../client/src/index.ts'
import type { FileLinks, GalleryFile } from './file-links.ts'

const PAGE_SIZE = 48

/** The next files, and the folders before them. */
export interface GalleryPage {
  readonly files: readonly GalleryFile[]
  readonly folders: readonly Folder[]
}

/** Pages of the index. */
export interface FilePages {
  /** Returns the next page, which is empty at the end. */
  next(): Promise<GalleryPage>
  readonly isAtEnd: boolean
}

/**
 * Reads the part of the index that `client` may read, or what `question` asks for. Each page takes
 * one request for the records, and one each for the links of pictures and of other files.
 */
export function createFilePages(
  client: Client,
  links: FileLinks,
  question: ListOptions,
): FilePages {
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
        page = await client.list({ ...question, limit: PAGE_SIZE, cursor: next })
        next = page.cursor
      } while (isEmpty(page) && next !== undefined) // an empty page may not be the last
      const files = await links.forTiles(page.files)
      cursor = next // Only now, so that a failed page is requested again.
      isAtEnd = next === undefined
      return { files, folders: page.folders ?? [] }
    },
  }
}

const isEmpty = ({ files, folders = [] }: FilePage): boolean =>
  files.length === 0 && folders.length === 0
