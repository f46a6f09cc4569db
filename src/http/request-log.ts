import type { Principal } from '../access/principal.ts'
import { asApiError, type ErrorCode, statusOf } from '../errors/api-error.ts'
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

/** Returns why a request failed. Omits messages of client errors, which may quote the client. */
function describeError(failure: unknown): {
  readonly code?: ErrorCode
  readonly message?: string
  readonly reason?: string
} {
  const error = asApiError(failure)
  if (error === null) return { code: 'internal', reason: stackOf(failure) }
  const { code, message, cause } = error
  return {
    code,
    ...(statusOf(error) >= 500 ? { message } : {}),
    ...(cause === undefined ? {} : { reason: describe(cause) }),
  }
}
