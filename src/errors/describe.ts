/**
 * Name and message of an error and of what caused it, for the log; URLs are left out, as a query
 * may hold a signature.
 */
export function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return withoutUrls(String(thrown))
  const own = withoutUrls(`${thrown.name}: ${thrown.message}`)
  return thrown.cause === undefined ? own : `${own}; ${describe(thrown.cause)}`
}

export const withoutUrls = (text: string): string => text.replace(/\bhttps?:\/\/\S+/g, '(URL)')
