import { PresignerError } from './presigner-error.ts'
import type { Stall } from './progress.ts'
import { unlessAborted } from './signals.ts'

const MAX_RETRIES = 10
/**
 * For an origin that has never responded. It takes at most 3.5 seconds if each try fails at once.
 */
const MAX_FIRST_RETRIES = 3
const LONGEST_FIRST_MILLISECONDS = 5000
const FIRST_PAUSE_MILLISECONDS = 500
const LONGEST_PAUSE_MILLISECONDS = 15_000

/** Statuses of a server that can answer no requests at the moment, or only fewer. */
const OUTAGES: readonly number[] = [0, 429, 502, 503, 504]

/** Requests that depend on the same server. During an outage, only one of them tries, for all. */
export interface Line {
  /** Why the last one failed. Undefined while the server responds. */
  error?: PresignerError | undefined
  /** Failed tries of this outage, when it began, and when the last one failed. */
  failures: number
  begun: number
  failedAt: number
  /** Resolves when the next one may try. */
  pause?: Promise<void> | undefined
  /** Resolves when the last one in the line has tried. */
  end?: Promise<void> | undefined
  /** How many wait in the line. */
  waiting: number
  /** How often the browser was offline. */
  restarts: number
}

/** Returns a line in which nobody waits. */
export function createLine(): Line {
  return { failures: 0, begun: 0, failedAt: 0, waiting: 0, restarts: 0 }
}

/**
 * Runs `act` again after temporary errors: no network, 408, 429, 5xx. Waits longer each time, with
 * jitter, for about a minute in total. While the browser is offline, waits without a limit, and
 * then starts over. Adds the Worker's Retry-After to the wait. During an outage, the requests of a
 * `line` try one after the other with these waits, and give up together. Calls `stall` with each
 * error before it waits; `act` calls its `stall` without an error if the server responds. If `act`
 * first waits for something else, and the line has an `error` by then, `act` throws that error to
 * join the line, unless it leads. Throws the last error, or the reason of `signal`.
 */
export async function withRetries<T>(
  signal: AbortSignal,
  act: (stall: Stall, leads: boolean) => Promise<T>,
  stall?: Stall,
  line: Line = createLine(),
): Promise<T> {
  let { restarts } = line
  for (let retry = 0; ; retry++) {
    let leave: (() => void) | undefined
    const watch: Stall = (error) => {
      stall?.(error)
      if (!error) proceeds()
    }
    // A try that was already on its way says nothing new.
    const isNew = () => !line.error || triedAt > line.failedAt
    // Bytes on their way are no response, so the outage may go on.
    const proceeds = () => {
      if (isNew()) line.error = undefined
      leave?.()
    }
    const responds = () => {
      if (isNew()) line.failures = 0
      proceeds()
    }
    const giveUp = (error: unknown): never => {
      if (!line.waiting) end(line)
      throw error
    }
    let leads = false
    let own: Promise<void> | undefined
    let triedAt = 0
    try {
      signal.throwIfAborted()
      if (line.error) {
        stall?.(line.error)
        leave = await takeTurn(line, signal)
      }
      if (restarts !== line.restarts) retry = 0
      restarts = line.restarts
      triedAt = Date.now()
      leads = line.error !== undefined
      const value = await act(watch, leads)
      stall?.()
      responds()
      return value
    } catch (error) {
      if (signal.aborted) giveUp(signal.reason)
      if (!(error instanceof PresignerError) || !triedAt) return giveUp(error)
      if (error === line.error && !leads) {
        retry--
        continue
      }
      const isOutage = error.retryable && OUTAGES.includes(error.status)
      if (error.status && !isOutage) responds()
      if (isOutage && isNew()) {
        if (!line.failures) line.begun = triedAt
        Object.assign(line, { error, failedAt: Date.now() })
        line.pause = pauseAfter(error, line.failures++, line)
      }
      const most = retriesAfter(error, Date.now() - line.begun)
      if (!error.retryable || retry >= most || (isOutage && line.failures > most)) giveUp(error)
      // In the line, `stall` is called before the next try.
      if (!isOutage || retry >= line.failures) {
        stall?.(error)
        own = pauseAfter(error, retry, line)
      }
    } finally {
      leave?.()
    }
    await unlessAborted(own, signal)
  }
}

/** Ends an outage that nobody waits for, so that the next request tries at once. */
const end = (line: Line): void => void Object.assign(line, { error: undefined, failures: 0 })

/**
 * Resolves when all earlier requests have tried, and the pause after the last one is over. Returns a
 * function that lets the next one try. Throws the error of an outage that took too long.
 */
async function takeTurn(line: Line, signal: AbortSignal): Promise<() => void> {
  const before = line.end
  let leave = () => {}
  const left = new Promise<void>((resolve) => {
    leave = resolve
  })
  line.end = Promise.resolve(before).then(() => left)
  line.waiting++
  try {
    await unlessAborted(before, signal)
    const { error } = line
    if (!error) leave()
    else if (line.failures > retriesAfter(error, Date.now() - line.begun)) throw error
    else await unlessAborted(line.pause, signal)
    return leave
  } catch (error) {
    leave()
    if (line.waiting === 1) end(line)
    throw error
  } finally {
    line.waiting--
  }
}

/** Resolves after the pause before the next try. If the browser is offline then, waits for it. */
async function pauseAfter({ retryAfter }: PresignerError, retry: number, line: Line) {
  const pause = Math.min(FIRST_PAUSE_MILLISECONDS * 2 ** retry, LONGEST_PAUSE_MILLISECONDS)
  await online(retryAfter * 1000 + pause * (0.5 + Math.random() / 2))
  if (navigator.onLine) return
  await online()
  Object.assign(line, { failures: 0, begun: Date.now(), restarts: line.restarts + 1 })
}

const retriesAfter = ({ code }: PresignerError, milliseconds: number): number =>
  code !== 'unreachable'
    ? MAX_RETRIES
    : milliseconds > LONGEST_FIRST_MILLISECONDS
      ? 0
      : MAX_FIRST_RETRIES

/** Resolves when the browser is online again, or after `milliseconds`. */
const online = (milliseconds?: number): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      removeEventListener('online', done)
      resolve()
    }
    const timer = milliseconds === undefined ? 0 : setTimeout(done, milliseconds)
    addEventListener('online', done)
  })
