/** Returns a number with what it counts: `1 file`, `2 files`. Default for `several`: `one` with an "s". */
export const counted = (count: number, one: string, several = `${one}s`): string =>
  `${count} ${count === 1 ? one : several}`
