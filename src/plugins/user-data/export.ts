import type { FileIndex } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'

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

/**
 * The starts of cells that a spreadsheet would read as formulas (OWASP, CSV Injection), also after
 * quotes and invisible characters, and in the wide forms that Excel accepts. A formula may also start after what a
 * program takes for a separator: where the comma is in numbers, Excel splits lines at semicolons, also in
 * quotes.
 */
const FORMULA = /(^|[;\t\r\n|])(?=["\s\p{C}]*[=+\-@＝＋－＠])|^(?=[\t\r\n])/gu
const NEEDS_QUOTES = /[",\r\n]/

/** Returns one cell (RFC 4180). An apostrophe in front makes a formula a text. */
function csvCell(value: string): string {
  const text = value.replace(FORMULA, "$1'")
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** Returns one line with its end. A missing value is an empty cell. */
export const csvLine = (values: readonly (string | number | null | undefined)[]): string =>
  `${values.map((value) => csvCell(String(value ?? ''))).join(',')}\r\n`

/**
 * The byte order mark before the header line. Without it, Excel reads UTF-8 as an old code page.
 * Programs should read NDJSON.
 */
const BOM = '\uFEFF'

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
