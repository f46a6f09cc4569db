/** `npx edge-presigner export` saves the records of files below a prefix, through `GET /export`. */
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseOptions, runCommand, UsageError, WORKER_OPTIONS } from './command.ts'
import { downloadOf, foreignAnswer } from './worker-client.ts'

const USAGE = `npx edge-presigner export [--prefix PREFIX] [--format csv] [--out FILE]

--prefix PREFIX   what the keys start with: users/alice/ (all that the key may list)
--format FORMAT   ndjson, one JSON record a line, or csv for spreadsheets (ndjson)
--out FILE        where to save it (standard output)
--url URL         the Worker, or the presigner in your app: https://example.com/media
--key-from NAME   the variable with an API key that has the scope files:list
                  (EDGE_PRESIGNER_KEY). A Worker on this machine may need none
--bucket ALIAS    the bucket (the first one that the key may use)`

const TYPES = { ndjson: 'application/x-ndjson', csv: 'text/csv' }
const LAST_LINE = /(?:^|\n)\{"records":\d+\}\n$/
/** Longer than the last line. */
const TAIL_BYTES = 64

/** Runs `npx edge-presigner export` with these arguments. Resolves with the exit code. */
export const exportFiles = (args: readonly string[]): Promise<number> =>
  runCommand(async () => {
    const { help, prefix, format, out, url, bucket, 'key-from': keyName } = readArguments(args)
    if (help) {
      console.log(USAGE)
      return 0
    }
    if (format !== 'ndjson' && format !== 'csv')
      throw new UsageError(`--format must be ndjson or csv.\n\n${USAGE}`)
    const download = downloadOf({ url, keyName, scope: 'files:list', usage: USAGE })
    const { body, headers } = await download('/export', { prefix, format, bucket })
    // Unlike NDJSON, a CSV has no last line that tells it from a web page.
    if (body === null || !headers.get('Content-Type')?.startsWith(TYPES[format]))
      throw foreignAnswer()
    const needsEnd = format === 'ndjson'
    if (out === undefined) await save(body, process.stdout, needsEnd, false)
    else await saveAs(out, (file) => save(body, file, needsEnd, true))
    return 0
  })

const readArguments = (args: readonly string[]) =>
  parseOptions(
    {
      args: [...args],
      options: {
        ...WORKER_OPTIONS,
        prefix: { type: 'string' },
        format: { type: 'string', default: 'ndjson' },
        out: { type: 'string' },
        bucket: { type: 'string' },
      },
    },
    USAGE,
  ).values

/** Writes a file that only its owner can read. It has its name only when it is complete. */
async function saveAs(out: string, write: (file: Writable) => Promise<void>): Promise<void> {
  const part = `${out}.${process.pid}.part`
  try {
    await rm(part, { force: true })
    await write(createWriteStream(part, { flags: 'wx', mode: 0o600, flush: true }))
    await rename(part, out)
  } catch (error) {
    await rm(part, { force: true })
    if (error instanceof UsageError) throw error
    const code = error instanceof Error && 'code' in error ? error.code : error
    throw new UsageError(`${out} can't be written: ${code}.`)
  }
}

/** Writes the whole export. Throws UsageError if it was cut. */
async function save(
  body: ReadableStream<Uint8Array>,
  to: Writable,
  needsEnd: boolean,
  end: boolean,
): Promise<void> {
  let tail = Buffer.alloc(0)
  let isCut = false
  const chunks = async function* (): AsyncGenerator<Uint8Array, void> {
    try {
      for await (const chunk of body) {
        tail = Buffer.concat([tail, chunk.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES)
        yield chunk
      }
    } catch {
      isCut = true
    }
  }
  await pipeline(Readable.from(chunks()), to, { end })
  if (isCut || (needsEnd && !LAST_LINE.test(tail.toString())))
    throw new UsageError('The export was cut. Run this again.')
}

if (import.meta.main) process.exitCode = await exportFiles(process.argv.slice(2))
