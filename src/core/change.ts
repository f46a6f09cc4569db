import { within } from '../errors/deadline.ts'
import { describe } from '../errors/describe.ts'
import type { AppContext } from '../http/app-env.ts'
import { askInTime } from '../http/deadline.ts'
import type { Change, Reserve } from '../http/host.ts'
import { addWarning } from '../http/request-log.ts'

/** What the plugins return for the reservations of a change, the last one first. */
export type Undos = ReturnType<Reserve>[]

/** Asks the plugins whether a change may happen. Throws what the first one throws that refuses. */
export async function runChecks(c: AppContext, change: Change): Promise<void> {
  const { checks, env } = c.env.instance
  const by = { principal: c.get('principal'), env }
  for (const check of checks) await askInTime(c, 'check', () => check(change, by))
}

/** Lets the plugins reserve a change, in order, and adds to `undos`, also for one that is late. */
export async function reserve(c: AppContext, change: Change, undos: Undos): Promise<void> {
  const { reserves, env } = c.env.instance
  const by = { principal: c.get('principal'), env }
  for (const one of reserves)
    await askInTime(c, 'reserve', () => {
      const made = one(change, by)
      undos.unshift(made)
      return made
    })
}

/**
 * Undoes what is reserved. A failed undo is a warning in the log. The request's deadline doesn't
 * apply, since it may be what failed.
 */
export async function undoEach(c: AppContext, undos: Undos): Promise<void> {
  for (const made of undos)
    await within(
      c.env.instance.appMilliseconds,
      // A reservation that failed has no undo, and its error is known.
      Promise.resolve(made).then(
        (undo) => undo?.(),
        () => undefined,
      ),
    ).catch((error) => addWarning(c, `reservation not undone: ${describe(error)}`))
}

/** Returns `work`, which continues after the client has gone, so that it can undo. */
export function untilDone<T>(c: AppContext, work: Promise<T>): Promise<T> {
  c.executionCtx.waitUntil(work.catch(() => undefined))
  return work
}
