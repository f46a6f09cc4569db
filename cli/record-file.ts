/** Files with records of an index: backups, and logs of dropped records. Only their owner can read them. */
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
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

const FORMAT = { format: 'edge-presigner index', version: 1 }
/** The first and the last line of a backup. Without the last one, it is incomplete. */
export const FIRST_LINE = JSON.stringify(FORMAT)
const lastLineSchema = z.strictObject({ records: z.number() })
/** The first line of a log. It grows, so it has no last line, and a crash may cut its last record. */
const FIRST_LINE_OF_LOG = JSON.stringify({ ...FORMAT, isLog: true })

/**
 * Yields the records in a backup, or in a log, where a key may appear again. Throws UsageError for
 * any other file, or if the end of a backup is missing.
 */
export async function* recordsIn(file: string): AsyncGenerator<IndexRecord, void> {
  const handle = await openFile(file, 'r')
  let number = 0
  let end: number | undefined
  let isLog = false
  let invalid: number | undefined
  try {
    for await (const line of linesIn(handle)) {
      number += 1
      if (number === 1) {
        isLog = line === FIRST_LINE_OF_LOG
        if (!isLog && line !== FIRST_LINE) break
        continue
      }
      if (end !== undefined || invalid !== undefined) break
      // Two commands may have begun the log at the same moment.
      if (isLog && line === FIRST_LINE_OF_LOG) continue
      const value = jsonOf(line)
      const last = lastLineSchema.safeParse(value)
      const record = recordSchema.safeParse(value)
      if (record.success) yield record.data
      else if (last.success && !isLog) end = last.data.records
      else invalid = number
    }
  } finally {
    await handle.close()
  }
  // A cut last line of a log was never complete, so its record was not dropped.
  const isCut = isLog && invalid === number
  if (invalid !== undefined && !isCut)
    throw new UsageError(`${file}: line ${invalid} is not a record.`)
  if (!isLog && (end === undefined || end !== number - 2))
    throw new UsageError(`${file} is not a backup of an index, or not a complete one.`)
}

/**
 * Appends records to a log, which it creates if it is missing, and repairs if its last line is cut.
 * Resolves when they are on the disk.
 */
export async function appendToLog(file: string, records: readonly IndexRecord[]): Promise<void> {
  const handle = await openFile(file, 'a+')
  try {
    const { size } = await handle.stat()
    const isNew = (await repaired(handle, file, size)) === 0
    const lines = [
      ...(isNew ? [FIRST_LINE_OF_LOG] : []),
      ...records.map((one) => JSON.stringify(one)),
    ]
    await handle.appendFile(`${lines.join('\n')}\n`)
    await handle.sync()
    if (isNew) await syncFolder(dirname(file))
  } catch (error) {
    throw writeError(file, error)
  } finally {
    await handle.close()
  }
}

/** Removes a cut last line of a log. Resolves with the size that the file then has, in bytes. */
async function repaired(handle: FileHandle, file: string, size: number): Promise<number> {
  if (size === 0) return 0
  const start = Buffer.alloc(Math.min(size, FIRST_LINE_OF_LOG.length + 1))
  await handle.read(start, 0, start.length, 0)
  if (!`${FIRST_LINE_OF_LOG}\n`.startsWith(start.toString()))
    throw new UsageError(`${file} is not a log of dropped records. Move it away.`)
  const end = await lastLineStart(handle, size)
  if (end === size) return size
  const rest = Buffer.alloc(size - end)
  await handle.read(rest, 0, rest.length, end)
  // An editor may have left out the line break.
  if (end > 0 && recordSchema.safeParse(jsonOf(rest.toString())).success) {
    await handle.appendFile('\n')
    return size + 1
  }
  await handle.truncate(end)
  return end
}

const CHUNK = 64 * 1024

/** Resolves with the position after the last line break. */
async function lastLineStart(handle: FileHandle, size: number): Promise<number> {
  const chunk = Buffer.alloc(CHUNK)
  for (let end = size; end > 0; end -= CHUNK) {
    const from = Math.max(0, end - CHUNK)
    await handle.read(chunk, 0, end - from, from)
    const found = chunk.subarray(0, end - from).lastIndexOf(0x0a)
    if (found !== -1) return from + found + 1
  }
  return 0
}

/** Makes sure that a new name in a folder survives a power failure, where the system can do that. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined)
  await handle?.sync().catch(() => undefined)
  await handle?.close()
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
export async function openFile(file: string, flags: 'wx' | 'r' | 'a+'): Promise<FileHandle> {
  try {
    return await open(file, flags, 0o600)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : ''
    if (code === 'EEXIST') throw new UsageError(`${file} exists already.`)
    throw new UsageError(`${file} can't be opened: ${code}.`)
  }
}
