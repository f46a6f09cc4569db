import type { Context, MiddlewareHandler } from 'hono'
import { MAX_PARTS } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'
import type { AppContext, AppEnv } from '../http/app-env.ts'
import { addWarning } from '../http/request-log.ts'
import { isMediaType } from '../uploads/content-type.ts'
import { fittingMetadata } from '../uploads/signed-headers.ts'
import { S3_METADATA_NAME } from '../uploads/upload-fields.ts'

/** The type that S3 gives an object whose upload names none. */
export const DEFAULT_TYPE = 'application/octet-stream'

/** The headers of a request that Companion 2 to 4 lists. */
const COMPANION_HEADERS = [
  'accept',
  'authorization',
  'content-type',
  'origin',
  'uppy-auth-token',
  'uppy-credentials-params',
  'uppy-versions',
]

/**
 * Before everything else under `/s3`: errors carry their message as `error` too, where Uppy and
 * Companion look for it. Uppy 2 asks once by an OPTIONS request of its own, which is no preflight,
 * which headers it may send, and sends no others.
 */
export const uppyDialect: MiddlewareHandler<AppEnv> = function uppyDialect(c, next) {
  c.set('errorMembers', (message) => ({ error: message }))
  const corsHeaders = c.get('corsHeaders')
  if (c.req.method !== 'OPTIONS' || corsHeaders === undefined) return next()
  const name = 'Access-Control-Allow-Headers'
  c.set('corsHeaders', { ...corsHeaders, 'Access-Control-Expose-Headers': name })
  const loaded = c.env.instance.settings
  const ofJwt = loaded.ok ? loaded.settings.jwt?.header.toLowerCase() : undefined
  const allowed = new Set([...COMPANION_HEADERS, ...(ofJwt === undefined ? [] : [ofJwt])])
  const headers = { [name]: [...allowed].join(',') }
  return Promise.resolve(new Response(null, { status: 204, headers }))
}

/** What Companion answers to a malformed request. */
export const badRequest = (message: string): ApiError => new ApiError('invalid_request', message)

/** The object key in the query. Throws `invalid_request`. */
export function queryKey(c: Context<AppEnv>): string {
  const key = c.req.query('key')
  if (key) return key
  throw badRequest(
    's3: the object key must be passed as a query parameter. For example: "?key=abc.jpg"',
  )
}

/**
 * Part numbers as they appear in a URL; `subject` is Companion's word for them. Throws
 * `invalid_request`.
 */
export function partNumbers(texts: readonly string[], subject: 'number' | 'numbers'): number[] {
  const numbers = texts.map((text) => (/^\d{1,5}$/.test(text) ? Number(text) : 0))
  if (numbers.every((number) => number >= 1 && number <= MAX_PARTS)) return numbers
  throw badRequest(`s3: the part ${subject} must be a number between 1 and ${MAX_PARTS}.`)
}

/** A file has no value for some of its metadata: in a query, as `URLSearchParams` writes that. */
const NO_VALUES: readonly unknown[] = [null, undefined, 'null', 'undefined']

/**
 * Uppy's metadata as S3 takes it: names in lower case, every value a string. What S3 can't carry is
 * left out, as no one's upload should fail for it; the log says how much.
 */
export function s3Metadata(
  c: AppContext,
  metadata: Readonly<Record<string, unknown>>,
): Record<string, string> {
  const valued = Object.entries(metadata).filter(([, value]) => !NO_VALUES.includes(value))
  const named = Object.fromEntries(
    valued
      .filter(([name]) => S3_METADATA_NAME.test(name))
      .map(([name, value]) => [
        name.toLowerCase(),
        typeof value === 'string' ? value : JSON.stringify(value),
      ]),
  )
  const fitting = fittingMetadata(named)
  const leftOut = valued.length - Object.keys(fitting).length
  if (leftOut > 0) addWarning(c, `metadata left out: ${leftOut}`)
  return fitting
}

/** The type of a file as S3 takes it; undefined where the client has none. */
export function s3Type(type: string | null | undefined): string | undefined {
  if (!type) return undefined
  return isMediaType(type) ? type : DEFAULT_TYPE
}
