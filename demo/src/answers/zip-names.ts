/** What no folder of Windows, macOS or Linux can have in a name, and what a ZIP takes for a folder. */
const REFUSED = /[\p{Cc}/\\:*?"<>|]/gu

/**
 * Returns these names as names of files in one folder, in the same order: `a.png`, `a (2).png`. Names
 * are different on systems that ignore case too. `taken` are used already.
 */
export function uniqueNames(
  names: readonly string[],
  taken: readonly string[] = [],
): readonly string[] {
  const used = new Set(taken.map(folded))
  /** The last number of each name, so that a thousand equal names take a thousand steps. */
  const numbers = new Map<string, number>()
  return names.map((name) => {
    const plain = name.replace(REFUSED, '_').replace(/^\.+|[. ]+$/g, '_') || '_'
    const dot = plain.lastIndexOf('.')
    const [start, end] = dot > 0 ? [plain.slice(0, dot), plain.slice(dot)] : [plain, '']
    let number = numbers.get(folded(plain)) ?? 1
    let unique = plain
    while (used.has(folded(unique))) unique = `${start} (${++number})${end}`
    numbers.set(folded(plain), number)
    used.add(folded(unique))
    return unique
  })
}

const folded = (name: string): string => name.normalize('NFC').toLowerCase()
