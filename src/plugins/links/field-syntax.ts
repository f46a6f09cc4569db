/** Parts of header values that several fields share (RFC 9110, §5.6). */

/** Returns the items of a list. Quotes may hold commas; a backslash escapes nothing (§8.8.3). */
export const listItems = (header: string): string[] =>
  (header.match(/(?:"[^"]*"?|[^,"])+/g) ?? []).map((item) => item.trim())

/** Returns the weights in `Accept` or `Accept-Encoding` (§12.4.2). A malformed one is NaN. */
export const weightsIn = (header: string): Map<string, number> =>
  new Map(
    listItems(header.toLowerCase()).map((item) => {
      const [name = '', ...parameters] = item.split(';').map((part) => part.trim())
      const weight = parameters.find((parameter) => parameter.startsWith('q=')) ?? 'q=1'
      return [name, Number(weight.slice('q='.length))]
    }),
  )

const LONG_DAY = /^(?:Sun|Mon|Tues|Wednes|Thurs|Fri|Satur)day, (\d\d)-(\w{3})-(\d\d) /
const SHORT_DAY = /^(\w{3} \w{3}) {2}(?=\d )/
const ASCTIME = /^(\w{3}) (\w{3}) (\d\d) ([\d:]{8}) (\d{4})$/

/**
 * Returns an HTTP-date, in any of its three forms (§5.6.7), in milliseconds since 1970, or NaN,
 * also for a wrong day or weekday. A year with two digits is at most 50 years after `now`.
 */
export function httpDate(text: string | null, now: Date): number {
  const date = (text ?? '')
    .replace(LONG_DAY, (start, day, month, digits) => {
      const last = now.getUTCFullYear() + 50
      const year = last - ((last - Number(digits)) % 100)
      return `${start.slice(0, 3)}, ${day} ${month} ${year} `
    })
    .replace(SHORT_DAY, '$1 0')
    .replace(ASCTIME, '$1, $3 $2 $5 $4 GMT')
  const time = Date.parse(date)
  return new Date(time).toUTCString() === date ? time : Number.NaN
}
