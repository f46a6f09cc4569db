/**
 * `npx edge-presigner upkeep` compares buckets with the index of a Worker, and repairs what differs, through
 * `POST /upkeep/walk`. What it may do is a setting of the Worker. It also restores records, and deletes orphans.
 */
import { createInterface } from 'node:readline/promises'
import * as z from 'zod/mini'
import { parseOptions, runCommand, UsageError, WORKER_OPTIONS } from './command.ts'
import { counted } from './counted.ts'
import { printable } from './printable.ts'
import { recordSchema } from './record-file.ts'
import {
  type PassCounts,
  statusSchema,
  type WalkEnd,
  type Walking,
  walkPass,
} from './upkeep-walk.ts'
import { type Worker, workerOf } from './worker-client.ts'

const USAGE = `npx edge-presigner upkeep [--dry-run] [--wait] [--restart]
npx edge-presigner upkeep status
npx edge-presigner upkeep go-on --bucket ALIAS
npx edge-presigner upkeep kept
npx edge-presigner upkeep restore KEY… --bucket ALIAS [--changed]
npx edge-presigner upkeep restore --all [--changed]
npx edge-presigner upkeep orphans [--older-than 30d] [--prefix PREFIX] [--delete]

Without a command, upkeep walks once through the buckets and the index, and does what the
setting UPKEEP allows. It can be stopped at any point: the Worker goes on. go-on lets a walk
act that has stopped. kept lists the records that others than their owners have removed or
replaced in the last 30 days, and restore gives them back. orphans counts the objects that
have had no owner for some days, and deletes them.
--url URL         the Worker, or the presigner in your app: https://example.com/media
--key-from NAME   the variable with an API key that has the scopes upkeep:run and upkeep:read, for
                  kept and restore index:write (EDGE_PRESIGNER_KEY). A Worker on this machine may
                  need none
--bucket ALIAS    only this bucket (all that the Worker walks)
--dry-run         only reports, and changes nothing
--wait            waits for the second looks at what would be removed or changed
--restart         starts again from the beginning, also if a walk has stopped
--changed         restores also to an object of the same size with another ETag
--older-than 30d  since when upkeep has seen an orphan without an owner
--prefix PREFIX   what the keys of orphans start with
--delete          deletes the orphans below --prefix, after a question
--count N         answers the question: exactly so many
The exit code is 2 if a walk has stopped, and 1 for other errors.`

const STOPPED_EXIT_CODE = 2

/** Runs `npx edge-presigner upkeep` with these arguments. Resolves with the exit code. */
export const upkeep = (args: readonly string[]): Promise<number> =>
  runCommand(async () => {
    const { values, positionals } = readArguments(args)
    if (values.help) {
      console.log(USAGE)
      return 0
    }
    const [command = 'walk', ...rest] = positionals
    const run = COMMANDS.get(command)
    if (run === undefined) throw new UsageError(`Unknown command "${command}".\n\n${USAGE}`)
    if (command !== 'restore' && rest[0] !== undefined)
      throw new UsageError(`Unexpected argument "${rest[0]}".\n\n${USAGE}`)
    // Nobody who adds --dry-run wants a restore.
    for (const [option, of] of ONLY_OF)
      if (values[option] && command !== of)
        throw new UsageError(`${command} has no option --${option}.\n\n${USAGE}`)
    const scope = command === 'restore' || command === 'kept' ? 'index:write' : 'upkeep:run'
    const { url, 'key-from': keyName } = values
    const worker = workerOf({ url, keyName, scope, usage: USAGE })
    return await run({ worker, values, keys: rest })
  })

const readArguments = (args: readonly string[]) =>
  parseOptions(
    {
      args: [...args],
      allowPositionals: true,
      options: {
        ...WORKER_OPTIONS,
        bucket: { type: 'string' },
        'dry-run': { type: 'boolean', default: false },
        wait: { type: 'boolean', default: false },
        restart: { type: 'boolean', default: false },
        all: { type: 'boolean', default: false },
        changed: { type: 'boolean', default: false },
        'older-than': { type: 'string' },
        prefix: { type: 'string' },
        delete: { type: 'boolean', default: false },
        count: { type: 'string' },
      },
    },
    USAGE,
  )

interface Call {
  readonly worker: Worker
  readonly values: ReturnType<typeof readArguments>['values']
  /** The arguments after the command. */
  readonly keys: readonly string[]
}

const COMMANDS = new Map<string, (call: Call) => Promise<number>>([
  ['walk', walk],
  ['status', status],
  ['go-on', goOn],
  ['kept', kept],
  ['restore', restore],
  ['orphans', orphans],
])

const ONLY_OF = [
  ...(['dry-run', 'wait', 'restart'] as const).map((option) => [option, 'walk'] as const),
  ...(['all', 'changed'] as const).map((option) => [option, 'restore'] as const),
  ...(['older-than', 'prefix', 'delete', 'count'] as const).map(
    (option) => [option, 'orphans'] as const,
  ),
] as const

/** Walks through one bucket, or all. The walk through the first one tells which others there are. */
async function walk({ worker, values }: Call): Promise<number> {
  const { restart, wait, bucket } = values
  const walking: Walking = {
    ...{ worker, bucket, restart, wait },
    mode: values['dry-run'] ? 'report' : undefined,
  }
  const first = await walkPass(walking)
  const codes = [show(first)]
  const others = bucket === undefined ? first.buckets.filter((one) => one !== first.bucket) : []
  for (const other of others) codes.push(show(await walkPass({ ...walking, bucket: other })))
  return Math.max(...codes)
}

/** Says how a pass has ended. Returns the exit code. */
function show(end: WalkEnd): number {
  const { bucket, stopped, collected, waitsUntil, failing } = end
  console.log(summary(end))
  if (stopped !== null) {
    console.error(brakeText(bucket, stopped))
    return STOPPED_EXIT_CODE
  }
  if (waitsUntil !== null)
    console.log(
      `${counted(collected, 'record waits', 'records wait')} for a second look until ${waitsUntil}. The Worker does that. On Node, run this again then, or with --wait.`,
    )
  if (failing > 0)
    console.log(
      `${counted(failing, 'key has failed, and is', 'keys have failed, and are')} tried again.`,
    )
  return failing > 0 ? 1 : 0
}

/** A count, and what it counts: one of them, and several. */
type Row = readonly [count: keyof PassCounts, one: string, several: string]

const FOUND: readonly Row[] = [
  ['unrecorded', 'object without a record', 'objects without a record'],
  [
    'young',
    'object without a record, too young to judge',
    'objects without a record, too young to judge',
  ],
  [
    'unmanaged',
    'object without a record that is not to be recorded',
    'objects without a record that are not to be recorded',
  ],
  ['ownerless', 'object without an owner', 'objects without an owner'],
  [
    'different',
    'record of another object than the bucket has',
    'records of another object than the bucket has',
  ],
  ['gone', 'record without an object', 'records without an object'],
  [
    'oldUploads',
    'unfinished upload in parts, older than 8 days',
    'unfinished uploads in parts, older than 8 days',
  ],
  ['unreadable', 'entry that nobody can read', 'entries that nobody can read'],
  [
    'foreign',
    'entry of a bucket that is no longer configured',
    'entries of buckets that are no longer configured',
  ],
  ['refused', 'key that the index can\u2019t store', 'keys that the index can\u2019t store'],
  ['failed', 'key that failed', 'keys that failed'],
]

const DONE: readonly Row[] = [
  ['recorded', 'record written', 'records written'],
  ['returned', 'record given back', 'records given back'],
  ['updated', 'date updated', 'dates updated'],
  ['corrected', 'record replaced', 'records replaced'],
  ['dropped', 'record removed', 'records removed'],
  ['aborted', 'unfinished upload aborted', 'unfinished uploads aborted'],
]

/** Says what a pass has found and done. */
export function summary({
  bucket,
  counts,
  mode,
}: Pick<WalkEnd, 'bucket' | 'counts' | 'mode'>): string {
  const lines = (rows: readonly Row[]) =>
    rows.flatMap(([name, ...words]) =>
      counts[name] ? [`  ${counted(counts[name], ...words)}`] : [],
    )
  const done = lines(DONE)
  return [
    `${bucket} has ${counted(counts.objects, 'object')} and ${counted(counts.records, 'record')}. Found:`,
    ...(lines(FOUND).length > 0 ? lines(FOUND) : ['  nothing to repair']),
    ...(counts.oldUploads === null
      ? ['  The server lists no unfinished uploads. Set a lifecycle rule that aborts them.']
      : []),
    ...(mode === 'report' ? ['This was a report: nothing was changed.'] : []),
    ...(done.length > 0 ? ['Done:', ...done] : []),
  ].join('\n')
}

const CHECKS = new Map([
  [
    'another bucket',
    'No record has its object in the bucket. Check the endpoint and the name of the bucket in BUCKETS.',
  ],
  [
    'empty list',
    'The list of the bucket is empty, but the index has records. Check the bucket\u2019s name, and whether somebody has emptied it.',
  ],
  [
    'many records differ',
    'More than 1 % of the records have no object, or another one. Check whether somebody has deleted or replaced the objects, such as by a lifecycle rule.',
  ],
  [
    'over 10,000 changes',
    'More than 10,000 records have no object, or another one. Check whether this is the right bucket.',
  ],
])

/** Says why a walk has stopped, what to check, and how to go on. */
const brakeText = (bucket: string, reason: string): string =>
  [
    `Stopped: ${reason}. Nothing is removed or changed until you say so.`,
    ...(CHECKS.has(reason) ? [CHECKS.get(reason)] : []),
    `If this is right: npx edge-presigner upkeep go-on --bucket ${bucket}. To look again: upkeep --restart --bucket ${bucket}.`,
  ].join('\n')

const allSchema = z.object({ mode: z.string(), buckets: z.array(statusSchema) })

/** Prints how far the walks have come. */
async function status({ worker, values }: Call): Promise<number> {
  const { mode, buckets } = await worker(allSchema, 'GET', '/upkeep', {})
  console.log(`Mode: ${mode}`)
  let code = 0
  for (const { bucket, last, failing, collected, stopped, failure } of buckets) {
    if (values.bucket !== undefined && bucket !== values.bucket) continue
    const ended = last === null ? 'no pass has ended' : `last pass ended ${last.endedAt}`
    console.log(`${bucket}: ${ended}, ${collected} wait, ${failing} failed`)
    if (failure !== null) console.log(`${bucket}: ${failure.code}. ${failure.message}`)
    if (stopped === null) continue
    console.error(`${bucket}: ${brakeText(bucket, `${stopped.reason}`)}`)
    code = STOPPED_EXIT_CODE
  }
  return code
}

/** Lets a stopped walk act, and shows its progress. */
async function goOn({ worker, values }: Call): Promise<number> {
  const { bucket } = values
  if (bucket === undefined) throw new UsageError(`go-on needs --bucket.\n\n${USAGE}`)
  await worker(z.unknown(), 'POST', '/upkeep/go-on', {}, { bucket })
  return show(await walkPass({ worker, bucket, restart: false, wait: false }))
}

const keptSchema = z.object({
  records: z.array(
    z.extend(recordSchema, { keptAt: z.string(), expiresAt: z.nullable(z.string()) }),
  ),
  cursor: z.optional(z.string()),
})

const restoredSchema = z.object({
  records: z.array(
    z.union([
      z.object({ key: z.string(), outcome: z.string() }),
      z.object({ key: z.string(), error: z.object({ code: z.string(), message: z.string() }) }),
    ]),
  ),
})

/** What one request restores. */
const KEYS_AT_ONCE = 16

/** Yields pages of the records that the index keeps. */
async function* keptPages({ worker, values }: Call) {
  const buckets =
    values.bucket === undefined
      ? (await worker(allSchema, 'GET', '/upkeep', {})).buckets.map(({ bucket }) => bucket)
      : [values.bucket]
  for (const bucket of buckets) {
    let cursor: string | undefined
    do {
      const page = await worker(keptSchema, 'GET', '/upkeep/kept', { bucket, cursor })
      yield { bucket, records: page.records }
      cursor = page.cursor
    } while (cursor !== undefined)
  }
}

/** Prints the records that the index keeps, one on each line. */
async function kept(call: Call): Promise<number> {
  for await (const { records } of keptPages(call))
    for (const record of records) console.log(printable(JSON.stringify(record)))
  return 0
}

/** Restores kept records: those of these keys, or all. */
async function restore(call: Call): Promise<number> {
  const { keys, values } = call
  const { all, changed } = values
  if (all ? keys.length > 0 : keys.length === 0)
    throw new UsageError(`restore needs keys, or --all.\n\n${USAGE}`)
  if (!all && values.bucket === undefined)
    throw new UsageError(`restore of keys needs --bucket.\n\n${USAGE}`)
  const outcomes = new Map<string, number>()
  for await (const { bucket, records } of all
    ? keptPages(call)
    : [{ bucket: values.bucket ?? '', records: keys.map((key) => ({ key })) }])
    for (let from = 0; from < records.length; from += KEYS_AT_ONCE) {
      const asked = records.slice(from, from + KEYS_AT_ONCE).map(({ key }) => key)
      const body = { bucket, keys: [...new Set(asked)], ...(changed && { changed }) }
      const answer = await call.worker(restoredSchema, 'POST', '/upkeep/restore', {}, body)
      for (const one of answer.records) {
        const outcome = 'error' in one ? 'refused' : one.outcome
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        if ('error' in one)
          console.error(printable(`${JSON.stringify(one.key)}: ${one.error.message}`))
      }
    }
  const counts = Array.from(outcomes, ([outcome, count]) => `${count} ${outcome}`)
  console.log(counts.length > 0 ? counts.join(', ') : 'No records are kept.')
  const isMissing = ['unknown', 'different', 'gone'].some((outcome) => outcomes.has(outcome))
  return outcomes.has('refused') || (isMissing && !all) ? 1 : 0
}

const orphansSchema = z.object({
  bucket: z.string(),
  count: z.number(),
  bytes: z.number(),
  isMany: z.boolean(),
  samples: z.array(z.object({ key: z.string(), size: z.number(), since: z.string() })),
})

const deletedSchema = z.object({
  files: z.array(
    z.union([
      z.object({ key: z.string(), outcome: z.enum(['deleted', 'owned']) }),
      z.object({ key: z.string(), error: z.object({ code: z.string(), message: z.string() }) }),
    ]),
  ),
  after: z.optional(z.string()),
})

/** Counts orphans, and deletes them. */
async function orphans({ worker, values }: Call): Promise<number> {
  const { prefix, bucket, 'older-than': age = '30d' } = values
  const days = Number(/^(\d+)d$/.exec(age)?.[1])
  if (!(days > 0)) throw new UsageError('--older-than must be days, such as 30d.')
  if (values.delete && !prefix) throw new UsageError('To delete orphans, name their --prefix.')
  const query = { olderThanDays: String(days), prefix, bucket }
  const found = await worker(orphansSchema, 'GET', '/upkeep/orphans', query)
  const { count, bytes, samples } = found
  const place = prefix ? ` below ${prefix}` : ''
  console.log(
    printable(
      `${found.bucket}: ${counted(count, 'object has', 'objects have')} had no owner for ${counted(days, 'day')}${place}, ${counted(bytes, 'byte')}.`,
    ),
  )
  for (const { key, size, since } of samples)
    console.log(printable(`  ${JSON.stringify(key)}, ${counted(size, 'byte')}, since ${since}`))
  if (!values.delete || count === 0) return 0
  if ((await answerFor(count, found.isMany, values.count)) !== count) {
    console.error('Nothing was deleted.')
    return 1
  }
  const body = { bucket: found.bucket, prefix, olderThanDays: days, count }
  return await deleteOrphans(worker, body)
}

/** Returns how many orphans a person wants to delete. Throws UsageError without a terminal to ask on. */
async function answerFor(
  count: number,
  isMany: boolean,
  given: string | undefined,
): Promise<number> {
  if (given !== undefined) return Number(given)
  if (!process.stdin.isTTY)
    throw new UsageError(
      `There is no terminal to ask on. To delete without a question, add --count ${count}.`,
    )
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  try {
    const question = isMany
      ? 'These are more than a tenth of the files there. Type their number to delete them: '
      : `Delete ${counted(count, 'object')}, for good? [y/N] `
    const answer = await terminal.question(question)
    return isMany ? Number(answer.trim() || Number.NaN) : /^y(?:es)?$/i.test(answer) ? count : 0
  } finally {
    terminal.close()
  }
}

async function deleteOrphans(
  worker: Worker,
  { count, ...body }: { readonly count: number },
): Promise<number> {
  let remaining = count
  const counts = { deleted: 0, owned: 0, left: 0 }
  let after: string | undefined
  do {
    const request = { ...body, count: remaining, ...(after !== undefined && { after }) }
    const answer = await worker(deletedSchema, 'POST', '/upkeep/orphans/delete', {}, request)
    for (const file of answer.files)
      if ('outcome' in file) counts[file.outcome] += 1
      else {
        counts.left += 1
        console.error(printable(`${JSON.stringify(file.key)} is left: ${file.error.message}`))
      }
    remaining -= answer.files.length
    ;({ after } = answer)
  } while (after !== undefined)
  const { deleted, owned, left } = counts
  console.log(`${deleted} deleted, ${owned} have an owner by now, ${left} left.`)
  return left > 0 ? 1 : 0
}

if (import.meta.main) process.exitCode = await upkeep(process.argv.slice(2))
