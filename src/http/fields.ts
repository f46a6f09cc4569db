import * as z from 'zod/mini'
import type { ConfiguredBucket } from '../bucket/bucket.ts'
import { requireSpelling } from '../bucket/key-spelling.ts'
import { MAX_KEYS, MAX_METADATA_BYTES, MAX_PARTS } from '../bucket/limits.ts'
import {
  byObjectHeader,
  DIRECTORY,
  HEADER_MESSAGES,
  MAX_FILE_NAME_LENGTH,
  METADATA_NAME,
  reservedNameError,
  SHA256,
} from '../bucket/upload-fields.ts'
import {
  asApiError,
  detailsOf,
  type ErrorCode,
  type ErrorDetails,
  isObject,
} from '../errors/api-error.ts'
import { type ObjectKey, parseObjectKey } from '../keys/object-key.ts'

/** Members of bodies and queries that several routes share. */

/** Alias of a bucket. */
export const bucket = z.optional(z.string())
/** Lifetime in seconds. */
export const expiresIn = z.optional(z.int())
/** Returns `schema` with a default `value`. */
export const usually = <Schema extends z.ZodMiniType>(schema: Schema, value: z.output<Schema>) =>
  Object.assign(
    z.pipe(
      z.optional(schema),
      z.transform((given) => given ?? value),
    ),
    { usual: value }, // for the OpenAPI document
  )
/** A whole number in a query. */
export const digits = z.pipe(
  z.string().check(z.regex(/^\d{1,9}$/, 'must be a whole number')),
  z.transform(Number),
)
/** Requires a date that `Date` writes in the same way, so that the month has this day. */
const isDate = (text: string): boolean =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/.test(text) &&
  new Date(text).toJSON()?.startsWith(text.slice(0, 19)) === true

/** Returns the schema of a date in UTC. */
export const instant = () =>
  z.string().check(z.refine(isDate, 'must be a date such as 2026-12-24T18:00:00Z'))

export const fileName = z.string().check(z.minLength(1), z.maxLength(MAX_FILE_NAME_LENGTH))
/** Returns the schema of a new password. A line break, such as at the end of a file, can't be typed. */
export const newPassword = () =>
  z.optional(
    z.string().check(
      z.minLength(8),
      z.maxLength(128),
      z.refine((text) => !/\p{Cc}/u.test(text), 'must have no line break or control character'),
    ),
  )
export const sha256 = z.optional(z.string().check(z.regex(...SHA256)))
/** Stands for the value of a name that metadata can't have. */
const MISNAMED = Symbol('misnamed')

/** Returns the schema of metadata. Its names are not reserved, and match `name`. */
export const metadataRecord = <Value extends z.ZodMiniType>(value: Value, name = /^/) =>
  z.pipe(
    // An object of zod leaves out `__proto__` silently.
    z.transform((input: Record<string, z.input<Value>>, { issues }): object | null => {
      if (!isObject(input)) return null
      const members = Object.entries(input).map(([member, content]) => {
        const message = reservedNameError(member)
        if (message !== null) issues.push({ code: 'custom', input, path: [member], message })
        return [member, name.test(member) ? content : MISNAMED]
      })
      return Object.fromEntries(members)
    }),
    z.catchall(z.object({}), value),
  )
/** The ETag of the object that an upload may replace, with or without its quotes. */
export const ifMatch = z.optional(
  z.string().check(z.regex(/^(?:[!#-~]{1,253}|"[!#-~]{1,253}")$/, 'must be the ETag of an object')),
)
/** Returns the schema of the number of a part. */
export const partNumber = () => z.int().check(z.minimum(1), z.maximum(MAX_PARTS))

/** A file by its name, or by a key that the caller chooses. */
export const namedFile = {
  fileName: z.optional(fileName),
  key: z.optional(z.string()),
  mimetype: z.string(),
}

/** The headers of an object, without its type. */
export const objectHeaders = byObjectHeader(([field, , maxLength, pattern]) =>
  z.optional(z.string().check(z.maxLength(maxLength), z.regex(pattern, HEADER_MESSAGES[field]))),
)

/** What an upload stores with its object, and under which key. */
export const storedWith = {
  metadata: z.optional(
    metadataRecord(
      z
        .string({ error: ({ input }) => (input === MISNAMED ? METADATA_NAME[1] : undefined) })
        .check(z.maxLength(MAX_METADATA_BYTES)),
      METADATA_NAME[0],
    ),
  ),
  ...objectHeaders,
  directory: z.optional(z.string().check(z.regex(...DIRECTORY))),
  overwrite: z.optional(z.boolean()),
}

interface FileNames {
  readonly fileName?: string | undefined
  readonly key?: string | undefined
  readonly directory?: string | undefined
  readonly overwrite?: boolean | undefined
  readonly startId?: string | undefined
}

/** Requires that `allows` accepts the names. Otherwise, reports `error` for the member `name`. */
const names = (
  name: keyof FileNames,
  error: string,
  allows: (names: FileNames) => boolean,
): z.core.$ZodCheck<FileNames> =>
  z.refine(allows, { path: [name], error, when: ({ value }) => Object(value) === value })

const WITH_KEY = "can't be combined with key"

/** Checks that an upload has either a file name or a chosen key, which has its own folder. */
export const oneName = [
  names('fileName', 'is missing', ({ fileName, key }) => (fileName ?? key) !== undefined),
  names('fileName', WITH_KEY, ({ fileName, key }) => !(fileName && key)),
  names('directory', WITH_KEY, ({ directory, key }) => !(directory && key)),
  names('startId', WITH_KEY, ({ startId, key }) => !(startId && key)),
]

/** Returns a check that only a chosen key has `overwrite`. */
export const overwriteOfKey = () =>
  names(
    'overwrite',
    'needs key',
    ({ overwrite, key }) => overwrite === undefined || key !== undefined,
  )

/** Size limit of a body with a list of keys or files. */
export const MAX_KEYS_BODY_BYTES = 2 * 1024 ** 2

/** 1 to 1000 object keys, not yet parsed. */
export const keyList = z.array(z.string()).check(z.minLength(1), z.maxLength(MAX_KEYS))

/** Maximum number of files in one request that uploads or deletes. */
export const MAX_FILES = 100

/** What a client receives for a refused key. The other keys are not affected. */
export interface RefusedKey {
  readonly key: string
  readonly error: ItemError
}

interface ItemError extends ErrorDetails {
  readonly code: ErrorCode
  readonly message: string
}

/** Returns the error of one key. Throws `error` if it is not an ApiError. */
export const refusedKey = (key: string, error: unknown): RefusedKey => ({
  key,
  error: itemError(error),
})

/** Returns the error of one item. Throws `error` if it is not an ApiError. */
export function itemError(error: unknown): ItemError {
  const known = asApiError(error)
  if (known === null) throw error
  const { code, message } = known
  return { code, message, ...detailsOf(known) }
}

/** Returns the result of `act`, or an ApiError that it throws, for each key, in their order. */
export const forEachKey = <T>(
  bucket: ConfiguredBucket,
  keys: readonly string[],
  act: (key: ObjectKey, i: number) => Promise<T>,
): Promise<(T | RefusedKey)[]> =>
  Promise.all(
    keys.map(async (key, i) => {
      try {
        requireSpelling(bucket, key)
        return await act(parseObjectKey(key), i)
      } catch (error) {
        return refusedKey(key, error)
      }
    }),
  )
