/** The median of several measurements, and their range. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** Returns the median, minimum and maximum of `values`. Throws if it is empty. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const [min, max] = [sorted[0], sorted.at(-1)]
  if (min === undefined || max === undefined) throw new Error('Nothing was measured.')
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? max
  const lower = sorted.length % 2 === 1 ? upper : (sorted[middle - 1] ?? min)
  return { median: (lower + upper) / 2, min, max }
}

/**
 * Measures each of `subjects` once per round, in turn. Each round starts with another one, so that
 * other work of the machine affects all of them equally. Returns the measurements of each, in the
 * order of the rounds.
 */
export async function interleave<Name extends string, T>(
  subjects: Readonly<Record<Name, () => Promise<T>>>,
  rounds: number,
): Promise<Record<Name, T[]>> {
  const names = Object.keys(subjects) as Name[]
  const measured = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<
    Name,
    T[]
  >
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + turn) % names.length]
      if (name !== undefined) measured[name].push(await subjects[name]())
    }
  return measured
}

/** Returns the spread of `a / b`, computed within each round. */
export const ratio = (a: readonly number[], b: readonly number[]): Spread =>
  spread(a.map((value, round) => value / (b[round] ?? Number.NaN)))
