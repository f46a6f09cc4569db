import { inTime, outOfTime, REQUEST_MILLISECONDS, RequestTime } from '../errors/deadline.ts'
import type { After } from '../records/file-event.ts'
import { type FileIndex, timedIndex } from '../records/file-index.ts'
import type { AppContext, SeamLists, UploadSeams } from './app-env.ts'

/** Returns the time with the request's deadline. Call it after the body was read. */
export const timeOf = (c: AppContext): RequestTime => new RequestTime(c.env.deadline)

/** Removes the deadline, since the client has sent a whole file. Calls keep their own limits. */
export function removeDeadline(c: AppContext): void {
  c.env.deadline = Infinity
}

/** Gives the request `seconds` from now, instead of its usual time. */
export function extendDeadline(c: AppContext, seconds: number): void {
  c.env.deadline = Date.now() + seconds * 1000
}

/** Resolves with the result of `work`, a call without its own limit. Throws `unavailable`. */
export const byDeadline = <T>(c: AppContext, work: () => T | Promise<T>): Promise<T> =>
  inTime(Infinity, timeOf(c), work)

/** Milliseconds in which a route may tell what it has done until the deadline. */
const LAST_WORDS_MILLISECONDS = 1000

/**
 * Resolves with the response of a plugin's route. Throws `unavailable` a second after the deadline of the
 * request, which may move meanwhile.
 */
export const endInTime = <T>(c: AppContext, response: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    let timer: ReturnType<typeof setTimeout> | null = null
    const wait = () => {
      const left = c.env.deadline + LAST_WORDS_MILLISECONDS - Date.now()
      if (left <= 0) return reject(outOfTime())
      timer = setTimeout(wait, Math.min(left, REQUEST_MILLISECONDS))
    }
    wait()
    const stop = () => {
      if (timer) clearTimeout(timer)
    }
    response.finally(stop).then(resolve, reject)
  })

/** Resolves with what was read of the body. The time that the client takes doesn't count. */
export function readInOwnTime<T>(c: AppContext, reading: Promise<T>): Promise<T> {
  const left = c.env.deadline - Date.now()
  c.env.deadline = Infinity
  return reading.then((body) => {
    c.env.deadline = Date.now() + left
    return body
  })
}

/** Resolves with the result of a function of the app or a plugin, or throws `unavailable`. */
export const askInTime = <T>(
  c: AppContext,
  name:
    | 'authenticate'
    | 'beforeUpload'
    | 'beforeDelete'
    | 'beforeDownload'
    | 'check'
    | 'reserve'
    | 'step'
    | 'settle',
  ask: () => T | Promise<T>,
): Promise<T> =>
  inTime(c.env.instance.appMilliseconds, timeOf(c), ask, () =>
    outOfTime(`${name} did not end in time`),
  )

/** Returns the index of files for this request. */
export const fileIndexOf = (c: AppContext): FileIndex => {
  const { fileIndex, appMilliseconds } = c.env.instance
  return timedIndex(fileIndex, timeOf(c), appMilliseconds)
}

/** Returns the function that announces changes, or null if nobody listens. */
export function afterOf(c: AppContext): After | null {
  const { after } = c.env.instance
  return after && ((...change) => byDeadline(c, () => after(...change)))
}

/** Returns the seams for uploads of this request's principal: those of the plugins and of its credential. */
export function uploadSeams(c: AppContext): Pick<SeamLists, keyof UploadSeams> {
  const { seams } = c.env.instance
  const own = c.get('uploadSeams')
  if (own === undefined) return seams
  return {
    reserve: [...seams.reserve, own.reserve],
    step: [...seams.step, own.step],
    settle: [...seams.settle, own.settle],
  }
}
