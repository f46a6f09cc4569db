/**
 * A model of moves that meet: it tries every order of their steps, and reports the ids of files that are
 * lost. All objects have the same bytes, so that every ETag is the same. `src/plugins/copies/` follows the
 * steps, whose names are the same there.
 */

/**
 * Time is what passes at once, without a step: a move sends its last request before it has passed twice,
 * and a request takes effect before it has passed twice more.
 */
const DEADLINE = 2

export type Key = 'A' | 'B' | 'C'

/** An object. `id` tells whose file it is: nobody but the model can see it. */
interface StoredObject {
  readonly id: number
  readonly date: number
  /** Whether somebody has recorded it as their file. */
  readonly isRecorded: boolean
}

/** What a move notes for its repeat, with the key of its target. */
interface Journal {
  /** Another one for each note, and that of what the source's key had then. */
  readonly id?: number
  readonly sourceId?: number | undefined
  readonly from: Key
  /** Date of the source. */
  readonly source: number
  readonly wasVacant: boolean
  /** Date of the copy, or null before the bucket has answered. */
  readonly target: number | null
}

/** A request of a client. It is not sent before the one with the number `after` has ended. */
export type Act = { readonly after?: number } & (
  | { readonly move: readonly [from: Key, to: Key]; readonly overwrite?: boolean }
  | { readonly put: Key; readonly id: number }
  | { readonly remove: Key }
)

/** The rules of moves. Without one of them, some order loses a file. */
export interface Rules {
  /** A move holds both keys, or does nothing. */
  readonly holdsKeys: boolean
  /** Time after which others may have the keys of a move: more than two deadlines have. */
  readonly lease: number
  /** A move sends no copy and no DELETE after its deadline. */
  readonly endsInTime: boolean
  /** A move keeps its keys if the bucket has not answered a copy or a DELETE. */
  readonly keepsUnanswered: boolean
  /** A move looks at the source right before it deletes it. */
  readonly looksAtSource: boolean
  /** A move looks at the target right before it deletes the source. */
  readonly looksAtTarget: boolean
  /** A target is that of an earlier move only if a journal says so. Otherwise, any equal object is. */
  readonly hasJournal: boolean
  /** The target has the date of the journal. */
  readonly comparesDate: boolean
  /** No other copy or move has written to the source since the note. */
  readonly comparesNotes: boolean
  /** A move that was not answered doesn't copy over a file that somebody has recorded. */
  readonly sparesRecorded: boolean
}

export const RULES: Rules = {
  holdsKeys: true,
  lease: 3,
  endsInTime: true,
  keepsUnanswered: true,
  looksAtSource: true,
  looksAtTarget: true,
  hasJournal: true,
  comparesDate: true,
  comparesNotes: true,
  sparesRecorded: true,
}

export interface Scenario {
  readonly objects: Partial<Record<Key, StoredObject>>
  readonly journals?: Partial<Record<Key, Journal>>
  readonly acts: readonly Act[]
  /** How often time may pass. */
  readonly jumps?: number
  /** How many moves may be killed, or get no answer of the bucket. */
  readonly losses?: number
  /** Whether objects that are written while no time passes have the same date, as within a second. */
  readonly hasCoarseDates?: boolean
}

const STEPS = [
  'lock',
  'look at the source',
  'look at the target',
  'note the source',
  'copy',
  'note the target',
  'record',
  'look at the source again',
  'look at the target again',
  'delete',
] as const

type Step = (typeof STEPS)[number] | 'done'

/** How far a request is. Puts and deletes are done in one step. */
interface Progress {
  step: Step
  lockedAt: number
  /** Dates of the source, as it was seen, and of the copy. */
  source: number
  target: number
  wasVacant: boolean
  /** Whether the copy may replace an object. */
  replaces: boolean
}

/** A copy or a DELETE that the bucket has not answered. It takes effect by its deadline, or never. */
interface Flight {
  readonly act: number
  readonly kind: 'copy' | 'delete'
  readonly sentAt: number
  readonly replaces: boolean
}

const NOT_STARTED: Progress = {
  ...{ step: 'lock', lockedAt: 0, source: 0, target: 0, wasVacant: false, replaces: false },
}

interface State {
  now: number
  /** How many objects and journals were written. */
  writes: number
  notes: number
  objects: Partial<Record<Key, StoredObject>>
  locks: Partial<Record<Key, { act: number; at: number }>>
  journals: Partial<Record<Key, Journal>>
  progress: Progress[]
  flights: Flight[]
  /** Ids of files that somebody has replaced or deleted on purpose. */
  ended: number[]
  jumps: number
  losses: number
}

/** Returns the first order that loses a file, or null, and how many states were tried. */
export function explore(
  { objects, journals = {}, acts, jumps = 0, losses = 0, hasCoarseDates = false }: Scenario,
  rules: Rules = RULES,
): { readonly states: number; readonly loss: string | null } {
  const seen = new Set<string>()
  let loss: string | null = null
  const ids = [
    ...Object.values(objects).map(({ id }) => [id, null] as const),
    ...acts.flatMap((act, i) => ('put' in act ? [[act.id, i] as const] : [])),
  ]
  const isDone = ({ progress }: State, act: number | null) =>
    act === null || progress[act]?.step === 'done'

  function visit(state: State, trace: readonly string[]): void {
    const name = JSON.stringify(state)
    if (loss !== null || seen.has(name)) return
    seen.add(name)
    const left = new Set(Object.values(state.objects).map(({ id }) => id))
    if (ids.some(([id, put]) => isDone(state, put) && !left.has(id) && !state.ended.includes(id))) {
      loss = trace.join(', ')
      return
    }
    const next = (what: string, change: (next: State) => void) => {
      const copy = structuredClone(state)
      change(copy)
      visit(copy, [...trace, what])
    }
    if (state.jumps > 0)
      next('time passes', (to) => {
        to.jumps -= 1
        to.now += 1
      })
    for (const [i, flight] of state.flights.entries())
      if (state.now - flight.sentAt < DEADLINE)
        next(`${flight.act}: ${flight.kind} takes effect late`, (to) => {
          to.flights.splice(i, 1)
          takeEffect(to, flight.act, flight.kind, flight.replaces)
        })
    for (const [i, act] of acts.entries()) {
      const { step } = state.progress[i] ?? {}
      if (step === undefined || step === 'done' || !isDone(state, act.after ?? null)) continue
      if ('move' in act) {
        const what = `${i} (${act.move.join('>')}): `
        next(what + step, (to) => advance(to, i))
        if (state.losses > 0) next(`${what}lost at "${step}"`, (to) => lose(to, i, step))
      } else if (mayChange(state, 'put' in act ? act.put : act.remove))
        next(`${i}: ${'put' in act ? `put ${act.put}` : `remove ${act.remove}`}`, (to) =>
          change(to, i, act),
        )
    }
  }

  function write(state: State, key: Key, id: number, isRecorded: boolean): number {
    state.writes += 1
    const date = hasCoarseDates ? state.now : state.writes
    state.objects[key] = { id, date, isRecorded }
    return date
  }

  /** Notes that somebody ends the file under `key` on purpose, unless it is recorded under another key too. */
  function end({ objects: stored, ended }: State, key: Key): void {
    const id = stored[key]?.id
    const isElsewhere = Object.entries(stored).some(
      ([other, object]) => other !== key && object.id === id && object.isRecorded,
    )
    if (id !== undefined && !isElsewhere) ended.push(id)
  }

  /**
   * Whether somebody may change this object without a lock. What the documentation names as a remaining risk
   * is left out: between the last look of a move and its DELETE, and before a copy without a condition.
   */
  function mayChange({ progress, flights }: State, key: Key): boolean {
    const isAtRisk = (i: number, step: Step, replaces: boolean) => {
      const act = acts[i]
      if (act === undefined || !('move' in act) || !act.move.includes(key)) return false
      if (step === 'copy' || step === 'note the source') return replaces
      return step === 'look at the target again' || step === 'delete'
    }
    return (
      progress.every(({ step, replaces }, i) => !isAtRisk(i, step, replaces)) &&
      flights.every(({ act, kind, replaces }) => !isAtRisk(act, kind, replaces))
    )
  }

  function change(state: State, i: number, act: Act): void {
    if ('put' in act) {
      end(state, act.put)
      write(state, act.put, act.id, true)
    } else if ('remove' in act) {
      end(state, act.remove)
      delete state.objects[act.remove]
    }
    finish(state, i)
  }

  const finish = (state: State, i: number): void => {
    release(state, i)
    state.progress[i] = { ...NOT_STARTED, step: 'done' }
  }

  function release(state: State, i: number): void {
    for (const key of ['A', 'B', 'C'] as const)
      if (state.locks[key]?.act === i) delete state.locks[key]
  }

  /** The Worker is killed, or gets no answer. What the bucket does with the request is open. */
  function lose(state: State, i: number, step: Step): void {
    state.losses -= 1
    const { replaces = false } = state.progress[i] ?? {}
    state.progress[i] = { ...NOT_STARTED, step: 'done' }
    if (step !== 'copy' && step !== 'delete') return
    if (isLate(state, i)) return
    state.flights.push({ act: i, kind: step, sentAt: state.now, replaces })
    if (!rules.keepsUnanswered) release(state, i)
  }

  const isLate = ({ now, progress }: State, i: number): boolean =>
    rules.endsInTime && now - (progress[i]?.lockedAt ?? 0) >= DEADLINE

  /** The bucket copies or deletes. Returns the date of the copy, or null if a condition fails. */
  function takeEffect(
    state: State,
    i: number,
    kind: Flight['kind'],
    replaces: boolean,
  ): number | null {
    const act = acts[i]
    if (act === undefined || !('move' in act)) return null
    const [from, to] = act.move
    if (kind === 'delete') {
      delete state.objects[from]
      return null
    }
    const source = state.objects[from]
    const old = state.objects[to]
    // The condition on the source's ETag holds for every equal object.
    if (source === undefined || (old !== undefined && !replaces)) return null
    if (old !== undefined && old.id !== source.id && act.overwrite) end(state, to)
    return write(state, to, source.id, false)
  }

  /** Does the current step of a move, and returns the next one. "done" also is what ends it early. */
  function nextStep(state: State, i: number, progress: Progress): Step {
    const act = acts[i]
    if (act === undefined || !('move' in act)) return 'done'
    const [from, to] = act.move
    const { overwrite = false } = act
    const [source, target] = [state.objects[from], state.objects[to]]
    const note = (date: number | null) => {
      const { source, wasVacant } = progress
      state.notes += 1
      const ids = { id: state.notes, sourceId: state.journals[from]?.id }
      state.journals[to] = { ...ids, from, source, wasVacant, target: date }
    }
    switch (progress.step) {
      case 'lock': {
        const isBusy = ([from, to] as const).some((key) => {
          const lock = state.locks[key]
          return lock !== undefined && state.now - lock.at < rules.lease
        })
        if (rules.holdsKeys && isBusy) return 'done'
        for (const key of [from, to]) state.locks[key] = { act: i, at: state.now }
        progress.lockedAt = state.now
        return 'look at the source'
      }
      case 'look at the source':
        if (source === undefined) return 'done'
        progress.source = source.date
        return 'look at the target'
      case 'look at the target': {
        const found = state.journals[to]
        const isOurs =
          found?.from === from &&
          found.source === progress.source &&
          (found.sourceId === state.journals[from]?.id || !rules.comparesNotes)
        const ours = isOurs ? found : undefined
        progress.wasVacant = target === undefined
        progress.replaces = overwrite
        if (target === undefined) return 'note the source'
        const isCopied =
          !rules.hasJournal ||
          (ours !== undefined &&
            ours.target !== null &&
            (ours.target === target.date || !rules.comparesDate))
        if (isCopied) {
          progress.target = target.date
          return 'look at the source again'
        }
        if (overwrite) return 'note the source'
        const isUnanswered = ours?.wasVacant === true && ours.target === null
        if (!isUnanswered || (rules.sparesRecorded && target.isRecorded)) return 'done'
        progress.wasVacant = true
        progress.replaces = true
        return 'note the source'
      }
      case 'note the source':
        note(null)
        return 'copy'
      case 'copy': {
        const date = isLate(state, i) ? null : takeEffect(state, i, 'copy', progress.replaces)
        if (date === null) return 'done'
        progress.target = date
        return 'note the target'
      }
      case 'note the target':
        note(progress.target)
        return 'record'
      case 'record':
        if (target?.date !== progress.target) return 'done'
        state.objects[to] = { ...target, isRecorded: true }
        return 'look at the source again'
      case 'look at the source again':
        if (rules.looksAtSource && source?.date !== progress.source) return 'done'
        return 'look at the target again'
      case 'look at the target again':
        if (rules.looksAtTarget && target?.date !== progress.target) return 'done'
        return 'delete'
      default:
        if (!isLate(state, i)) takeEffect(state, i, 'delete', false)
        return 'done'
    }
  }

  function advance(state: State, i: number): void {
    const progress = state.progress[i]
    if (progress === undefined) return
    progress.step = nextStep(state, i, progress)
    if (progress.step === 'done') finish(state, i)
  }

  const first = {
    ...{
      now: 0,
      writes: 0,
      notes: 0,
      objects,
      journals,
      locks: {},
      flights: [],
      ended: [],
      jumps,
      losses,
    },
    progress: acts.map(() => ({ ...NOT_STARTED })),
  }
  visit(structuredClone(first), [])
  return { states: seen.size, loss }
}

/** An object that was uploaded and recorded long ago. */
export const stored = (id: number, date = -1000): StoredObject => ({ id, date, isRecorded: true })
