// Texts of the pages for visitors. The script of a page has them too, so this file imports nothing.

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const

/** Returns a size such as `1.2 MB`, rounded down, so that no limit appears larger than it is. */
export function sizeInWords(bytes: number): string {
  let power = 0
  while (power < UNITS.length - 1 && bytes >= 1000 ** (power + 1)) power++
  const tenths = Math.floor((10 * bytes) / 1000 ** power)
  return bytes === 1 ? '1 byte' : `${tenths / 10} ${UNITS[power]}`
}

/** Returns `3 files` for 3. */
export const filesInWords = (count: number): string => (count === 1 ? '1 file' : `${count} files`)

/**
 * Returns a date such as `November 28, 2026, 2:30 PM UTC`. Without a time zone, in that of the
 * machine.
 */
export const dateInWords = (
  date: Date,
  languages: string | readonly string[] = 'en',
  timeZone?: string,
): string =>
  date.toLocaleString(typeof languages === 'string' ? languages : [...languages], {
    ...({ year: 'numeric', month: 'long', day: 'numeric' } as const),
    ...({ hour: 'numeric', minute: '2-digit', timeZoneName: 'short' } as const),
    ...(timeZone === undefined ? {} : { timeZone }),
  })
