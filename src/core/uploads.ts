import * as z from 'zod/mini'
import { requireKey, requireScope, subjectOf } from '../access/principal.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { requireSpelling } from '../bucket/key-spelling.ts'
import { DIRECTORY, S3_METADATA_NAME, type UploadFields } from '../bucket/upload-fields.ts'
import { ApiError } from '../errors/api-error.ts'
import { refuseForeignPage } from '../http/admit.ts'
import type { AppContext } from '../http/app-env.ts'
import { afterOf, askInTime, timeOf } from '../http/deadline.ts'
import { metadataRecord } from '../http/fields.ts'
import type { Change, Deletion, Host } from '../http/host.ts'
import { nameInKey, newObjectKey, requireChoice } from '../keys/new-key.ts'
import { keyPrefixError, type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import { NOBODY } from '../records/file-event.ts'
import type { FileRecord } from '../records/file-record.ts'
import { reserve, runChecks, undoing } from './change.ts'
import { newUpload, type PlannedUpload } from './new-upload.ts'
import type { Announce, Recorded } from './record.ts'

/** How a client names a file: by its own name, or by a key that it chooses. */
export interface Naming extends Pick<UploadFields, 'overwrite'> {
  readonly fileName?: string | undefined
  readonly key?: string | undefined
}

/**
 * Returns `file` with its name and its key, if the client chose one: then `overwrite` is true or
 * false. Throws `invalid_key`, and `forbidden` unless the caller may choose this key, and replace an
 * object with `overwrite`.
 */
function nameFile<File extends Naming>(c: AppContext, bucket: Bucket, file: File): Named<File> {
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

/** A file that `nameFile` accepts and names. */
type Nameable = Naming & Omit<PlannedUpload, keyof Naming>
type Named<File> = File & Pick<UploadFields, 'fileName' | 'key' | 'overwrite'>

/**
 * The steps of every upload, before `start` signs it or starts it in the bucket: checks the values,
 * asks the app, makes the key, asks the plugins' checks, and lets them reserve. Only `reserve` and
 * `start` have effects. If `start` fails, undoes what is reserved. `start` gets the key, and the
 * file with the app's changes, which has a `key` only if the client chose it. Throws what
 * `nameFile`, `newUpload` with `s3Max` and `start` throw, and `forbidden` if the app refuses the
 * file, or if a page of another origin sent the request while somebody is asked: also a GET, since
 * the app may count its calls.
 */
export async function startUpload<File extends Nameable, T>(
  c: AppContext,
  bucket: Bucket,
  request: File,
  s3Max: number,
  start: (key: ObjectKey, file: Named<File>, now: Date) => Promise<T>,
): Promise<T> {
  const { instance, host } = c.env
  const { prefix } = c.get('principal')
  const hasSeams = instance.checks.length + instance.reserves.length > 0
  const named = nameFile(c, bucket, request)
  if (host.beforeUpload !== null || hasSeams) refuseForeignPage(c, c.get('settings'))
  // Before the app, so that it is not blamed for the client's values.
  let key = newUpload(bucket, named, prefix, s3Max, timeOf(c))
  const file =
    host.beforeUpload === null ? named : await askApp(c, bucket, named, host.beforeUpload)
  const now = timeOf(c)
  if (file.directory !== named.directory) key = newObjectKey({ ...file, prefix, now, ...file.seed })
  if (!hasSeams) return start(key, file, now)
  const { mimetype, size, overwrite } = file
  const change: Change = {
    ...{ type: 'upload', bucket: bucket.alias, key, mimetype, size: size ?? undefined },
    overwrite: file.key === undefined ? undefined : overwrite,
  }
  await runChecks(c, change)
  return undoing(c, async (reserved) => {
    await reserve(c, change, reserved)
    return start(key, file, timeOf(c))
  })
}

/** Calls the app's `beforeUpload` and returns `file` with its changes. */
async function askApp<File extends Named<Nameable>>(
  c: AppContext,
  bucket: Bucket,
  file: File,
  beforeUpload: NonNullable<Host['beforeUpload']>,
): Promise<File> {
  const { key, fileName, mimetype, size, directory, metadata } = file
  const chosen = key === undefined ? {} : { key, overwrite: file.overwrite }
  const told = { fileName, ...chosen, mimetype, size: size ?? undefined, directory, metadata }
  const returned = await askInTime(c, 'beforeUpload', () =>
    beforeUpload({ bucket: bucket.alias, ...told }, c.get('principal')),
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
 * Asks the app's `beforeDelete`, then the plugins' checks. Pages of other origins can't get here:
 * they may send only a GET. Throws `forbidden` if the app refuses, and what a check throws.
 */
export async function askToDelete(c: AppContext, change: Deletion): Promise<void> {
  const { beforeDelete } = c.env.host
  const { type, ...file } = change
  if (beforeDelete !== null) {
    const principal = c.get('principal')
    const returned = await askInTime(c, 'beforeDelete', () => beforeDelete(file, principal))
    readAnswer('beforeDelete', verdictSchema, returned)
  }
  await runChecks(c, change)
}

/** Returns the app's answer, or an empty object for none. Throws `forbidden` if the app refuses. */
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

/** Returns how this request announces changes to files, or null if nobody listens. */
export function announcerOf(c: AppContext): Announce | null {
  const after = afterOf(c)
  if (after === null) return null
  const principal = c.get('principal')
  const { id, context } = principal
  const actor = { principal: id, subject: subjectOf(principal), context }
  return (change, about, at = new Date(), isRepeat) => {
    // The presigner itself makes a provisional record.
    const { type } = change
    const isProvisional = (type === 'recorded' || type === 'replaced') && change.file.owner === null
    const event = { ...change, ...(isProvisional ? NOBODY : actor) }
    return after(event, about, at, c.executionCtx, isRepeat)
  }
}

/** Returns the body of a 201: the record, with what the app returned as `data`. */
export const recordBody = ({ record, data }: Recorded): FileRecord & { data?: unknown } =>
  data === undefined ? record : { ...record, data }
