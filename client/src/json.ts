import {
  type Checked,
  each,
  isBoolean,
  isListOf,
  isNullOr,
  isObject,
  isOptional,
  isString,
} from './check.ts'
import type { ApiErrorCode } from './error-code.ts'
import type { Issue } from './presigner-error.ts'

export const isIssue = isObject<Issue>(each(isString, 'path', 'message'))

/** Accepts the body of an error response of the API. */
export const isErrorBody = isObject({
  code: (value): value is ApiErrorCode => isString(value),
  message: isString,
  requestId: isOptional(isString),
  reason: isOptional(isString),
  etag: isOptional(isNullOr(isString)),
  deleted: isOptional(isBoolean),
  issues: isOptional(isListOf(isIssue)),
})

/** Returns the message of an error, with what is wrong in the request. */
export const messageOf = ({ message, issues = [] }: Checked<typeof isErrorBody>): string =>
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
