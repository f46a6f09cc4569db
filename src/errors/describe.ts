/**
 * Returns the name and message of an error and its causes, for the log. Removes URLs, since a query
 * may contain a signature.
 */
export function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return withoutUrls(String(thrown))
  const own = withoutUrls(`${thrown.name}: ${thrown.message}`)
  return thrown.cause === undefined ? own : `${own}; ${describe(thrown.cause)}`
}

export const withoutUrls = (text: string): string => text.replace(/\bhttps?:\/\/\S+/g, '(URL)')
