// Rounded down, so that no limit appears larger than it is.
const number = new Intl.NumberFormat('en', { maximumFractionDigits: 1, roundingMode: 'floor' })
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'narrow' })
const date = new Intl.DateTimeFormat('en', { dateStyle: 'medium' })
const dateAndTime = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' })

const SIZES = [
  [1e12, 'TB'],
  [1e9, 'GB'],
  [1e6, 'MB'],
  [1e3, 'kB'],
] as const

const AGES = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
] as const

/** Returns a size such as `1.2 MB`, where a kB has 1000 bytes. */
export function sizeInWords(bytes: number): string {
  for (const [unit, name] of SIZES)
    if (bytes >= unit) return `${number.format(bytes / unit)} ${name}`
  return bytes === 1 ? '1 byte' : `${bytes} bytes`
}

/** Returns the size of all these files. */
export const bytesOf = (files: readonly { readonly size: number }[]): number =>
  files.reduce((sum, { size }) => sum + size, 0)

/** Returns a size such as `1.2 MB (1,234,567 bytes)`. */
export function exactSizeInWords(bytes: number): string {
  const size = sizeInWords(bytes)
  return bytes < 1000 ? size : `${size} (${bytes.toLocaleString('en')} bytes)`
}

/** Returns who recorded a file, for an `owner` of the index such as `key:ci/ann` (docs/api.md). */
export function ownerInWords(owner: string | null): string {
  if (owner === null) return 'unknown'
  if (/^(?:jwt|app):/.test(owner)) return `user ${owner.slice(4)}`
  const [, id = '', user] = /^(?:key:)?([^/]*)(?:\/(.*))?$/s.exec(owner) ?? []
  // Under `npm run dev` and with OPEN_ACCESS, callers on this machine need no key.
  const caller = id === 'localhost' ? 'local user' : `API key ${id}`
  return user === undefined ? caller : `user ${user} (${caller})`
}

/** Returns an age such as `5m ago`, or the date if it is a month or more. */
export function ageInWords(then: Date, now: Date): string {
  const seconds = Math.max(0, (now.getTime() - then.getTime()) / 1000)
  if (seconds >= 30 * 86_400) return date.format(then)
  for (const [unit, name] of AGES)
    if (seconds >= unit) return relative.format(-Math.floor(seconds / unit), name)
  return 'just now'
}

/** Returns a time such as `Nov 25, 2026, 2:30 PM`, in the browser's time zone. */
export const momentInWords = (then: Date): string => dateAndTime.format(then)

/** Returns how long something works, such as `until Nov 25, 2026, 2:30 PM`, or when it has ended. */
export const untilInWords = (deadline: Date, now: Date): string =>
  `${deadline > now ? 'until' : 'ended'} ${momentInWords(deadline)}`

/** Returns `3 files` for 3. */
export const filesInWords = (count: number): string =>
  count === 1 ? '1 file' : `${count.toLocaleString('en')} files`

/** Returns how often a link still works, such as `2 of 5 uses left`. Null is any number. */
export function usesInWords(left: number | null, uses: number | null): string {
  if (left === null || uses === null) return 'any number of uses'
  if (left === 0) return 'used up'
  return left === uses ? usesText(uses) : `${left.toLocaleString('en')} of ${usesText(uses)} left`
}

const usesText = (uses: number): string =>
  uses === 1 ? '1 use' : `${uses.toLocaleString('en')} uses`

/** Returns what a drop box has, such as `2 of 20 files`, `1.2 MB of 1 GB`. */
export const receivedInWords = (box: {
  readonly received: { readonly files: number; readonly bytes: number }
  readonly maxFiles: number
  readonly maxTotalBytes: number
}): string =>
  box.received.files === 0
    ? `nothing received, room for ${filesInWords(box.maxFiles)}`
    : `${box.received.files} of ${filesInWords(box.maxFiles)}, ${sizeInWords(box.received.bytes)} of ${sizeInWords(box.maxTotalBytes)}`

/** Letters that are written from right to left. */
const RIGHT_TO_LEFT =
  /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u

/** Returns a name that doesn't change the order of the words around it (UAX #9: FSI and PDI). */
export const nameInText = (name: string): string =>
  RIGHT_TO_LEFT.test(name) ? `\u2068${name}\u2069` : name

/** Returns `“a.png”`, or `“a.png” and 2 other files`. */
export const namesInWords = ([first = '', ...others]: readonly string[]): string =>
  others.length === 0
    ? `“${nameInText(first)}”`
    : `“${nameInText(first)}” and ${others.length} other ${others.length === 1 ? 'file' : 'files'}`
