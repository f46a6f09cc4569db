import type { Principal } from '../access/principal.ts'
import { asApiError, type ErrorCode, STATUS_BY_CODE } from '../errors/api-error.ts'
import { describe, withoutUrls } from '../errors/describe.ts'
import type { WarningText } from '../errors/warnings.ts'
import type { AppContext } from './app-env.ts'

/**
 * Hands the one line of a request to the log. It holds the route's pattern in place of
 * the path, and no query, header or body, so that no key, signature or token can reach it.
 */
export function logRequest(
  c: AppContext,
  route: string | undefined,
  status: number,
  milliseconds: number,
): void {
  // One `c.get` each: `c.var` copies all variables into an object.
  const principal: Principal | undefined = c.get('principal')
  c.env.instance.log({
    requestId: c.get('requestId'),
    method: c.req.method,
    route,
    status,
    milliseconds,
    principal: principal?.id,
    bucket: c.get('bucket'),
    cache: c.get('cacheStatus'),
    warning: c.get('warning'),
    ...describeError(c.get('failure')),
  })
}

/** Adds to the warnings in the log line of the request. */
export function addWarning(c: AppContext, text: WarningText): void {
  const warning = c.get('warning')
  c.set('warning', warning === undefined ? text : `${warning}; ${text}`)
}

/** Why a request failed. The message of an error that is the client's may hold what it sent. */
function describeError(failure: unknown): {
  readonly code?: ErrorCode
  readonly message?: string
  readonly reason?: string
} {
  if (failure === undefined) return {}
  const error = asApiError(failure)
  if (error === null)
    return {
      code: 'internal',
      reason: withoutUrls((failure instanceof Error && failure.stack) || String(failure)),
    }
  const { code, message, cause } = error
  return {
    code,
    ...(STATUS_BY_CODE[code] >= 500 ? { message } : {}),
    ...(cause === undefined ? {} : { reason: describe(cause) }),
  }
}
