/** A Worker waits for at most six responses at once. More requests would only use up their time. */
const CONNECTIONS = 6

/**
 * Calls `act` for each item, for at most six items at once. Resolves with the results, in the order
 * of the items. Throws what `act` throws first.
 */
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
