import * as z from 'zod/mini'
import { requireKey, requireScope, subjectOf } from '../access/principal.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { requireSpelling } from '../bucket/key-spelling.ts'
import { DIRECTORY, S3_METADATA_NAME, type UploadFields } from '../bucket/upload-fields.ts'
import { ApiError } from '../errors/api-error.ts'
import { refuseForeignPage } from '../http/admit.ts'
import type { AppContext } from '../http/app-env.ts'
import { askInTime, eventsOf } from '../http/deadline.ts'
import { metadataRecord } from '../http/fields.ts'
import { nameInKey, requireChoice } from '../keys/new-key.ts'
import { keyPrefixError, type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import { NOBODY } from '../records/file-event.ts'
import type { FileRecord } from '../records/file-record.ts'
import { newUpload, type PlannedUpload } from './new-upload.ts'
import type { Announce, Recorded } from './record.ts'

/** How a client names a file: by its own name, or by a key that it chooses. */
export interface Naming extends Pick<UploadFields, 'overwrite'> {
  readonly fileName?: string | undefined
  readonly key?: string | undefined
}

/**
 * Returns `file` with its name and its key, if the client chose one. For a chosen key, `overwrite` is
 * true or false. Throws `forbidden` unless the
 * caller may choose this key, and replace an object with `overwrite`, and `invalid_key`.
 */
export function nameFile<File extends Naming>(
  c: AppContext,
  bucket: Bucket,
  file: File,
): File & Pick<UploadFields, 'fileName' | 'key' | 'overwrite'> {
  if (hasOwnName(file)) return file
  const { fileName, overwrite = false } = file
  const principal = c.get('principal')
  const key = parseObjectKey(file.key ?? '')
  requireKey(principal, 'keys:choose', key)
  if (overwrite) requireScope(principal, 'files:delete')
  requireSpelling(bucket, key)
  requireChoice(key)
  return { ...file, key, overwrite, fileName: fileName ?? nameInKey(key) }
}

const hasOwnName = <File extends Naming>(
  file: File,
): file is File & { readonly fileName: string; readonly key?: undefined } =>
  file.key === undefined && file.fileName !== undefined

/**
 * Calls the app's `beforeUpload` and returns `file` with its changes. Calls it only for a file that
 * the bucket accepts: throws what `newUpload` throws with `s3Max`. Throws `forbidden` if the app
 * refuses the file, or if a page of another origin sent the request. That includes a GET, since the
 * app may count its calls.
 */
export async function askApp<File extends PlannedUpload>(
  c: AppContext,
  bucket: Bucket,
  file: File,
  s3Max: number,
): Promise<File> {
  const { beforeUpload } = c.env.host
  if (beforeUpload === null) return file
  refuseForeignPage(c, c.get('settings'))
  const { key, fileName, mimetype, size, directory, metadata } = file
  const principal = c.get('principal')
  // Checks the client's values first, so that the app is not blamed for them.
  const { prefix } = principal
  newUpload(bucket, { key, fileName, mimetype, directory, size }, prefix, s3Max, new Date())
  const chosen = key === undefined ? {} : { key, overwrite: file.overwrite }
  const told = { fileName, ...chosen, mimetype, size: size ?? undefined, directory, metadata }
  const returned = await askInTime(c, 'beforeUpload', () =>
    beforeUpload({ bucket: bucket.alias, ...told }, principal),
  )
  const { metadata: added, ...changes } = readAnswer('beforeUpload', changesSchema, returned)
  if (key !== undefined && changes.directory !== undefined)
    throw new ApiError('forbidden', 'This app chooses the folder of a file. Send fileName.')
  return { ...file, ...changes, ...(added === undefined ? {} : { metadata: lowerCased(added) }) }
}

const refusable = { refuse: z.optional(z.string().check(z.minLength(1))) }

/** What `beforeDelete` returns. */
const verdictSchema = z.strictObject(refusable)

/**
 * Calls the app's `beforeDelete`. A page of another origin doesn't get here, since it may send only
 * a GET with the app's login. Throws `forbidden` if the app refuses.
 */
export async function askToDelete(c: AppContext, { alias }: Bucket, key: ObjectKey): Promise<void> {
  const { beforeDelete } = c.env.host
  if (beforeDelete === null) return
  const principal = c.get('principal')
  const returned = await askInTime(c, 'beforeDelete', () =>
    beforeDelete({ bucket: alias, key }, principal),
  )
  readAnswer('beforeDelete', verdictSchema, returned)
}

/**
 * Returns what a function of the app has returned, or an empty object for nothing. Throws
 * `forbidden` if the app refuses.
 */
function readAnswer<T extends { refuse?: string | undefined }>(
  name: 'beforeUpload' | 'beforeDelete',
  schema: z.ZodMiniType<T>,
  returned: unknown,
): Omit<T, 'refuse'> {
  const given = returned ?? {}
  // An Error or a Date has no members either, but doesn't accept anything.
  const isObject = Object.prototype.toString.call(given) === '[object Object]'
  const parsed = schema.safeParse(isObject && given)
  if (!parsed.success) {
    const errors = parsed.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`)
    throw new TypeError(`${name} returned an invalid value: ${errors.join('; ')}`)
  }
  const { refuse, ...answer } = parsed.data
  if (refuse !== undefined) throw new ApiError('forbidden', refuse)
  return answer
}

/** S3 doesn't distinguish the case of these names. */
const lowerCased = (metadata: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name.toLowerCase(), value]))

const changesSchema = z.strictObject({
  directory: z.optional(
    z.string().check(
      z.regex(DIRECTORY[0]),
      z.refine((name) => keyPrefixError(`${name.normalize()}/`) === null),
    ),
  ),
  metadata: z.optional(
    metadataRecord(z.string(), S3_METADATA_NAME), // the upload checks the size of all metadata
  ),
  ...refusable,
})

/**
 * Returns the function that announces what this request does to files, or null if nobody listens.
 */
export function announcerOf(c: AppContext): Announce | null {
  const events = eventsOf(c)
  if (events === null) return null
  const principal = c.get('principal')
  const { id, context } = principal
  const actor = { principal: id, subject: subjectOf(principal), context }
  return (change, about, at = new Date(), isRepeat) => {
    // The presigner itself makes a provisional record.
    const isProvisional = change.type !== 'deleted' && change.file.owner === null
    const event = { ...change, ...(isProvisional ? NOBODY : actor) }
    return events(event, about, at, c.executionCtx, isRepeat)
  }
}

/** Returns the body of a 201: the record, with what the app returned as `data`. */
export const recordBody = ({ record, data }: Recorded): FileRecord & { data?: unknown } =>
  data === undefined ? record : { ...record, data }
