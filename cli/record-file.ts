/** Backups of an index: files with records. Only their owner can read them. */
import { type FileHandle, open } from 'node:fs/promises'
import * as z from 'zod/mini'
import { UsageError } from './command.ts'
import { jsonOf } from './worker-client.ts'

export const recordSchema = z.strictObject({
  key: z.string(),
  bucket: z.string(),
  name: z.string(),
  size: z.number(),
  mimetype: z.string(),
  etag: z.string(),
  owner: z.nullable(z.string()),
  createdAt: z.string(),
  status: z.optional(z.literal('found')),
})

export type IndexRecord = z.infer<typeof recordSchema>

/** The first and the last line of a backup. Without the last one, it is incomplete. */
export const FIRST_LINE = JSON.stringify({ format: 'edge-presigner index', version: 1 })
const lastLineSchema = z.strictObject({ records: z.number() })

/** Yields the records in a backup. Throws UsageError for any other file, or if its end is missing. */
export async function* recordsIn(file: string): AsyncGenerator<IndexRecord, void> {
  const handle = await openFile(file, 'r')
  let number = 0
  let end: number | undefined
  try {
    for await (const line of linesIn(handle)) {
      number += 1
      if (number === 1 && line !== FIRST_LINE) break
      if (number === 1) continue
      if (end !== undefined) break
      const value = jsonOf(line)
      const last = lastLineSchema.safeParse(value)
      const record = recordSchema.safeParse(value)
      if (record.success) yield record.data
      else if (last.success) end = last.data.records
      else throw new UsageError(`${file}: line ${number} is not a record.`)
    }
  } finally {
    await handle.close()
  }
  if (end === undefined || end !== number - 2)
    throw new UsageError(`${file} is not a backup of an index, or not a complete one.`)
}

/** Yields the lines of a file. Those of Node also end at U+2028 and U+2029, which a key may have. */
async function* linesIn(handle: FileHandle): AsyncGenerator<string, void> {
  let rest = ''
  for await (const text of handle.createReadStream({ encoding: 'utf8', autoClose: false })) {
    const lines = `${rest}${text}`.split(/\r?\n/)
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') yield rest
}

/** Returns the error with a message for the user, such as for a full disk. */
export function writeError(file: string, error: unknown): unknown {
  if (error instanceof UsageError || !(error instanceof Error && 'code' in error)) return error
  return new UsageError(`${file} can't be written: ${error.code}.`)
}

/** Opens a file that only its owner can read, if it is new. Throws UsageError if that fails. */
export async function openFile(file: string, flags: 'wx' | 'r'): Promise<FileHandle> {
  try {
    return await open(file, flags, 0o600)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : ''
    if (code === 'EEXIST') throw new UsageError(`${file} exists already.`)
    throw new UsageError(`${file} can't be opened: ${code}.`)
  }
}
