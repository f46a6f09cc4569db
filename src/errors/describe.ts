/** How many causes of an error the log shows, since a cause may lead back to its error. */
const MAX_CAUSES = 8

/**
 * Returns the name and message of an error and its causes, for the log. Removes URLs, since a query
 * may contain a signature. Never throws, whatever was thrown.
 */
export const describe = (thrown: unknown): string => shown(() => messages(thrown, MAX_CAUSES))

/** Returns the stack of an error, or what else was thrown, like `describe`. */
export const stackOf = (thrown: unknown): string =>
  shown(() => (thrown instanceof Error && thrown.stack) || textOf(thrown))

/** Returns the class of what was thrown, for everyone. A message may contain a secret. */
export function classOf(thrown: unknown): string {
  const name = shown(() => (thrown instanceof Error ? thrown.name : typeof thrown))
  return /^\w{1,64}$/.test(name) ? name : 'Error'
}

function messages(thrown: unknown, left: number): string {
  if (!(thrown instanceof Error)) return textOf(thrown)
  const own = `${thrown.name}: ${thrown.message}`
  return thrown.cause === undefined || left === 0
    ? own
    : `${own}; ${messages(thrown.cause, left - 1)}`
}

/** Some libraries throw objects that are no errors, but have a message. */
function textOf(thrown: unknown): string {
  const { message } = Object(thrown)
  return String(typeof message === 'string' ? message : thrown)
}

/** Returns the text that `show` creates from what an app has thrown, which may be anything. */
function shown(show: () => unknown): string {
  try {
    return withoutUrls(String(show()))
  } catch {
    return 'a value that has no text was thrown'
  }
}

export const withoutUrls = (text: string): string => text.replace(/\bhttps?:\/\/\S+/g, '(URL)')
