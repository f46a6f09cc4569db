/**
 * `npx edge-presigner dead-letters` shows and replays what the queues of a Worker gave up, through
 * `/upkeep/dead-letters`.
 */
import * as z from 'zod/mini'
import { parseOptions, runCommand, UsageError, WORKER_OPTIONS } from './command.ts'
import { printable } from './printable.ts'
import { type Worker, workerOf } from './worker-client.ts'

const USAGE = `npx edge-presigner dead-letters list
npx edge-presigner dead-letters replay ID…
npx edge-presigner dead-letters replay --all

list prints the messages that the Worker's queues gave up in the last 30 days, one on each
line, the oldest first. replay handles messages again. What succeeds is removed, the rest
stays with the reason.
--url URL         the Worker
--key-from NAME   the variable with an API key that has the scope upkeep:run
                  (EDGE_PRESIGNER_KEY). A Worker on this machine may need none`

/** How many a request replays. More would only wait in it. */
const IDS_AT_ONCE = 6

const letterSchema = z.looseObject({ id: z.string() })
const pageSchema = z.object({
  deadLetters: z.array(letterSchema),
  cursor: z.optional(z.string()),
})
const resultsSchema = z.object({
  results: z.array(
    z.object({
      id: z.string(),
      outcome: z.enum(['replayed', 'failed', 'missing', 'waiting']),
      reason: z.optional(z.string()),
    }),
  ),
})

/** Runs `npx edge-presigner dead-letters` with these arguments. Resolves with the exit code. */
export const deadLetters = (args: readonly string[]): Promise<number> =>
  runCommand(async () => {
    const { values, positionals } = readArguments(args)
    if (values.help) {
      console.log(USAGE)
      return 0
    }
    const [command, ...ids] = positionals
    const { url, 'key-from': keyName } = values
    const worker = () => workerOf({ url, keyName, scope: 'upkeep:run', usage: USAGE })
    if (command === 'list' && ids.length === 0 && !values.all) return await list(worker())
    if (command === 'replay' && values.all !== ids.length > 0) return await replay(worker(), ids)
    throw new UsageError(USAGE)
  })

const readArguments = (args: readonly string[]) =>
  parseOptions(
    {
      args: [...args],
      allowPositionals: true,
      options: {
        ...WORKER_OPTIONS,
        all: { type: 'boolean', default: false },
      },
    },
    USAGE,
  )

async function* letters(worker: Worker) {
  let cursor: string | undefined
  do {
    const page = await worker(pageSchema, 'GET', '/upkeep/dead-letters', { cursor })
    yield* page.deadLetters
    cursor = page.cursor
  } while (cursor !== undefined)
}

const NONE = 'There are no dead letters.'

/** Prints all, one on each line. */
async function list(worker: Worker): Promise<number> {
  let isEmpty = true
  for await (const letter of letters(worker)) {
    isEmpty = false
    console.log(printable(JSON.stringify(letter)))
  }
  if (isEmpty) console.error(NONE)
  return 0
}

/** Replays letters with these ids, or all that there are now. */
async function replay(worker: Worker, given: readonly string[]): Promise<number> {
  const ids = [...new Set(given)]
  if (ids.length === 0) for await (const { id } of letters(worker)) ids.push(id)
  const counts = new Map<string, number>()
  while (ids.length > 0) {
    const body = { ids: ids.splice(0, IDS_AT_ONCE) }
    const path = '/upkeep/dead-letters/replay'
    const { results } = await worker(resultsSchema, 'POST', path, {}, body)
    for (const { id, outcome, reason } of results) {
      if (outcome === 'waiting') {
        ids.push(id)
        continue
      }
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
      if (outcome === 'failed') console.error(printable(`${id}: ${reason}`))
    }
  }
  const parts = Array.from(counts, ([outcome, count]) => `${count} ${outcome}`)
  console.log(parts.length > 0 ? parts.join(', ') : NONE)
  return counts.has('failed') ? 1 : 0
}

if (import.meta.main) process.exitCode = await deadLetters(process.argv.slice(2))
