const DAY_MILLISECONDS = 86_400_000
/** How far ahead a deadline of the API may be. */
const LONGEST_DAYS = 366

/**
 * Sets a field for a deadline to `then`, in the browser's time zone. It accepts what the API accepts, and
 * `then` itself.
 */
export function setMoment(field: HTMLInputElement, then: Date, now: Date): void {
  field.min = localText(then < now ? then : now)
  field.max = localText(daysAfter(now, LONGEST_DAYS))
  field.value = localText(then)
}

/** Returns the time in the field, for the API. */
export const momentIn = ({ value }: HTMLInputElement): string => new Date(value).toISOString()

export const daysAfter = (then: Date, days: number): Date =>
  new Date(then.getTime() + days * DAY_MILLISECONDS)

/** Returns a time as `<input type="datetime-local">` writes it, in minutes. */
const localText = (then: Date): string =>
  new Date(then.getTime() - then.getTimezoneOffset() * 60_000).toJSON().slice(0, 16)
