/**
 * `npx edge-presigner upkeep` walks through buckets and the index of a Worker, and repairs what differs,
 * through `POST /upkeep/steps`. What it may do is a setting of the Worker.
 */
import { setTimeout as delay } from 'node:timers/promises'
import * as z from 'zod/mini'
import { parseOptions, runCommand, UsageError, WORKER_OPTIONS } from './command.ts'
import { counted } from './counted.ts'
import { printable } from './printable.ts'
import { recordSchema } from './record-file.ts'
import { forgetWalks, savedBuckets } from './upkeep-state.ts'
import {
  DROPPED_FILE,
  type PassCounts,
  STATE_FILE,
  type WalkEnd,
  type Walking,
  walkPass,
} from './upkeep-steps.ts'
import { Refusal, type Worker, workerOf } from './worker-client.ts'

const USAGE = `npx edge-presigner upkeep [--dry-run] [--wait] [--go-on] [--restart] [--state FILE]
npx edge-presigner upkeep status
npx edge-presigner upkeep go-on --bucket ALIAS
npx edge-presigner upkeep dropped
npx edge-presigner upkeep restore KEY… --bucket ALIAS
npx edge-presigner upkeep restore --all

Without a command, upkeep walks once through the buckets and the index, and does what the
setting UPKEEP allows. status, go-on, dropped and restore are about the Worker's own
upkeep, on its schedule. dropped lists the records that were dropped in the last 30 days.
--url URL         the Worker, or the presigner in your app: https://example.com/media
--key-from NAME   the variable with an API key that has the scope upkeep:run, for restore
                  index:write (EDGE_PRESIGNER_KEY). A Worker on this machine may need none
--bucket ALIAS    only this bucket (all that the Worker walks)
--dry-run         only reports, and changes nothing
--wait            waits for the second looks at records without an object
--go-on           goes on where the brake has stopped the last run
--restart         forgets how far the last run came
--state FILE      where to keep how far it has come (${STATE_FILE})
It can be stopped at any point, and goes on there when it runs again. The exit code is 2 if
the brake has stopped it, and 1 for other errors.`

const BRAKE_EXIT_CODE = 2

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
    const scope = command === 'restore' || command === 'dropped' ? 'index:write' : 'upkeep:run'
    const { url, 'key-from': keyName } = values
    const worker = workerOf({ url, keyName, scope, usage: USAGE })
    return await run({ worker, values: { ...values, url: url ?? '' }, keys: rest })
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
        'go-on': { type: 'boolean', default: false },
        restart: { type: 'boolean', default: false },
        all: { type: 'boolean', default: false },
        state: { type: 'string', default: STATE_FILE },
      },
    },
    USAGE,
  )

interface Call {
  readonly worker: Worker
  readonly values: ReturnType<typeof readArguments>['values'] & { readonly url: string }
  /** The arguments after the command. */
  readonly keys: readonly string[]
}

const COMMANDS = new Map<string, (call: Call) => Promise<number>>([
  ['walk', walk],
  ['status', status],
  ['go-on', goOn],
  ['dropped', dropped],
  ['restore', restore],
])

const ONLY_OF = [
  ...(['dry-run', 'wait', 'go-on', 'restart'] as const).map((option) => [option, 'walk'] as const),
  ['all', 'restore'],
] as const

/** Walks through one bucket, or all. The walk through the first one tells which others there are. */
async function walk({ worker, values }: Call): Promise<number> {
  const { url, state } = values
  const mode = values['dry-run'] ? 'report' : 'default'
  const base = { worker, url, state, mode, import: null, goOn: values['go-on'] } as const
  if (values.restart) await forgetWalks(state, { ...base, bucket: values.bucket })
  const walkIn = (bucket: string | undefined) => walkBucket({ ...base, bucket }, values.wait)
  if (values.bucket !== undefined) return (await walkIn(values.bucket)).code
  const { end, code } = await walkFirst(walkIn, await savedBuckets(state, url))
  const codes = [code]
  for (const bucket of end.buckets)
    if (bucket !== end.bucket) codes.push((await walkIn(bucket)).code)
  return Math.max(...codes)
}

/** Walks through the first of these buckets that the Worker still has, or through the Worker's first one. */
async function walkFirst(
  walkIn: (bucket: string | undefined) => ReturnType<typeof walkBucket>,
  known: readonly string[],
): ReturnType<typeof walkBucket> {
  for (const bucket of known)
    try {
      return await walkIn(bucket)
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== 'unknown_bucket') throw error
    }
  return walkIn(undefined)
}

/**
 * Walks through a bucket until its pass is done. Some records without an object may have had their
 * second look only later: with `wait`, it continues until all have had one.
 */
async function walkBucket(
  walking: Walking,
  wait: boolean,
): Promise<{ readonly end: WalkEnd; readonly code: number }> {
  let waiting = Number.POSITIVE_INFINITY
  for (let now = walking; ; now = { ...walking, goOn: false }) {
    const end = await walkPass(now)
    const { bucket, counts, stopped, suspects, waitUntil } = end
    console.log(summary(end, walking.mode))
    if (stopped !== null) {
      console.error(brakeText(bucket, stopped))
      return { end, code: BRAKE_EXIT_CODE }
    }
    const code = counts.failed > 0 ? 1 : 0
    if (walking.mode === 'report' || suspects === 0 || waitUntil === undefined) return { end, code }
    const milliseconds = Date.parse(waitUntil) - Date.now()
    // Each pass must leave fewer of them, or something else keeps them.
    if ((milliseconds > 0 && !wait) || suspects >= waiting) {
      console.log(
        `${counted(suspects, 'record without an object waits', 'records without an object wait')} for a second look. Run this again after ${waitUntil}, or with --wait.`,
      )
      return { end, code }
    }
    if (milliseconds > 0) {
      console.log(`Waits until ${waitUntil} for the second look at ${counted(suspects, 'record')}.`)
      await delay(milliseconds + 1000)
    } else waiting = suspects
  }
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
  ['failed', 'key that failed again and again', 'keys that failed again and again'],
]

const DONE: readonly Row[] = [
  ['recorded', 'record written', 'records written'],
  ['corrected', 'record corrected', 'records corrected'],
  ['dropped', 'record dropped', 'records dropped'],
  ['aborted', 'unfinished upload aborted', 'unfinished uploads aborted'],
]

/** Says what a pass has found and done. */
export function summary({ bucket, counts }: WalkEnd, mode: Walking['mode']): string {
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
    'The alias leads to another bucket than in the last pass: endpoint, path or name have changed, or none of the objects that were there is. Check the table of the bucket in BUCKETS.',
  ],
  [
    'empty list',
    'The list of the bucket is empty, but the index has records. Check the bucket\u2019s name, and whether somebody has emptied it.',
  ],
  [
    'shorter list',
    'The list of the bucket has less than half of the objects of the last pass. Check whether somebody has deleted them, and whether the server lists all.',
  ],
  [
    'many records without an object',
    'More than 1 % of the records have no object. Check whether somebody has deleted the objects, such as by a lifecycle rule.',
  ],
])

/** Says why the brake has stopped, what to check, and how to go on. */
const brakeText = (bucket: string, reason: string): string =>
  [
    `Stopped: ${reason}. Nothing is changed until you say so.`,
    ...(CHECKS.has(reason) ? [CHECKS.get(reason)] : []),
    `If this is right, run the same command with --go-on --bucket ${bucket}.`,
  ].join('\n')

const passSchema = z.object({ mode: z.string(), startedAt: z.string(), endedAt: z.string() })
const stoppedSchema = z.nullable(z.object({ reason: z.string(), at: z.string() }))
const statusSchema = z.object({
  mode: z.string(),
  buckets: z.array(
    z.object({
      bucket: z.string(),
      phase: z.nullable(z.string()),
      startedAt: z.nullable(z.string()),
      suspects: z.number(),
      stopped: stoppedSchema,
      last: z.nullable(passSchema),
      dropped: z.number(),
    }),
  ),
})

/** Prints what the Worker's own upkeep does. */
async function status({ worker, values }: Call): Promise<number> {
  const { mode, buckets } = await worker(statusSchema, 'GET', '/upkeep', {})
  console.log(`Mode: ${mode}`)
  let code = 0
  for (const one of buckets) {
    if (values.bucket !== undefined && one.bucket !== values.bucket) continue
    const last = one.last === null ? 'no pass has ended' : `last pass ended ${one.last.endedAt}`
    console.log(`${one.bucket}: ${last}, ${one.suspects} wait, ${one.dropped} dropped`)
    if (one.stopped === null) continue
    console.error(
      `${one.bucket}: stopped at ${one.stopped.at}: ${one.stopped.reason}. ${CHECKS.get(one.stopped.reason) ?? ''}\nIf this is right: npx edge-presigner upkeep go-on --bucket ${one.bucket}`,
    )
    code = BRAKE_EXIT_CODE
  }
  return code
}

/** Clears the brake of the Worker's own upkeep. */
async function goOn({ worker, values }: Call): Promise<number> {
  const { bucket } = values
  if (bucket === undefined) throw new UsageError(`go-on needs --bucket.\n\n${USAGE}`)
  await worker(z.unknown(), 'POST', '/upkeep/go-on', {}, { bucket })
  console.log(`${bucket}: the next run of the schedule goes on.`)
  return 0
}

const droppedSchema = z.object({
  records: z.array(z.extend(recordSchema, { droppedAt: z.string() })),
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
const KEYS_AT_ONCE = 20

/** Yields pages of the records that the Worker has dropped and keeps. */
async function* droppedPages({ worker, values }: Call) {
  try {
    const buckets =
      values.bucket === undefined
        ? (await worker(statusSchema, 'GET', '/upkeep', {})).buckets.map(({ bucket }) => bucket)
        : [values.bucket]
    for (const bucket of buckets) {
      let cursor: string | undefined
      do {
        const page = await worker(droppedSchema, 'GET', '/upkeep/dropped', { bucket, cursor })
        yield { bucket, records: page.records }
        cursor = page.cursor
      } while (cursor !== undefined)
    }
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 501) throw error
    throw new UsageError(
      `${error.message}\nA presigner without Durable Objects keeps no records. Those that this command has dropped are in ${DROPPED_FILE}: restore them with npx edge-presigner index restore ${DROPPED_FILE} --to NAME.`,
    )
  }
}

/** Prints the records that were dropped, one on each line. */
async function dropped(call: Call): Promise<number> {
  for await (const { records } of droppedPages(call))
    for (const record of records) console.log(printable(JSON.stringify(record)))
  return 0
}

/** Restores records that were dropped: those of these keys, or all. */
async function restore(call: Call): Promise<number> {
  const { keys, values } = call
  if (values.all ? keys.length > 0 : keys.length === 0)
    throw new UsageError(`restore needs keys, or --all.\n\n${USAGE}`)
  if (!values.all && values.bucket === undefined)
    throw new UsageError(`restore of keys needs --bucket.\n\n${USAGE}`)
  const outcomes = new Map<string, number>()
  for await (const { bucket, records } of values.all
    ? droppedPages(call)
    : [{ bucket: values.bucket ?? '', records: keys.map((key) => ({ key })) }])
    for (let from = 0; from < records.length; from += KEYS_AT_ONCE) {
      const asked = records.slice(from, from + KEYS_AT_ONCE).map(({ key }) => key)
      const body = { bucket, keys: [...new Set(asked)] }
      const answer = await call.worker(restoredSchema, 'POST', '/upkeep/restore', {}, body)
      for (const one of answer.records) {
        const outcome = 'error' in one ? 'refused' : one.outcome
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        if ('error' in one)
          console.error(printable(`${JSON.stringify(one.key)}: ${one.error.message}`))
      }
    }
  const counts = Array.from(outcomes, ([outcome, count]) => `${count} ${outcome}`)
  console.log(counts.length > 0 ? counts.join(', ') : 'Nothing was dropped.')
  const isMissing = ['unknown', 'different', 'gone'].some((outcome) => outcomes.has(outcome))
  return outcomes.has('refused') || (isMissing && !values.all) ? 1 : 0
}

if (import.meta.main) process.exitCode = await upkeep(process.argv.slice(2))
