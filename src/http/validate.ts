import type { Context, MiddlewareHandler } from 'hono'
import * as z from 'zod/mini'
import { sixAtOnce } from '../bucket/at-once.ts'
import { ApiError, type Issue, invalidRequest } from '../errors/api-error.ts'
import { type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import type { AppEnv } from './app-env.ts'
import { readInOwnTime } from './deadline.ts'
import { itemError, MAX_KEYS_BODY_BYTES } from './fields.ts'

const MAX_BODY_BYTES = 64 * 1024

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })

type Validated<
  Target extends 'json' | 'query',
  Schema extends z.ZodMiniType<object>,
> = MiddlewareHandler<
  AppEnv,
  string,
  {
    in: { [Name in Target]: z.input<Schema> }
    out: { [Name in Target]: z.output<Schema> }
  }
>

/** Checks the JSON body. Throws `invalid_request` with issues, and what `readBody` throws. */
export function validateJson<Schema extends z.ZodMiniType<object>>(
  schema: Schema,
  maxBytes = MAX_BODY_BYTES,
): Validated<'json', Schema> {
  // Here and in what it calls, one function for each promise: an async one costs twice as much.
  const validate: Validated<'json', Schema> = function validateJson(c) {
    return readBody(c, maxBytes).then((body) => c.req.addValidatedData('json', check(schema, body)))
  }
  return Object.assign(validate, { body: schema }) // for the OpenAPI document
}

/** Checks the query. Throws `invalid_request` with issues, also for a name that appears twice. */
export function validateQuery<Schema extends z.ZodMiniType<object>>(
  schema: Schema,
): Validated<'query', Schema> {
  /** Checked once, since a check allocates as much as a tenth of a request. */
  let ofNoQuery: object | undefined
  const validate: Validated<'query', Schema> = function validateQuery(c, next) {
    const { url } = c.req
    const hasNone = !url.includes('?')
    const query = (hasNone && ofNoQuery) || check(schema, queryOf(url))
    if (hasNone) ofNoQuery = Object.freeze(query)
    c.req.addValidatedData('query', query)
    return next()
  }
  return Object.assign(validate, { query: schema }) // for the OpenAPI document
}

/** Returns the members of a query. Throws `invalid_request` for a name that appears twice. */
function queryOf(url: string): object {
  const start = url.indexOf('?')
  if (start === -1) return {}
  const searchParams = new URLSearchParams(url.slice(start))
  const repeated = [...searchParams.keys()].filter(
    (name, index, names) => names.indexOf(name) < index,
  )
  if (repeated.length > 0)
    throw invalidRequest(repeated.map((path) => ({ path, message: 'must appear only once' })))
  return Object.fromEntries(searchParams)
}

/** Returns the object key in the path. Throws `invalid_key`. */
export const keyParam = (c: Context<AppEnv>): ObjectKey => parseObjectKey(c.req.param('key') ?? '')

/** Throws `malformed_url` for percent-encoding that only a lenient decoder would read. */
export function checkUrl(url: string): void {
  try {
    decodeURIComponent(url)
  } catch {
    throw new ApiError('malformed_url', 'The URL is not percent-encoded UTF-8.')
  }
}

/** Returns what `schema` makes of `value`. Throws `invalid_request` with issues. */
export const check = <Schema extends z.ZodMiniType<object>>(
  schema: Schema,
  value: unknown,
): z.output<Schema> => parse(schema, value, invalidRequest)

/** Returns what `schema` makes of a value of the app. Throws TypeError with `mistake` and the issues. */
export const checkApp = <T>(schema: z.ZodMiniType<T>, value: unknown, mistake: string): T =>
  parse(schema, value, (issues) => {
    const list = issues.map(({ path, message }) => `${path} ${message}`.trim())
    return new TypeError(`${mistake}: ${list.join('; ')}`)
  })

/** Returns what `schema` makes of `value`, or throws what `fail` makes of the issues. */
function parse<Schema extends z.ZodMiniType>(
  schema: Schema,
  value: unknown,
  fail: (issues: readonly Issue[]) => Error,
): z.output<Schema> {
  // Set here, since `z.config` would change the messages of the host's own schemas.
  const parsed = schema.safeParse(value, { error: describeIssue })
  if (parsed.success) return parsed.data
  throw fail(
    parsed.error.issues.map(({ path, message }) => ({ path: path.map(String).join('.'), message })),
  )
}

/** Checks a body with 1 to `max` `files`, but not yet the files: others may be valid. */
export function validateFiles<
  Item extends z.ZodMiniType<object>,
  More extends z.core.$ZodLooseShape,
>(item: Item, max: number, more: More) {
  const listOf = <Of extends z.ZodMiniType>(of: Of) =>
    z.strictObject({ files: z.array(of).check(z.minLength(1), z.maxLength(max)), ...more })
  return Object.assign(validateJson(listOf(z.custom<z.input<Item>>()), MAX_KEYS_BODY_BYTES), {
    body: listOf(item), // for the OpenAPI document
  })
}

/** What identifies a file for its client, as far as it is valid. */
const named = z.object({ fileName: z.optional(z.string()), key: z.optional(z.string()) })

/** Returns the result of `act`, or its ApiError, for each file, in order, six at once. */
export const forEachFile = <Item extends z.ZodMiniType<object>, T>(
  item: Item,
  files: readonly unknown[],
  act: (file: z.output<Item>, index: number) => Promise<T>,
): Promise<(T | (z.output<typeof named> & { error: ReturnType<typeof itemError> }))[]> =>
  sixAtOnce(files, async (file, index) => {
    try {
      return await act(check(item, file), index)
    } catch (error) {
      return { ...named.safeParse(file).data, error: itemError(error) }
    }
  })

const KINDS: Readonly<Record<string, string>> = {
  string: 'a string',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
}

/** Returns what is wrong with a member, in JSON's terms. */
const describeIssue: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined
        ? 'is missing'
        : `must be ${KINDS[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `must be one of ${issue.values.join(', ')}`
    case 'unrecognized_keys':
      return `has unknown members: ${issue.keys.map((name) => JSON.stringify(name)).join(', ')}`
    case 'too_small':
      return issue.minimum === 1 && isLength(issue.origin)
        ? 'must not be empty'
        : `must be at least ${issue.minimum}`
    case 'too_big':
      return isLength(issue.origin)
        ? `must have at most ${issue.maximum} ${issue.origin === 'array' ? 'items' : 'characters'}`
        : `must be at most ${issue.maximum}`
    default:
      return 'is not valid'
  }
}

const isLength = (origin: string): boolean => origin === 'string' || origin === 'array'

/** Reads the JSON in the body of a request. The time that this takes doesn't count. */
export const readBody = (c: Context<AppEnv>, maxBytes: number): Promise<unknown> =>
  readInOwnTime(c, readJson(c.req.raw, maxBytes))

/**
 * Returns the JSON in the body of `request`, at most `maxBytes` of UTF-8. Throws
 * `unsupported_media_type`, `body_too_large` and `malformed_json`.
 */
export function readJson(request: Request, maxBytes: number): Promise<unknown> {
  if (isJson(request.headers.get('content-type') ?? ''))
    return readBytes(request, maxBytes, parseJson)
  const message = 'Send JSON with Content-Type: application/json.'
  return Promise.reject(new ApiError('unsupported_media_type', message))
}

function parseJson(bytes: ArrayBuffer | Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes))
  } catch {
    throw new ApiError('malformed_json', 'The body is not JSON.')
  }
}

/**
 * Returns at most `maxBytes` of UTF-8. Throws `body_too_large`, usually after the whole body,
 * `invalid_request` for a body without its end, and TypeError for a body that is not UTF-8.
 */
export const readText = async (request: Request, maxBytes: number): Promise<string> =>
  readBytes(request, maxBytes, (bytes) => decoder.decode(bytes))

/** Resolves with what `use` makes of the bytes. One promise for both, since each costs time. */
function readBytes<T>(
  request: Request,
  maxBytes: number,
  use: (bytes: ArrayBuffer | Uint8Array) => T,
): Promise<T> {
  const { headers, bodyUsed } = request
  if (bodyUsed) throw new Error('The app read the body before the presigner.')
  const stated = headers.get('content-length') ?? ''
  const length = /^\d+$/.test(stated) ? Number(stated) : Infinity
  // HTTP limits a body to its Content-Length (RFC 9112, section 6.3).
  const reading: Promise<ArrayBuffer | Uint8Array> =
    length <= maxBytes ? request.arrayBuffer() : readUpTo(maxBytes + 1, request.body)
  return reading.then((bytes) => {
    if (bytes.byteLength > maxBytes)
      throw new ApiError('body_too_large', `The body may have at most ${maxBytes} bytes.`)
    return use(bytes)
  }, endedEarly)
}

function endedEarly(cause: unknown): never {
  throw new ApiError('invalid_request', 'The request ended in the middle of its body.', { cause })
}

/** Resolves with what was read. Throws `invalid_request` if the client disconnects meanwhile. */
export const fromClient = <T>(reading: Promise<T>): Promise<T> => reading.catch(endedEarly)

const isJson = (contentType: string): boolean =>
  contentType === 'application/json' ||
  contentType.split(';')[0]?.trim().toLowerCase() === 'application/json'

/** Bytes to read and discard: a client that is still sending reads no response. */
const MAX_DISCARDED_BYTES = 16 * 1024 ** 2

/** Returns the first `room` bytes, or fewer. Discards the rest, and cancels a body that goes on. */
async function readUpTo(
  room: number,
  body: ReadableStream<Uint8Array> | null,
): Promise<Uint8Array> {
  if (body === null) return new Uint8Array()
  const bytes = new Uint8Array(room)
  const reader = body.getReader()
  let length = 0
  while (length < room + MAX_DISCARDED_BYTES) {
    const { done, value } = await reader.read()
    if (done) return bytes.subarray(0, length)
    if (length < room) bytes.set(value.subarray(0, room - length), length)
    length += value.byteLength
  }
  await reader.cancel()
  return bytes
}
