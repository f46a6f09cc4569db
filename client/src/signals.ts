/** Returns a signal that aborts with the first of these. */
export const anySignal = (...signals: readonly (AbortSignal | undefined)[]): AbortSignal =>
  AbortSignal.any(signals.filter((signal) => signal !== undefined))

/** Settles as `promise`. Rejects with the reason of `signal` before that. */
export const unlessAborted = <T>(
  promise: T | Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> =>
  new Promise((resolve, reject) => {
    const stop = () => reject(signal?.reason)
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop)
    Promise.resolve(promise)
      .then(resolve, reject)
      .then(() => signal?.removeEventListener('abort', stop))
  })
