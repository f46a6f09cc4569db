import { type ItemError, isItemError } from './answers/files.ts'
import { isObject, isOptional, isString } from './check.ts'

/** The body of an error response of the API. */
type ErrorBody = ItemError & { readonly requestId?: string | undefined }

const hasRequestId = isObject({ requestId: isOptional(isString) })

export const isErrorBody = (value: unknown): value is ErrorBody =>
  isItemError(value) && hasRequestId(value)

/** Returns the message of an error, with what is wrong in the request. */
export const messageOf = ({ message, issues = [] }: ErrorBody): string =>
  [message, ...issues.map((issue) => `${issue.path} ${issue.message}.`)].join(' ')

/** Returns the members of `query` that are not undefined, as the search part of a URL. */
export function searchOf(query: object): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries<unknown>({ ...query }))
    if (value !== undefined) search.set(name, String(value))
  return search.size ? `?${search}` : ''
}

/**
 * Returns the value of `json`. Returns undefined if it is empty, and the text itself if it is not
 * JSON, such as the page of another server. The checks decide whether that is valid.
 */
export function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return json || undefined
  }
}
