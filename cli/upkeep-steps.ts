/** The loop of `npx edge-presigner upkeep` and `index import`: steps of a walk, until a pass is done. */
import { setTimeout as delay } from 'node:timers/promises'
import * as z from 'zod/mini'
import { UsageError } from './command.ts'
import { counted } from './counted.ts'
import { printable } from './printable.ts'
import { progressLine } from './progress.ts'
import { appendToLog, recordSchema } from './record-file.ts'
import { type SavedWalk, savedWalk, saveWalk } from './upkeep-state.ts'
import { Refusal, type Worker } from './worker-client.ts'

/** Where both commands keep how far they have come. */
export const STATE_FILE = '.edge-presigner-upkeep.json'
/** Where the records are that a Worker without Durable Objects drops. */
export const DROPPED_FILE = 'edge-presigner-dropped.ndjson'

const EVERY_OBJECTS = 10_000
/** After this many failures in a row, the command gives up. */
const MAX_FAILURES = 8
const MAX_WAIT_SECONDS = 60

const number = z.number()
/** A text to print. */
const text = z.string().check(z.refine((given) => printable(given) === given))
const countsSchema = z.object({
  ...{ objects: number, records: number, unrecorded: number, young: number, unmanaged: number },
  ...{ different: number, gone: number },
  oldUploads: z.nullable(number),
  unreadable: number,
  foreign: z.nullable(number),
  ...{ refused: number, failed: number },
  ...{ recorded: number, corrected: number, dropped: number, aborted: number },
})

/** What a pass has found and done, as the Worker counts it. */
export type PassCounts = z.infer<typeof countsSchema>

const stepSchema = z.object({
  bucket: text,
  buckets: z.array(text),
  cursor: z.string(),
  isDone: z.boolean(),
  phase: text,
  counts: countsSchema,
  stopped: z.nullable(z.object({ reason: text, at: text })),
  last: z.nullable(z.object({ counts: z.object({ objects: number }) })),
  toDrop: z.array(recordSchema),
  suspects: number,
  waitUntil: z.optional(text),
  failure: z.optional(z.nullable(z.object({ code: z.string(), message: z.string() }))),
})

type Step = z.infer<typeof stepSchema>

/** What to import: the order that each step sends. */
export interface ImportOrder {
  readonly prefix: string
  readonly owner?: string
  readonly ownerAs?: string
}

/** One walk of a command. */
export interface Walking {
  readonly worker: Worker
  readonly url: string
  /** Path of the state file. */
  readonly state: string
  /** Undefined for the Worker's first one. */
  readonly bucket: string | undefined
  /** `default` does what the Worker's setting says. */
  readonly mode: 'report' | 'default'
  readonly import: ImportOrder | null
  /** Goes on where the brake has stopped the last run. */
  readonly goOn: boolean
}

/** How a pass has ended, or where the brake has stopped it. */
export interface WalkEnd {
  readonly bucket: string
  readonly buckets: readonly string[]
  readonly counts: PassCounts
  readonly stopped: string | null
  /** Records without an object that wait for a second look, and when the next one is due. */
  readonly suspects: number
  readonly waitUntil: string | undefined
}

/**
 * Repeats steps until the pass is done, or the brake stops it. Goes on where the last run was, and saves
 * each step before the next one: what a step wants to drop is on the disk before the next step drops it.
 */
export async function walkPass(walking: Walking): Promise<WalkEnd> {
  const { worker, url, state, mode, import: order } = walking
  let saved = await savedWalk(state, { url, bucket: walking.bucket ?? '', mode, import: order })
  let goOn = walking.goOn && saved !== undefined && saved.stopped !== null
  if (saved !== undefined && !saved.isDone)
    console.log(printable(`Continues the pass of ${saved.savedAt}.`))
  let { bucket } = walking
  let failures = 0
  let show: ReturnType<typeof progressLine> | undefined
  for (;;) {
    const step: Step = await worker(
      stepSchema,
      'POST',
      '/upkeep/steps',
      {},
      {
        ...(bucket !== undefined && { bucket }),
        ...(saved !== undefined && { cursor: saved.cursor }),
        ...(mode === 'report' && { mode }),
        ...(order !== null && { import: order }),
        ...(goOn && { goOn }),
      },
    ).catch((error: unknown) => {
      throw saved === undefined ? error : withHint(error)
    })
    bucket = step.bucket
    goOn = false
    if (step.toDrop.length > 0) await appendToLog(DROPPED_FILE, step.toDrop)
    saved = {
      cursor: step.cursor,
      savedAt: new Date().toISOString(),
      isDone: step.isDone,
      stopped: step.stopped?.reason ?? null,
    }
    await keep(walking, step, saved)
    show ??= progressLine(step.bucket, EVERY_OBJECTS, step.last?.counts.objects)
    const isEnd = step.isDone || step.stopped !== null
    show(step.counts.objects, progressNumbers(step), isEnd)
    failures = step.failure ? failures + 1 : 0
    if (step.failure && failures === MAX_FAILURES)
      throw new UsageError(
        printable(`${step.bucket}: ${step.failure.code}. ${step.failure.message}`),
      )
    if (step.failure && !isEnd) await delay(1000 * Math.min(2 ** (failures - 1), MAX_WAIT_SECONDS))
    if (isEnd)
      return {
        bucket: step.bucket,
        buckets: step.buckets,
        counts: step.counts,
        stopped: saved.stopped,
        suspects: step.suspects,
        waitUntil: step.waitUntil,
      }
  }
}

/** Saves the walk. After an import that is done, there is nothing to continue. */
async function keep(walking: Walking, step: Step, saved: SavedWalk): Promise<void> {
  const { state, url, mode, import: order } = walking
  if (order !== null) {
    const name = { url, bucket: walking.bucket ?? '', mode, import: order }
    await saveWalk(state, name, step.isDone ? undefined : saved)
  } else {
    const name = { url, bucket: step.bucket, mode, import: null }
    await saveWalk(state, name, saved, step.buckets)
  }
}

/** Says what to do if the Worker can't read a cursor that was saved. */
function withHint(error: unknown): unknown {
  if (!(error instanceof Refusal) || error.code !== 'invalid_cursor') return error
  const hint =
    'The last run was long ago, or the settings or SIGNING_SECRETS have changed since. Start again with --restart.'
  return new Refusal(`${error.message}\n${hint}`, error.status, error.code)
}

function progressNumbers({ phase, counts }: Step): string {
  const { objects, records, recorded, corrected, dropped, aborted } = counts
  const done = [
    recorded > 0 ? `${recorded} recorded` : [],
    corrected > 0 ? `${corrected} corrected` : [],
    dropped > 0 ? `${dropped} dropped` : [],
    aborted > 0 ? `${aborted} aborted` : [],
  ].flat()
  const place = phase === 'objects' ? [] : [`looks at ${phase}`]
  return [counted(objects, 'object'), counted(records, 'record'), ...done, ...place].join(', ')
}
