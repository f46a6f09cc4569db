import type { FileIndex } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'
import { BOM, csvLine } from './csv.ts'

/** Records on a page of the index. This is the limit of Workers KV. */
const PAGE = 1000

/** How records are written. */
export interface Format {
  readonly contentType: string
  readonly start: string
  line(record: FileRecord): string
  /** Returns the end, so that a reader notices a missing one. */
  end(records: number): string
}

const COLUMNS = [
  'key',
  'bucket',
  'name',
  'size',
  'mimetype',
  'etag',
  'owner',
  'createdAt',
  'status',
] as const satisfies readonly (keyof FileRecord)[]

export const FORMATS = {
  ndjson: {
    contentType: 'application/x-ndjson',
    start: '',
    line: (record) => `${JSON.stringify(record)}\n`,
    end: (records) => `${JSON.stringify({ records })}\n`,
  },
  csv: {
    contentType: 'text/csv; charset=utf-8; header=present',
    start: BOM + csvLine(COLUMNS),
    line: (record) => csvLine(COLUMNS.map((column) => record[column])),
    end: () => '',
  },
} as const satisfies Record<string, Format>

/**
 * Returns the records of all keys that start with `prefix` as a stream, one page in memory. Resolves
 * after the first page, and throws what the index throws. The stream fails if the index fails later, so
 * that nobody takes a part for the whole. `onUnreadable` gets the number of entries that are left out.
 */
export async function exportRecords(
  index: FileIndex,
  { bucket, prefix }: { readonly bucket: string; readonly prefix: string },
  { start, line, end }: Format,
  on: {
    readonly unreadable: (entries: number) => void
    readonly failure: (error: unknown) => void
  },
): Promise<ReadableStream<Uint8Array>> {
  const load = async (cursor: string | undefined) => {
    const page = await index.list({ bucket, prefix, limit: PAGE, cursor })
    if (page.unreadable > 0) on.unreadable(page.unreadable)
    return page
  }
  const encoder = new TextEncoder()
  let page: Awaited<ReturnType<typeof load>> | undefined = await load(undefined)
  let text = start
  let count = 0
  let cursor: string | undefined
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          // A page may be empty, but a stream that gets nothing doesn't ask again.
          do {
            page ??= await load(cursor)
            for (const record of page.records) text += line(record)
            count += page.records.length
            cursor = page.cursor
            page = undefined
          } while (text === '' && cursor !== undefined)
          if (cursor === undefined) text += end(count)
          if (text !== '') controller.enqueue(encoder.encode(text))
          text = ''
          if (cursor === undefined) controller.close()
        } catch (error) {
          on.failure(error)
          controller.error(error)
        }
      },
    },
    { highWaterMark: 0 },
  )
}
