import type { Context, MiddlewareHandler } from 'hono'
import type { Bucket } from '../../bucket/bucket.ts'
import { MAX_PARTS } from '../../bucket/limits.ts'
import { reservedNameError, S3_METADATA_NAME } from '../../bucket/upload-fields.ts'
import { isMediaType } from '../../core/content-type.ts'
import { fittingMetadata } from '../../core/signed-headers.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { AppContext, AppEnv } from '../../http/app-env.ts'
import { addWarning } from '../../http/request-log.ts'
import { longestLifetime } from '../../signing/expiry.ts'
import type { PartToSign } from '../multipart/index.ts'

/** S3's default type of an object. */
export const DEFAULT_TYPE = 'application/octet-stream'

/** The request headers that Companion 2 to 4 allows. */
const COMPANION_HEADERS =
  'accept,authorization,content-type,origin,uppy-auth-token,uppy-credentials-params,uppy-versions'

/**
 * Runs before everything else under `/s3`. Errors also have their message as `error`, where Uppy
 * and Companion look for it. Uppy 2 sends its own OPTIONS request, which is not a preflight, to
 * find the allowed headers. It sends no others.
 */
export const uppyDialect: MiddlewareHandler<AppEnv> = function uppyDialect(c, next) {
  c.set('errorMembers', (message) => ({ error: message }))
  const corsHeaders = c.get('corsHeaders')
  if (c.req.method !== 'OPTIONS' || corsHeaders === undefined) return next()
  const name = 'Access-Control-Allow-Headers'
  c.set('corsHeaders', { ...corsHeaders, 'Access-Control-Expose-Headers': name })
  const { identify } = c.env.instance.seams
  const own = identify.map((one) => 'header' in one && one.header?.toLowerCase())
  const allowed = new Set([...COMPANION_HEADERS.split(','), ...own.filter(Boolean)])
  const headers = { [name]: [...allowed].join(',') }
  return Promise.resolve(new Response(null, { status: 204, headers }))
}

/** Returns the error for a malformed request, with Companion's message. */
export const badRequest = (message: string): ApiError => new ApiError('invalid_request', message)

/** Returns `fileName`, which Uppy always sends, and `objectKey`: `key` has other meanings there. */
export const namesOf = (
  fileName: string,
  key: string | null | undefined,
  overwrite: boolean | null | undefined,
) => (key == null ? { fileName } : { fileName, key, overwrite: overwrite ?? undefined })

/** Returns the object key in the query. Throws `invalid_request`. */
export function queryKey(c: Context<AppEnv>): string {
  const key = c.req.query('key')
  if (key) return key
  throw badRequest(
    's3: the object key must be passed as a query parameter. For example: "?key=abc.jpg"',
  )
}

/** Returns the parts of a URL. `subject` is Companion's word. Throws `invalid_request`. */
export function partsIn(texts: readonly string[], subject: 'number' | 'numbers'): PartToSign[] {
  const numbers = texts.map((text) => (/^\d{1,5}$/.test(text) ? Number(text) : 0))
  if (numbers.every((number) => number >= 1 && number <= MAX_PARTS))
    return numbers.map((partNumber) => ({ partNumber }))
  throw badRequest(`s3: the part ${subject} must be a number between 1 and ${MAX_PARTS}.`)
}

/** Values of members that a file doesn't have. `URLSearchParams` writes them as text. */
const NO_VALUES: readonly unknown[] = [null, undefined, 'null', 'undefined']

/**
 * Returns metadata as S3 stores it: names in lower case, only strings. Omits the rest, and logs how
 * many, so that the upload doesn't fail. Throws `invalid_request` for a reserved name.
 */
export function s3Metadata(
  c: AppContext,
  metadata: Readonly<Record<string, unknown>>,
): Record<string, string> {
  const reserved = Object.keys(metadata).find((name) => reservedNameError(name) !== null)
  if (reserved !== undefined)
    throw badRequest(`s3: metadata.${reserved} ${reservedNameError(reserved)}`)
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

/**
 * Returns a valid type for S3, or undefined if the client sends none. That of a recording, such as
 * `video/webm;codecs=vp8,opus`, is valid only without its parameters.
 */
export function s3Type(type: string | null | undefined): string | undefined {
  if (!type) return undefined
  return [type, type.replace(/;.*/, '')].find(isMediaType) ?? DEFAULT_TYPE
}

/** Companion's lifetime of an upload. Uppy 5 also uses it as the timeout of one request. */
const COMPANION_SECONDS = 800

/**
 * Returns the lifetime of a signature for Uppy in seconds: Companion's, or the bucket's upload
 * default if that is longer. The bucket's maximum still applies. Throws `misconfigured`.
 */
export function companionLifetime(bucket: Bucket, now: Date): number {
  const credentials = bucket.uploadCredentials
  return Math.min(
    Math.max(COMPANION_SECONDS, bucket.defaultExpiresIn.upload),
    longestLifetime({ use: 'upload', bucket, credentials, now }),
  )
}
