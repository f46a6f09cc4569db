import type { Principal } from '../access/principal.ts'
import { type ApiError, asApiError, type ErrorCode, statusOf } from '../errors/api-error.ts'
import { describe, stackOf } from '../errors/describe.ts'
import type { WarningText } from '../errors/warnings.ts'
import type { AppContext } from './app-env.ts'
import type { LogLine } from './host.ts'

/** Logs the route's pattern, and no path, query, header or body: they hold keys and tokens. */
export function logRequest(
  c: AppContext,
  route: string | undefined,
  status: number,
  milliseconds: number,
): void {
  // Uses `c.get` for each, since `c.var` copies all variables into an object.
  const principal: Principal | undefined = c.get('principal')
  const failure: unknown = c.get('failure')
  const line: LogLine = {
    requestId: c.get('requestId'),
    method: c.req.method,
    route,
    status,
    milliseconds,
    principal: principal?.id,
    bucket: c.get('bucket'),
    cache: c.get('cacheStatus'),
    warning: c.get('warning'),
  }
  c.env.instance.log(failure === undefined ? line : { ...line, ...describeError(failure) })
}

/** Adds to the warnings in the log line of the request, unless they have it. */
export function addWarning(c: AppContext, text: WarningText): void {
  const warning = c.get('warning')
  if (warning?.includes(text)) return
  c.set('warning', warning === undefined ? text : `${warning}; ${text}`)
}

/**
 * Returns the reason of an error with its cause, such as `index: Error: no disk`, for the log. The cause of
 * a refusal is its exact reason, and that of invalid settings names them.
 */
export function loggedReason({ code, reason, cause }: ApiError): string | undefined {
  const isExact = code === 'unauthenticated' || code === 'link_invalid' || reason === 'settings'
  const why = cause === undefined ? [] : [code === 'internal' ? stackOf(cause) : describe(cause)]
  return [...(isExact || reason === undefined ? [] : [reason]), ...why].join(': ') || undefined
}

/** Returns why a request failed. Omits messages of client errors, which may quote the client. */
function describeError(failure: unknown): {
  readonly code?: ErrorCode
  readonly message?: string
  readonly reason?: string
} {
  const error = asApiError(failure)
  if (error === null) return { code: 'internal', reason: stackOf(failure) }
  const { code, message } = error
  const reason = loggedReason(error)
  return {
    code,
    ...(statusOf(error) >= 500 ? { message } : {}),
    ...(reason === undefined ? {} : { reason }),
  }
}
