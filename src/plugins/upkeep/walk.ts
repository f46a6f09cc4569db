import { identityOf, stopAtStart } from './brake.ts'
import { walkEntries, walkUploads } from './leftovers.ts'
import { walkObjects } from './objects.ts'
import { startWalk, type Walk } from './pass.ts'
import type { StepResult, WalkState } from './state.ts'
import { Step } from './step.ts'
import { beginPass, lookAtSuspects } from './suspects.ts'

/**
 * Does the next step of a walk. Resolves with a `failure` if a part of it failed: `state` has what is done.
 * Stays correct if the same step also runs elsewhere, at the same time or later.
 */
export async function stepWalk(walk: Walk, state: WalkState, now: Date): Promise<StepResult> {
  // A person has accepted another bucket, of which nothing is known.
  const isAccepted = state.stopped === null && state.accepted.includes('another bucket')
  const isOther = isAccepted && state.identity !== identityOf(walk.bucket)
  const step = new Step(walk, isOther ? startWalk(walk, now) : state, now)
  if (state.stopped !== null) return step.result()
  const reason = stopAtStart(state, walk.bucket)
  if (reason !== null) return step.stop(reason)
  try {
    await run(step)
  } catch (error) {
    step.fail(error)
  }
  return step.result()
}

async function run(step: Step): Promise<void> {
  const { phase, pages } = step.state
  if (phase === 'objects' && pages === 0) {
    const reason = await beginPass(step)
    if (reason !== null) return step.doubt(reason)
  }
  if (step.writes && step.walk.import === null) await lookAtSuspects(step)
  if (phase === 'objects') await walkObjects(step)
  else if (phase === 'uploads') await walkUploads(step)
  else await walkEntries(step)
}
