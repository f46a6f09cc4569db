import { within } from '../errors/deadline.ts'
import { describe } from '../errors/describe.ts'
import type { AppContext } from '../http/app-env.ts'
import { askInTime, uploadSeams } from '../http/deadline.ts'
import type { Change, ListedBytes, Reserve, UploadStep } from '../http/host.ts'
import { addWarning } from '../http/request-log.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { deepFreeze } from '../settings/rules.ts'

/** What plugins have reserved, the last one first. */
type Reserved = { readonly key: ObjectKey; readonly made: ReturnType<Reserve> }[]

/** Asks the plugins in order whether a change may happen. Throws the first refusal. */
export async function runChecks(c: AppContext, change: Change): Promise<void> {
  const by = { principal: c.get('principal') }
  for (const check of c.env.instance.seams.check)
    requireNothing('check', await askInTime(c, 'check', () => check(deepFreeze(change), by)))
}

/** Throws TypeError for an answer such as false, which its author may take for a refusal. */
export function requireNothing(name: 'check' | 'step' | 'settle', answer: unknown): void {
  if (answer !== undefined) throw new TypeError(`${name} returned a value. To refuse, it throws`)
}

/** Asks the plugins about a later step of an upload in parts, which they may refuse. */
export async function askAboutStep(
  c: AppContext,
  step: UploadStep,
  listedBytes: ListedBytes,
): Promise<void> {
  const by = { principal: c.get('principal'), listedBytes }
  for (const ask of uploadSeams(c).step)
    requireNothing('step', await askInTime(c, 'step', () => ask(step, by)))
}

/** Lets the plugins reserve a change, in order. `reserved` also gets what finishes late. */
export async function reserve(c: AppContext, change: Change, reserved: Reserved): Promise<void> {
  const by = { principal: c.get('principal') }
  for (const one of uploadSeams(c).reserve)
    await askInTime(c, 'reserve', () => {
      const made = one(deepFreeze(change), by)
      reserved.unshift({ key: change.key, made })
      return made
    })
}

/**
 * Undoes what is reserved, in the order of the list for each key. A failed undo is a warning in the
 * log. The deadline of the request doesn't apply, since it may be what failed.
 */
export async function undo(c: AppContext, reserved: Reserved): Promise<void> {
  const undoEach = async (ofKey: Reserved) => {
    for (const { made } of ofKey)
      await within(
        c.env.instance.appMilliseconds,
        // A reservation that failed has no undo, and its error is known.
        Promise.resolve(made).then(
          (undo) => undo?.(),
          () => undefined,
        ),
      ).catch((error) => addWarning(c, `reservation not undone: ${describe(error)}`))
  }
  await Promise.all([...Map.groupBy(reserved, ({ key }) => key).values()].map(undoEach))
}

/** Runs `work`, even after the client disconnects. If it fails, undoes what it has reserved. */
export function undoing<T>(c: AppContext, work: (reserved: Reserved) => Promise<T>): Promise<T> {
  const reserved: Reserved = []
  const done = work(reserved).catch(async (error: unknown) => {
    await undo(c, reserved)
    throw error
  })
  c.executionCtx.waitUntil(done.catch(() => undefined))
  return done
}
