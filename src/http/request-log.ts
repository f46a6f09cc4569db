import type { Context } from 'hono'
import { matchedRoutes } from 'hono/route'
import { ApiError, type ErrorCode, STATUS_BY_CODE } from '../errors/api-error.ts'
import { describe, withoutUrls } from '../errors/describe.ts'
import type { AppEnv } from './app-env.ts'

/** What the log says of one request. Members that don't apply are missing. */
export interface LogLine {
  readonly requestId?: string | undefined
  readonly method: string
  readonly route?: string | undefined
  readonly status: number
  readonly milliseconds: number
  readonly principal?: string | undefined
  readonly bucket?: string | undefined
  readonly cache?: string | undefined
  readonly warning?: string | undefined
  readonly code?: ErrorCode | undefined
  readonly message?: string | undefined
  readonly reason?: string | undefined
}

/**
 * Hands the one line of a request to the log. It holds the route's pattern in place of
 * the path, and no query, header or body, so that no key, signature or token can reach it.
 */
export function logRequest(c: Context<AppEnv>, milliseconds: number): void {
  const vars: Partial<AppEnv['Variables']> = c.var
  c.env.instance.log({
    requestId: vars.requestId,
    method: c.req.method,
    route: routeName(c),
    status: c.res.status,
    milliseconds,
    principal: vars.principal?.id,
    bucket: vars.bucket,
    cache: vars.cacheStatus,
    warning: vars.warning,
    ...describeFault(vars.fault),
  })
}

/** Adds to the warnings in the log line of the request. */
export function addWarning(c: Context<AppEnv>, text: string): void {
  const vars: Partial<AppEnv['Variables']> = c.var
  c.set('warning', vars.warning === undefined ? text : `${vars.warning}; ${text}`)
}

/** Returns the route as the documentation writes it; undefined where none matched. */
const routeName = (c: Context<AppEnv>): string | undefined =>
  matchedRoutes(c).find(({ method }) => method !== 'ALL')?.path

/** Why a request failed. The message of an error that is the client's may hold what it sent. */
function describeFault(fault: Error | undefined): {
  readonly code?: ErrorCode
  readonly message?: string
  readonly reason?: string
} {
  if (fault === undefined) return {}
  if (!(fault instanceof ApiError))
    return { code: 'internal', reason: withoutUrls(fault.stack ?? String(fault)) }
  const { code, message, cause } = fault
  return {
    code,
    ...(STATUS_BY_CODE[code] >= 500 ? { message } : {}),
    ...(cause === undefined ? {} : { reason: describe(cause) }),
  }
}
