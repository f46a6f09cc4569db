const BAR = 20

/** Returns a bar, or nothing if the total isn't known. */
export function bar(done: number, total: number | undefined): string {
  if (!total) return ''
  const full = Math.min(BAR, Math.floor((BAR * done) / total))
  return `[${'#'.repeat(full)}${'-'.repeat(BAR - full)}] `
}

/**
 * Returns a function that shows `numbers`: on a terminal in one line, with a bar if the total is known,
 * and otherwise in a new line whenever `done` has grown by `every`, and at the end.
 */
export function progressLine(what: string, every: number, total: number | undefined) {
  const isTerminal = process.stdout.isTTY === true
  let last = 0
  return (done: number, numbers: string, isEnd: boolean): void => {
    const isDue = isEnd || done >= last + every
    if (isTerminal)
      process.stdout.write(`\r\u001b[2K${what}: ${bar(done, total)}${numbers}${isEnd ? '\n' : ''}`)
    else if (isDue) console.log(`${what}: ${numbers}`)
    if (isDue) last = done
  }
}
