/** What Windows, macOS or Linux refuses in a file name, and what a ZIP reads as a folder. */
const REFUSED = /[\p{Cc}\p{Cs}/\\:*?"<>|]/gu
/** Names of Windows devices, whatever the extension. */
const DEVICE = /^(?:con|prn|aux|nul|(?:com|lpt)[0-9¹²³]) *(?:\.|$)/i
/** UTF-8 bytes. Linux has 255, and a number needs some of them, such as ` (10000)`. */
const MAX_BYTES = 240

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
    const safe = name.replace(REFUSED, '_').replace(/^\.+|[. ]+$/g, '_') || '_'
    const [start, end] = split(DEVICE.test(safe) ? `_${safe}` : safe)
    const plain = start + end
    let number = numbers.get(folded(plain)) ?? 1
    let unique = plain
    while (used.has(folded(unique))) unique = `${start} (${++number})${end}`
    numbers.set(folded(plain), number)
    used.add(folded(unique))
    return unique
  })
}

const folded = (name: string): string => name.normalize('NFC').toLowerCase()

/** Returns what is before the extension, cut off if the name is too long, and the extension. */
function split(name: string): readonly [start: string, end: string] {
  const dot = name.lastIndexOf('.')
  const extension = dot > 0 ? name.slice(dot) : ''
  const end = bytesOf(extension) > MAX_BYTES / 2 ? '' : extension
  const whole = name.slice(0, name.length - end.length)
  if (bytesOf(name) <= MAX_BYTES) return [whole, end]
  let start = ''
  for (const character of whole) {
    if (bytesOf(start + character + end) > MAX_BYTES) break
    start += character
  }
  return [start, end]
}

const bytesOf = (text: string): number => new TextEncoder().encode(text).length
