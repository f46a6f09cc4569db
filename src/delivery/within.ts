/** Resolves with the result of `work`. Throws Error if it takes longer than `milliseconds`. */
export async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('No response in time.')), milliseconds)
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * The same for one step of the Cache API, with two seconds. A link also works without the cache.
 */
export const withinCacheTime = <T>(work: Promise<T>): Promise<T> => within(2000, work)
