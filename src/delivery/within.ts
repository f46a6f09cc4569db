/** What `work` resolves with; throws Error where it takes longer than that. */
export async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('No answer in time.')), milliseconds)
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** The same for one step of the Cache API, without which a link can do: two seconds. */
export const withinCacheTime = <T>(work: Promise<T>): Promise<T> => within(2000, work)
