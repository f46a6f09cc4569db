/** A Worker waits for at most six responses at once. More requests would only use up their time. */
const CONNECTIONS = 6

/** Returns the results of `act`, in order, for six items at once. Throws the first error. */
export async function sixAtOnce<Item, Result>(
  items: readonly Item[],
  act: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const rest = items.entries()
  const work = async (): Promise<void> => {
    for (const [index, item] of rest) results[index] = await act(item, index)
  }
  await Promise.all(Array.from({ length: Math.min(CONNECTIONS, items.length) }, work))
  return results
}
