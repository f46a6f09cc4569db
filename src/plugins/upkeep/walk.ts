import { walkEntries, walkUploads } from './leftovers.ts'
import { walkObjects } from './objects.ts'
import { stopReason, type WalkState } from './state.ts'
import { Step, type StepResult, type Walk } from './step.ts'

/** Failed keys that a step tries again. */
const RETRIES = 3

const PHASES: Readonly<Record<WalkState['phase'], (step: Step) => Promise<void>>> = {
  ...{ objects: walkObjects, uploads: walkUploads, entries: walkEntries },
  ...{ acting: act, idle: async () => undefined },
}

/**
 * Does the next step of a walk. Stays correct if the same step also runs elsewhere, at the same time or
 * later.
 */
export async function stepWalk(walk: Walk, state: WalkState, now: Date): Promise<StepResult> {
  const step = new Step(walk, state, now)
  try {
    await PHASES[state.phase](step)
    if (step.writes && !step.isOver) await retry(step)
  } catch (error) {
    step.fail(error)
  }
  return step.result()
}

/** Makes the changes that the pass has collected, if its counts allow that. Then the pass ends. */
async function act(step: Step): Promise<void> {
  const { store, name, pageSize } = step.walk
  if (!step.writes) return step.end()
  const reason = stopReason(step.state)
  if (reason !== null) return step.doubt(reason)
  const due = await store.due(name, ['collected'], step.now.getTime(), pageSize)
  if (due.length > 0) return void (await step.look(due))
  const { collected } = await store.status(name)
  if (collected === 0) step.end()
  else step.isWaiting = true
}

/** Tries again what has failed. */
async function retry(step: Step): Promise<void> {
  const { store, name } = step.walk
  const kinds = ['record', 'update', 'change'] as const
  await step.look(await store.due(name, kinds, step.now.getTime(), RETRIES))
}
