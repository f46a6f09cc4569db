/** What `npx edge-presigner upkeep` and `index import` have in common: they order a walk, and show its progress. */
import { setTimeout as delay } from 'node:timers/promises'
import * as z from 'zod/mini'
import { UsageError } from './command.ts'
import { counted } from './counted.ts'
import { printable } from './printable.ts'
import { progressLine } from './progress.ts'
import type { Worker } from './worker-client.ts'

const EVERY_OBJECTS = 10_000
/** After this many failures in a row, the command gives up. The Worker tries on. */
const MAX_FAILURES = 6
/** A Worker that does the steps itself is asked again after a pause. */
const MIN_PAUSE = 50
const MAX_PAUSE = 2000
/** The command waits for steps that are due earlier. */
const SOON = 60_000

const number = z.number()
/** A text to print. */
const text = z.string().check(z.refine((given) => printable(given) === given))

const countsSchema = z.object({
  ...{ objects: number, records: number, unrecorded: number, young: number, unmanaged: number },
  ...{ ownerless: number, different: number, gone: number, oldUploads: z.nullable(number) },
  ...{ unreadable: number, foreign: z.nullable(number), refused: number, failed: number },
  ...{ recorded: number, returned: number, updated: number, corrected: number },
  ...{ dropped: number, aborted: number },
})

/** What a pass has found and done, as the Worker counts it. */
export type PassCounts = z.infer<typeof countsSchema>

/** How far the walk through a bucket has come. */
export const statusSchema = z.object({
  bucket: text,
  mode: z.nullable(text),
  phase: z.nullable(text),
  startedAt: z.nullable(text),
  counts: z.nullable(countsSchema),
  collected: number,
  failing: number,
  nextAt: z.nullable(text),
  failures: number,
  failure: z.nullable(z.object({ code: text, message: text })),
  stopped: z.nullable(z.object({ reason: text, at: text })),
  last: z.nullable(z.object({ startedAt: text, endedAt: text, counts: countsSchema })),
})

type Status = z.infer<typeof statusSchema>

const walkSchema = z.extend(statusSchema, { buckets: z.array(text) })

/** One walk of a command. */
export interface Walking {
  readonly worker: Worker
  /** Undefined for the Worker's first one. */
  readonly bucket: string | undefined
  /** Undefined for what the Worker's setting says. */
  readonly mode?: 'report' | undefined
  readonly import?: { readonly prefix: string; readonly owner?: string; readonly ownerAs?: string }
  /** Begins a new pass, also if one is at work or has stopped. */
  readonly restart: boolean
  /** Waits for second looks, too. */
  readonly wait: boolean
}

/** How a pass has ended, where the brake has stopped it, or what it waits for. */
export interface WalkEnd {
  readonly bucket: string
  readonly buckets: readonly string[]
  readonly mode: string | null
  readonly counts: PassCounts
  readonly stopped: string | null
  /** Keys that wait for their second look, and until when. */
  readonly collected: number
  readonly waitsUntil: string | null
  /** Keys that have failed and are tried again. */
  readonly failing: number
}

/**
 * Orders a pass, or joins the one that has the same order, and shows its progress until it has ended, has stopped,
 * or waits for second looks. The Worker goes on without this command. Throws UsageError after failures in a row.
 */
export async function walkPass(walking: Walking): Promise<WalkEnd> {
  const { worker, mode, restart, wait } = walking
  const call = (members: object) => {
    const { bucket, import: order } = walking
    const asked = { ...(bucket !== undefined && { bucket }), ...(mode && { mode }) }
    const body = { ...asked, ...(order && { import: order }), ...members }
    return worker(walkSchema, 'POST', '/upkeep/walk', {}, body)
  }
  let status = await call(restart ? { restart } : {})
  const { bucket, buckets, startedAt: pass } = status
  const show = progressLine(bucket, EVERY_OBJECTS, status.last?.counts.objects)
  for (let pause = MIN_PAUSE; ; ) {
    const end = endOf(status, pass, wait)
    const counts = countsOf(status, pass)
    show(counts.objects, progressNumbers(status, counts), end !== null)
    if (end !== null)
      return { ...{ bucket, buckets, mode: status.mode, counts, ...end }, failing: status.failing }
    const { failure, failures, nextAt } = status
    if (failure !== null && failures >= MAX_FAILURES)
      throw new UsageError(printable(`${bucket}: ${failure.code}. ${failure.message}`))
    const due = nextAt === null ? 0 : Date.parse(nextAt) - Date.now()
    await delay(Math.max(Math.min(due, SOON), pause))
    const next = await call({ bucket, ...(pass !== null && { pass }) })
    // Without progress, this waits longer.
    pause = isSame(status, next) ? Math.min(2 * pause, MAX_PAUSE) : MIN_PAUSE
    status = next
  }
}

const isSame = (one: Status, other: Status): boolean =>
  JSON.stringify([one.phase, one.counts]) === JSON.stringify([other.phase, other.counts])

/** Returns why the command ends here, or null. */
function endOf(
  { phase, startedAt, stopped, collected, nextAt }: Status,
  pass: string | null,
  wait: boolean,
): Pick<WalkEnd, 'stopped' | 'collected' | 'waitsUntil'> | null {
  const none = { stopped: null, collected: 0, waitsUntil: null }
  if (startedAt !== pass || phase === 'idle') return none
  if (stopped !== null) return { ...none, stopped: stopped.reason }
  const isFar = nextAt !== null && Date.parse(nextAt) - Date.now() > SOON
  return phase === 'acting' && isFar && !wait ? { ...none, collected, waitsUntil: nextAt } : null
}

/** Returns the counts of a pass, also if the next one has begun. */
function countsOf({ startedAt, counts, last }: Status, pass: string | null): PassCounts {
  const found = startedAt === pass ? counts : last?.startedAt === pass && last.counts
  if (found) return found
  throw new UsageError('Somebody else walks through this bucket. Run this again later.')
}

function progressNumbers({ phase, collected }: Status, counts: PassCounts): string {
  const { objects, records, recorded, returned, updated, corrected, dropped, aborted } = counts
  const done = Object.entries({ recorded, returned, updated, corrected, dropped, aborted })
  const place =
    phase === 'acting' && collected > 0
      ? [`${counted(collected, 'second look', 'second looks')} to go`]
      : phase === 'uploads' || phase === 'entries'
        ? [`looks at ${phase}`]
        : []
  return [
    counted(objects, 'object'),
    counted(records, 'record'),
    ...done.flatMap(([name, count]) => (count > 0 ? [`${count} ${name}`] : [])),
    ...place,
  ].join(', ')
}
