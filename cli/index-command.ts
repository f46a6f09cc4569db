/**
 * `npx edge-presigner index` copies the records of files between the indexes of a Worker, and saves and
 * restores them, through `GET /index` and `PUT /index`.
 */
import { rm } from 'node:fs/promises'
import * as z from 'zod/mini'
import { parseOptions, runCommand, UsageError, WORKER_OPTIONS } from './command.ts'
import { counted } from './counted.ts'
import { printable } from './printable.ts'
import { progressLine } from './progress.ts'
import {
  FIRST_LINE,
  type IndexRecord,
  openFile,
  recordSchema,
  recordsIn,
  writeError,
} from './record-file.ts'
import { type Walking, walkPass } from './upkeep-walk.ts'
import { type Worker, workerOf } from './worker-client.ts'

const USAGE = `npx edge-presigner index copy --from NAME --to NAME [--overwrite]
npx edge-presigner index backup FILE --from NAME
npx edge-presigner index restore FILE --to NAME [--overwrite]
npx edge-presigner index import --prefix PREFIX [--owner TEMPLATE] [--owner-as TEMPLATE] [--restart]

NAME is an index of the Worker: kv or d1.
--url URL         the Worker, or the presigner in your app: https://example.com/media
--key-from NAME   the variable with an API key that has the scope index:write
                  (EDGE_PRESIGNER_KEY), for import upkeep:run. A Worker on this machine
                  may need none
--bucket ALIAS    only the records of this bucket (those of all). import records the objects of
                  one bucket (the first one)
--overwrite       replaces also records of the same object, such as with another name
--prefix PREFIX   import records the objects whose keys start with it, such as photos/
--owner TEMPLATE  where the owner is in a key, such as 'users/{owner}/'
--owner-as TEMPLATE  the owner's id in records, such as 'key:app/{owner}' ({owner})
--restart         import starts again from the beginning, instead of going on
copy, restore and import can be interrupted and repeated: they send what is missing.
The Worker goes on with an import. A record
of a file that is no longer in the bucket is left out.`

const PAGE = 1000
/** How many records one PUT has, and how many PUTs are sent at once. */
const RECORDS = 12
const AT_ONCE = 4
/** If this many passes were not enough, something else keeps changing the records. */
const MAX_PASSES = 5

const pageSchema = z.object({
  buckets: z.array(z.string()),
  records: z.array(recordSchema),
  unreadable: z.number(),
  cursor: z.optional(z.string()),
})

const putSchema = z.object({
  records: z.array(
    z.union([
      z.object({ key: z.string(), outcome: z.enum(['stored', 'kept', 'gone']) }),
      z.object({ key: z.string(), error: z.object({ code: z.string(), message: z.string() }) }),
    ]),
  ),
})

/** What has happened to the records of a pass. */
interface Counts {
  read: number
  stored: number
  kept: number
  gone: number
  refused: number
}

/** Runs `npx edge-presigner index` with these arguments. Resolves with the exit code. */
export const index = (args: readonly string[]): Promise<number> =>
  runCommand(async () => {
    const { values, positionals } = readArguments(args)
    const [command, file, ...rest] = positionals
    if (values.help) {
      console.log(USAGE)
      return 0
    }
    const { from, to } = values
    const takesFile = command === 'backup' || command === 'restore'
    const extra = takesFile ? rest[0] : file
    if (extra !== undefined) throw new UsageError(`Unexpected argument "${extra}".\n\n${USAGE}`)
    if (command === undefined) throw new UsageError(USAGE)
    if (!takesFile && command !== 'copy' && command !== 'import')
      throw new UsageError(`Unknown command "${command}".\n\n${USAGE}`)
    const needed = (value: string | undefined, name: string): string => {
      if (value !== undefined) return value
      throw new UsageError(`${command} needs ${name}.\n\n${USAGE}`)
    }
    const scope = command === 'import' ? 'upkeep:run' : 'index:write'
    const { url, 'key-from': keyName } = values
    const worker = workerOf({ url, keyName, scope, usage: USAGE })
    if (command === 'import') {
      const { bucket, restart, owner, 'owner-as': ownerAs } = values
      const prefix = needed(values.prefix, '--prefix')
      // An empty one is a mistake, and the Worker refuses it.
      const owners = {
        ...(owner !== undefined && { owner }),
        ...(ownerAs !== undefined && { ownerAs }),
      }
      return await importObjects({
        ...{ worker, bucket, restart, wait: true, import: { prefix, ...owners } },
      })
    }
    const name = takesFile ? needed(file, 'a file') : ''
    const pass = { worker, bucket: values.bucket, overwrite: values.overwrite }
    if (command === 'backup') return await backup(pass, needed(from, '--from'), name)
    if (command === 'restore') return await restore(pass, needed(to, '--to'), name)
    return await copy(pass, needed(from, '--from'), needed(to, '--to'))
  })

const readArguments = (args: readonly string[]) =>
  parseOptions(
    {
      args: [...args],
      allowPositionals: true,
      options: {
        ...WORKER_OPTIONS,
        from: { type: 'string' },
        to: { type: 'string' },
        bucket: { type: 'string' },
        overwrite: { type: 'boolean', default: false },
        prefix: { type: 'string' },
        owner: { type: 'string' },
        'owner-as': { type: 'string' },
        restart: { type: 'boolean', default: false },
      },
    },
    USAGE,
  )

interface Pass {
  readonly worker: Worker
  /** Undefined for all buckets. */
  readonly bucket: string | undefined
  readonly overwrite: boolean
}

/** Returns the buckets to work on. */
async function bucketsOf({ worker, bucket }: Pass, from: string): Promise<readonly string[]> {
  if (bucket !== undefined) return [bucket]
  return (await worker(pageSchema, 'GET', '/index', { from, limit: '1' })).buckets
}

/** Yields all records of an index in the byte order of their keys, which every index lists in. */
async function* recordsOf(
  { worker }: Pass,
  from: string,
  bucket: string,
): AsyncGenerator<IndexRecord, void> {
  let cursor: string | undefined
  do {
    const query = { from, bucket, limit: String(PAGE), cursor }
    const page = await worker(pageSchema, 'GET', '/index', query)
    if (page.unreadable > 0)
      console.error(
        `${counted(page.unreadable, `entry of ${from} is no record`, `entries of ${from} are no records`)}.`,
      )
    yield* page.records
    cursor = page.cursor
  } while (cursor !== undefined)
}

/** A record to send. `isCheck` asks only whether its object is there, and never replaces a record. */
interface Sending {
  readonly record: IndexRecord
  readonly isCheck: boolean
}

/**
 * Yields the records that one index has and the other lacks, or has in another form. What only the
 * target has comes too: the Worker then looks for its object.
 */
async function* differences(
  pass: Pass,
  from: string,
  to: string,
  bucket: string,
  onRead: () => void,
): AsyncGenerator<Sending, void> {
  const there = recordsOf(pass, to, bucket)
  let other = await there.next()
  for await (const record of recordsOf(pass, from, bucket)) {
    onRead()
    while (!other.done && byteOrder(other.value.key, record.key) < 0) {
      yield { record: other.value, isCheck: true }
      other = await there.next()
    }
    const same = !other.done && other.value.key === record.key ? other.value : undefined
    if (same === undefined || textOf(same) !== textOf(record)) yield { record, isCheck: false }
    if (same !== undefined) other = await there.next()
  }
  while (!other.done) {
    yield { record: other.value, isCheck: true }
    other = await there.next()
  }
}

const byteOrder = (one: string, two: string): number =>
  Buffer.compare(Buffer.from(one), Buffer.from(two))

const textOf = (record: IndexRecord): string => JSON.stringify(Object.entries(record).toSorted())

/** Sends `records` in pages, some at once, and counts what happened to them. */
async function send(
  { worker, overwrite }: Pass,
  to: string,
  records: AsyncIterable<Sending>,
  counts: Counts,
  onSent: () => void,
): Promise<void> {
  const open = new Set<Promise<void>>()
  const pages = new Map<string, { records: IndexRecord[]; overwrite: boolean }>()
  let failure: { readonly error: unknown } | undefined
  const untilOpen = async (atMost: number): Promise<void> => {
    while (open.size > atMost) await Promise.race(open)
    if (failure !== undefined) throw failure.error
  }
  const flush = async (page: { records: IndexRecord[]; overwrite: boolean }): Promise<void> => {
    await untilOpen(AT_ONCE - 1)
    const put = worker(
      putSchema,
      'PUT',
      '/index',
      {},
      { to, bucket: page.records[0]?.bucket, ...page },
    )
    const counted: Promise<void> = put
      .then((answer) => {
        for (const one of answer.records) {
          counts['error' in one ? 'refused' : one.outcome] += 1
          if ('error' in one)
            console.error(printable(`${JSON.stringify(one.key)}: ${one.error.message}`))
        }
        onSent()
      })
      // The next record may take a while, and nobody waits for this one until then.
      .catch((error: unknown) => {
        failure ??= { error }
      })
      .finally(() => open.delete(counted))
    open.add(counted)
  }
  try {
    for await (const { record, isCheck } of records) {
      const name = JSON.stringify([record.bucket, isCheck])
      const page = pages.get(name) ?? { records: [], overwrite: overwrite && !isCheck }
      pages.set(name, page)
      page.records.push(record)
      if (page.records.length < RECORDS) continue
      pages.delete(name)
      await flush(page)
    }
    for (const page of pages.values()) await flush(page)
    await untilOpen(0)
  } catch (error) {
    await Promise.allSettled(open)
    throw error
  }
}

const emptyCounts = (): Counts => ({ read: 0, stored: 0, kept: 0, gone: 0, refused: 0 })

/**
 * Copies until a pass changes nothing: the second one finds what has changed during the first one, and
 * shows that every record has arrived.
 */
async function copy(pass: Pass, from: string, to: string): Promise<number> {
  if (from === to) throw new UsageError('--from and --to must be different indexes.')
  const buckets = await bucketsOf(pass, from)
  let total: number | undefined
  for (let round = 1; round <= MAX_PASSES; round += 1) {
    const counts = emptyCounts()
    const show = progress(`Pass ${round}`, counts, total)
    for (const bucket of buckets) {
      const onRead = () => {
        counts.read += 1
        if (counts.read % PAGE === 0) show(false)
      }
      await send(pass, to, differences(pass, from, to, bucket, onRead), counts, () => show(false))
    }
    show(true)
    total = counts.read
    if (counts.stored > 0 || (round === 1 && counts.gone > 0)) continue
    console.log(`${to} has every record of ${from}${exceptions(counts)}.`)
    return counts.refused === 0 ? 0 : 1
  }
  console.error('Records keep changing, or show up late. Run this again in a minute.')
  return 1
}

/** Says which records of the source the target lacks, or has in another form. */
function exceptions({ kept, gone, refused }: Counts): string {
  const parts = [
    kept > 0 ? `keeps ${kept} of its own` : [],
    gone > 0 ? `without ${gone} whose file is gone` : [],
    refused > 0 ? `without ${refused} that it refused` : [],
  ].flat()
  return parts.map((part) => `, ${part}`).join('')
}

/** Returns a function that shows the counts. */
function progress(what: string, counts: Counts, total: number | undefined) {
  const show = progressLine(what, 10 * PAGE, total)
  return (isEnd: boolean): void => {
    const { read, stored, kept, gone, refused } = counts
    show(
      read,
      `${read} read, ${stored} stored, ${kept} kept, ${gone} gone, ${refused} refused`,
      isEnd,
    )
  }
}

/** Writes all records to a new file that only its owner can read. */
async function backup(pass: Pass, from: string, file: string): Promise<number> {
  const buckets = await bucketsOf(pass, from)
  const handle = await openFile(file, 'wx')
  const counts = emptyCounts()
  const show = progress('Backup', counts, undefined)
  try {
    let lines = [FIRST_LINE]
    const write = async (): Promise<void> => {
      await handle.appendFile(`${lines.join('\n')}\n`)
      lines = []
      show(false)
    }
    for (const bucket of buckets)
      for await (const record of recordsOf(pass, from, bucket)) {
        counts.read += 1
        lines.push(JSON.stringify(record))
        if (lines.length >= PAGE) await write()
      }
    lines.push(JSON.stringify({ records: counts.read }))
    await write()
    await handle.sync()
  } catch (error) {
    await rm(file)
    throw writeError(file, error)
  } finally {
    await handle.close()
  }
  console.log(`\n${file} has ${counted(counts.read, 'record')} of ${from}.`)
  return 0
}

/** Sends the records in a file, after checking that it is complete. */
async function restore(pass: Pass, to: string, file: string): Promise<number> {
  let total = 0
  for await (const _ of recordsIn(file)) total += 1
  const counts = emptyCounts()
  const show = progress('Restore', counts, total)
  const wanted = async function* (): AsyncGenerator<Sending, void> {
    for await (const record of recordsIn(file)) {
      counts.read += 1
      if (pass.bucket === undefined || record.bucket === pass.bucket)
        yield { record, isCheck: false }
    }
  }
  await send(pass, to, wanted(), counts, () => show(false))
  show(true)
  console.log(`${to} has every record of ${file}${exceptions(counts)}.`)
  return counts.refused === 0 ? 0 : 1
}

/** Records the objects below a prefix, until all of them have a record. */
async function importObjects(walking: Walking): Promise<number> {
  const { bucket, buckets, counts, stopped, failing } = await walkPass(walking)
  const { recorded, young, refused } = counts
  console.log(`${bucket}: ${counted(recorded, 'file was', 'files were')} added to the index.`)
  const others = buckets.filter((one) => one !== bucket)
  if (walking.bucket === undefined && others.length > 0)
    console.log(`Other buckets were left out. Import them with --bucket: ${others.join(', ')}.`)
  if (young > 0)
    console.log(
      `${counted(young, 'object is', 'objects are')} younger than ten minutes. Run this again later.`,
    )
  if (refused > 0)
    console.error(`${counted(refused, "key doesn't", "keys don't")} fit into the index.`)
  if (failing > 0)
    console.error(
      `${counted(failing, 'key has', 'keys have')} failed, and ${failing === 1 ? 'is' : 'are'} tried again.`,
    )
  if (stopped !== null) console.error(`Stopped: ${stopped}.`)
  return refused + failing > 0 || stopped !== null ? 1 : 0
}

if (import.meta.main) process.exitCode = await index(process.argv.slice(2))
