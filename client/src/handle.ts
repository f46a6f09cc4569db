/** The reason of a signal that stops an upload and keeps its parts. */
export const PAUSE = Symbol('pause')

/** An upload that can be paused. */
export interface UploadHandle<T> {
  /** Resolves with the record. Rejects if the upload fails or is canceled. Waits during a pause. */
  readonly done: Promise<T>
  /** Stops sending. The bucket keeps the parts of a File; any other upload starts again. */
  pause(): void
  /** Continues after a pause. */
  resume(): void
  /**
   * Stops the upload, or gives up one that is paused or has failed. Deletes its parts. `done` rejects
   * with `reason`, by default an AbortError.
   */
  cancel(reason?: unknown): void
}

/**
 * Starts `run`, and again after each pause, with a signal that aborts at the next pause or cancel. A
 * signal that is already aborted tells it to delete what an earlier run has left. `over` ends it in a
 * pause too, and deletes nothing.
 */
export function createHandle<T>(
  run: (signal: AbortSignal) => Promise<T>,
  over?: AbortSignal,
): UploadHandle<T> {
  let state: 'running' | 'paused' | 'failed' | 'over' = 'paused'
  let running = new AbortController()
  let resolve: (value: T) => void
  let reject: (reason: unknown) => void
  const done = new Promise<T>((fulfill, refuse) => {
    resolve = fulfill
    reject = refuse
  })
  done.catch(() => undefined) // for an app that doesn't look at it
  const handle: UploadHandle<T> = {
    done,
    pause() {
      if (state !== 'running') return
      state = 'paused'
      running.abort(PAUSE)
    },
    resume() {
      if (state !== 'paused') return
      state = 'running'
      const own = new AbortController()
      running = own
      run(own.signal).then(
        (value) => {
          state = 'over'
          resolve(value)
        },
        (error) => {
          if (own.signal.aborted) return
          state = 'failed'
          reject(error)
        },
      )
    },
    cancel(reason = new DOMException('The upload was canceled.', 'AbortError')) {
      if (state === 'running') running.abort(reason)
      else if (state !== 'over') run(AbortSignal.abort(reason)).catch(() => undefined)
      state = 'over'
      reject(reason)
    },
  }
  over?.addEventListener('abort', () => {
    if (state !== 'paused') return
    state = 'failed'
    reject(over.reason)
  })
  handle.resume()
  return handle
}
