/** `npx edge-presigner delete-all` deletes everything below a prefix, through `POST /files/delete-all`. */
import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { setTimeout as delay } from 'node:timers/promises'
import * as z from 'zod/mini'
import { parseOptions, runCommand, UsageError, WORKER_OPTIONS } from './command.ts'
import { counted } from './counted.ts'
import { printable } from './printable.ts'
import { progressLine } from './progress.ts'
import { type Worker, workerOf } from './worker-client.ts'

const USAGE = `npx edge-presigner delete-all --prefix PREFIX [--dry-run]

--prefix PREFIX   what the keys start with. It ends with a slash: users/alice/
--before DATE     deletes only what is older: 2026-11-28T12:00:00Z (now)
--dry-run         deletes nothing, and says what would be deleted now
--yes             doesn't ask
--url URL         the Worker, or the presigner in your app: https://example.com/media
--key-from NAME   the variable with an API key that has the scope files:delete-all
                  (EDGE_PRESIGNER_KEY). A Worker on this machine may need none
--bucket ALIAS    the bucket (the first one that the key may use)
It can be interrupted and repeated. Uploads that were signed before may still arrive:
run it again after the date that it prints.`

/** How many passes try to delete everything. */
const MAX_PASSES = 3
const PAUSE_MILLISECONDS = 5000
const TEMPORARY = /^(?:storage_error|unavailable)$/

const count = z.number()
const erasedSchema = z.object({
  shares: count,
  deleted: count,
  versions: z.nullable(count),
  uploads: z.nullable(count),
  records: count,
  unreadable: count,
  failures: z.array(
    z.object({ key: z.string(), error: z.object({ code: z.string(), message: z.string() }) }),
  ),
  cursor: z.optional(z.string()),
  repeatAfter: z.string(),
})

type Erased = z.infer<typeof erasedSchema>

/** Runs `npx edge-presigner delete-all` with these arguments. Resolves with the exit code. */
export const deleteAll = (args: readonly string[]): Promise<number> =>
  runCommand(async () => {
    const { help, prefix, before, yes, url, bucket, ...options } = readArguments(args)
    const { 'key-from': keyName, 'dry-run': dryRun } = options
    if (help) {
      console.log(USAGE)
      return 0
    }
    if (prefix === undefined) throw new UsageError(`--prefix is missing.\n\n${USAGE}`)
    if (!prefix.endsWith('/'))
      throw new UsageError('--prefix must end with "/", so that it names one folder.')
    const date = dateOf(before)
    const worker = workerOf({ url, keyName, scope: 'files:delete-all', usage: USAGE })
    const where = bucket === undefined ? url : `${bucket} of ${url}`
    if (!dryRun && !yes && !(await isSure(prefix, date, where))) {
      console.error('Nothing was deleted.')
      return 1
    }
    return await run(worker, { prefix, before: date, bucket, ...(dryRun && { dryRun }) })
  })

const readArguments = (args: readonly string[]) =>
  parseOptions(
    {
      args: [...args],
      options: {
        ...WORKER_OPTIONS,
        prefix: { type: 'string' },
        before: { type: 'string' },
        'dry-run': { type: 'boolean', default: false },
        yes: { type: 'boolean', default: false },
        bucket: { type: 'string' },
      },
    },
    USAGE,
  ).values

/** Returns a date in the API's format. A date without a time zone would be that of this machine. */
function dateOf(given: string | undefined): string {
  if (given === undefined) return new Date().toISOString()
  const isClear = /^\d{4}-\d\d-\d\d(?:T.+(?:Z|[+-]\d\d:\d\d))?$/.test(given)
  if (isClear && !Number.isNaN(Date.parse(given))) return new Date(given).toISOString()
  throw new UsageError('--before must be a date such as 2026-11-28 or 2026-11-28T12:00:00Z.')
}

/** Asks on a terminal. Throws UsageError without one. */
async function isSure(prefix: string, before: string, where: string | undefined): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new UsageError('There is no terminal to ask on. To delete without a question, add --yes.')
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  console.log(`This deletes everything below ${prefix} that is older than ${before}, for good.`)
  console.log(`It deletes it in ${where}.`)
  // Without an answer, the terminal closes: Ctrl-C or Ctrl-D.
  const closed = once(terminal, 'close').then(() => '')
  const question = terminal.question('Type the prefix to go on: ').catch(() => '')
  const answer = await Promise.race([question, closed])
  terminal.close()
  return answer.trim() === prefix
}

async function run(
  worker: Worker,
  request: { prefix: string; before: string; bucket: string | undefined; dryRun?: true },
): Promise<number> {
  const { dryRun } = request
  const show = progressLine(dryRun ? 'Would delete' : 'Deleted', 1000, undefined)
  const done = { shares: 0, deleted: 0, versions: 0, uploads: 0, records: 0 }
  const unlisted = new Set<keyof typeof UNLISTED>()
  for (let pass = 1; ; pass += 1) {
    const failures = new Map<string, Erased['failures'][number]['error']>()
    let unreadable = 0
    let answer: Erased
    let cursor: string | undefined
    do {
      const body = { ...request, ...(cursor !== undefined && { cursor }) }
      answer = await worker(erasedSchema, 'POST', '/files/delete-all', {}, body)
      // Each list belongs to some of the calls.
      for (const name of ['versions', 'uploads'] as const)
        if (answer[name] === null) unlisted.add(name)
      done.shares += answer.shares
      done.deleted += answer.deleted
      done.versions += answer.versions ?? 0
      done.uploads += answer.uploads ?? 0
      done.records += answer.records
      unreadable += answer.unreadable
      for (const { key, error } of answer.failures) failures.set(key, error)
      const { shares, deleted, versions, uploads, records } = done
      const numbers = [
        counted(deleted, 'file'),
        counted(versions, 'old version'),
        counted(uploads, 'unfinished upload'),
        counted(records, 'record'),
        counted(shares, 'grant or drop box', 'grants and drop boxes'),
      ].join(', ')
      show(deleted + versions, numbers, answer.cursor === undefined)
      cursor = answer.cursor
    } while (cursor !== undefined)
    const isTemporary = [...failures.values()].some(({ code }) => TEMPORARY.test(code))
    if (isTemporary && pass < MAX_PASSES && !dryRun) {
      await delay(PAUSE_MILLISECONDS * pass)
      continue
    }
    for (const [key, { code, message }] of failures)
      console.error(printable(`${JSON.stringify(key)} is left: ${code}. ${message}`))
    if (unreadable > 0)
      console.error(
        `${counted(unreadable, 'object or entry of the index is', 'objects or entries of the index are')} left, since no URL can name ${unreadable === 1 ? 'its key. Delete it' : 'their keys. Delete them'} with your provider's tools.`,
      )
    for (const name of unlisted) console.error(UNLISTED[name])
    console.log(
      dryRun
        ? 'This was a dry run: nothing was deleted, and your app was not asked.'
        : `Uploads that were signed until now may arrive until ${answer.repeatAfter}. Unless this was the second pass, run it again after that.`,
    )
    return failures.size === 0 && unreadable === 0 ? 0 : 1
  }
}

/** What to do about what the bucket could not list. */
const UNLISTED = {
  versions:
    "The bucket can't list older versions. If it keeps them, its access key needs s3:ListBucketVersions.",
  uploads:
    "The bucket can't list unfinished uploads. Let a lifecycle rule abort them after 8 days.",
} as const

if (import.meta.main) process.exitCode = await deleteAll(process.argv.slice(2))
