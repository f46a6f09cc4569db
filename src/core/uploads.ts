import * as z from 'zod/mini'
import { requireKey, requirePrefix, requireScope } from '../access/principal.ts'
import { uploadProof } from '../access/upload-proof.ts'
import type { Bucket, ConfiguredBucket } from '../bucket/bucket.ts'
import { requireSpelling } from '../bucket/key-spelling.ts'
import { UPLOAD_MARK } from '../bucket/limits.ts'
import { DIRECTORY, S3_METADATA_NAME, type UploadFields } from '../bucket/upload-fields.ts'
import { ApiError, invalidMember, isObject } from '../errors/api-error.ts'
import { describe } from '../errors/describe.ts'
import { refuseForeignPage } from '../http/admit.ts'
import type { AppContext } from '../http/app-env.ts'
import { afterOf, askInTime, fileIndexOf, timeOf, uploadSeams } from '../http/deadline.ts'
import { metadataRecord, objectHeaders } from '../http/fields.ts'
import type { Change, Deletion, Host, Settle, SharedFile } from '../http/host.ts'
import { addWarning } from '../http/request-log.ts'
import { checkApp } from '../http/validate.ts'
import { nameInKey, newObjectKey, requireChoice } from '../keys/new-key.ts'
import { keyPrefixError, type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import { actorOf, type FileChange, NOBODY } from '../records/file-event.ts'
import type { FileRecord } from '../records/file-record.ts'
import { uploadHeaderError } from '../settings/upload-headers-rule.ts'
import { reserve, runChecks, undoing } from './change.ts'
import { requireContentType } from './content-type.ts'
import { newUpload, type PlannedUpload } from './new-upload.ts'
import type { Announce, Recorded } from './record.ts'

/** How a client names a file: by its own name, or by a key that it chooses. */
export interface Naming extends Pick<UploadFields, 'overwrite'> {
  readonly fileName?: string | undefined
  readonly key?: string | undefined
  /** ETag of the object that the upload may replace. */
  readonly ifMatch?: string | undefined
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
type Named<File> = File & Pick<UploadFields, 'fileName' | 'key' | 'overwrite' | 'byApp' | 'headers'>

/**
 * The steps of every upload, before `start` signs it or starts it in the bucket: checks the values,
 * asks the app, makes the key, asks the plugins' checks, and lets them reserve. Only `reserve` and
 * `start` have effects. If `start` fails, undoes what is reserved. `start` gets the key, and the
 * file with the app's changes, which has a `key` only if the client or the app chose it. Throws what
 * `nameFile`, `newUpload` with `s3Max` and `start` throw, `invalid_request` for an `ifMatch` without
 * an object that may be replaced, and `forbidden` if the app refuses the file. If the app or a
 * plugin would be asked, also throws `forbidden` for a page of another origin, even for a GET, since
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
  const hasSeams = instance.checks.length + uploadSeams(c).reserves.length > 0
  const named = nameFile(c, bucket, request)
  if (host.beforeUpload !== null || hasSeams) refuseForeignPage(c, c.get('settings'))
  // Before the app, so that it is not blamed for the client's values.
  let now = timeOf(c)
  let key = newUpload(bucket, named, prefix, s3Max, now)
  let file = named
  if (host.beforeUpload !== null) {
    file = await askApp(c, bucket, named, host.beforeUpload)
    now = timeOf(c)
  }
  if (file.key !== named.key && file.key !== undefined) {
    key = file.key
    requireContentType(file.mimetype, key, bucket)
  } else if (file.directory !== named.directory)
    key = newObjectKey({ ...file, prefix, now, ...file.seed })
  if (file.ifMatch !== undefined) requireReplacement(file)
  if (!hasSeams) return await start(key, file, now)
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
  const answer = readAnswer('beforeUpload', changesSchema, returned)
  const { key: own, overwrite, metadata: added, tags, storageClass } = answer
  if (own === undefined && key === undefined && overwrite !== undefined)
    throw invalidAnswer('overwrite needs key')
  if (key !== undefined && answer.directory !== undefined)
    throw new ApiError('forbidden', 'This app chooses the folder of a file. Send fileName.')
  const named: Named<File> = {
    ...file,
    overwrite: overwrite ?? file.overwrite,
    directory: answer.directory ?? directory,
    contentDisposition: answer.contentDisposition ?? file.contentDisposition,
    cacheControl: answer.cacheControl ?? file.cacheControl,
    ...(added !== undefined && { metadata: lowerCased(added) }),
    ...((tags ?? storageClass) !== undefined && { headers: headersOf(bucket, tags, storageClass) }),
  }
  const target = own === undefined ? key : requireOwnKey(c, bucket, own)
  if (target === undefined || (own === undefined && !overwrite)) return named
  // Later, the key alone doesn't show who chose it.
  const upload = { bucket: bucket.alias, key: target, owner: c.get('principal').id }
  const proof = await uploadProof(c.get('settings'), upload)
  return {
    ...named,
    key: target,
    overwrite: overwrite ?? false,
    byApp: true,
    metadata: { ...named.metadata, [UPLOAD_MARK]: proof },
  }
}

/** Returns the key that the app chose. Throws TypeError: a wrong one is a mistake of the app. */
function requireOwnKey(c: AppContext, bucket: Bucket, own: string): ObjectKey {
  try {
    const key = parseObjectKey(own)
    requirePrefix(c.get('principal'), key)
    requireSpelling(bucket, key)
    requireChoice(key)
    return key
  } catch (error) {
    throw invalidAnswer(`key: ${describe(error)}`)
  }
}

/** Returns the headers that the app adds. The bucket's own, and the rules for them, stay. */
function headersOf(
  { uploadHeaders }: Bucket,
  tags: Readonly<Record<string, string>> = {},
  storageClass: string | undefined,
): Record<string, string> {
  const pairs = Object.entries(tags).map((tag) => tag.map(encodeURIComponent).join('='))
  const headers: Record<string, string> = {}
  for (const [name, value] of [
    ['x-amz-tagging', pairs.length > 0 ? pairs.join('&') : undefined],
    ['x-amz-storage-class', storageClass],
  ] as const) {
    if (value === undefined) continue
    const error = uploadHeaders?.[name] ? IN_BUCKET : uploadHeaderError(name, value)
    if (error !== null) throw invalidAnswer(`${name} ${error}`)
    headers[name] = value
  }
  return headers
}

const IN_BUCKET = 'is already in the uploadHeaders of the bucket'

/** Throws `invalid_request` unless an upload with `ifMatch` may replace an object. */
export function requireReplacement({
  key,
  overwrite,
}: Pick<UploadFields, 'key' | 'overwrite'>): void {
  if (key !== undefined && overwrite) return
  throw invalidMember('ifMatch', 'needs key and overwrite: true')
}

const refusable = { refuse: z.optional(z.string().check(z.minLength(1))) }

/** What `beforeDelete` and `beforeDownload` return. */
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

/**
 * Asks the app's `beforeDownload`, if there is one, before `key` is shared or copied. Throws
 * `forbidden` if the app refuses, or if it would be asked for a page of another origin.
 */
export function askToDownload(
  c: AppContext,
  bucket: Pick<ConfiguredBucket, 'alias'>,
  key: ObjectKey,
  kind: SharedFile['kind'],
): Promise<void> | undefined {
  const { beforeDownload } = c.env.host
  return beforeDownload ? askFor(c, { bucket: bucket.alias, key, kind }, beforeDownload) : undefined
}

async function askFor(
  c: AppContext,
  file: SharedFile,
  beforeDownload: NonNullable<Host['beforeDownload']>,
): Promise<void> {
  refuseForeignPage(c, c.get('settings'))
  const principal = c.get('principal')
  const returned = await askInTime(c, 'beforeDownload', () => beforeDownload(file, principal))
  readAnswer('beforeDownload', verdictSchema, returned)
}

type Hook = 'beforeUpload' | 'beforeDelete' | 'beforeDownload'

const mistakeOf = (name: Hook): string => `${name} returned an invalid value`

/** Returns the error for an answer of `beforeUpload`. */
const invalidAnswer = (why: string): TypeError =>
  new TypeError(`${mistakeOf('beforeUpload')}: ${why}`)

/** Returns the app's answer, or an empty object for none. Throws `forbidden` if the app refuses. */
function readAnswer<T extends { refuse?: string | undefined }>(
  name: Hook,
  schema: z.ZodMiniType<T>,
  returned: unknown,
): Omit<T, 'refuse'> {
  const given = returned ?? {}
  // An Error or a Date has no members either, but doesn't accept anything.
  const { refuse, ...answer } = checkApp(schema, isObject(given) && given, mistakeOf(name))
  if (refuse !== undefined) throw new ApiError('forbidden', refuse)
  return answer
}

/** S3 ignores the case of these names. */
const lowerCased = (metadata: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name.toLowerCase(), value]))

const changesSchema = z
  .strictObject({
    key: z.optional(z.string()),
    overwrite: z.optional(z.boolean()),
    directory: z.optional(
      z.string().check(
        z.regex(DIRECTORY[0]),
        z.refine((name) => keyPrefixError(`${name.normalize()}/`) === null),
      ),
    ),
    metadata: z.optional(
      metadataRecord(z.string(), S3_METADATA_NAME), // the upload checks the size of all metadata
    ),
    contentDisposition: objectHeaders.contentDisposition,
    cacheControl: objectHeaders.cacheControl,
    tags: z.optional(metadataRecord(z.string())),
    storageClass: z.optional(z.string()),
    ...refusable,
  })
  .check(
    z.refine(({ key, directory }) => !(key && directory), "directory can't be combined with key"),
  )

/**
 * Returns how this request announces changes to files, or null if nobody listens. Asks the plugins'
 * `settle` first.
 */
export function announcerOf(c: AppContext): Announce | null {
  const after = afterOf(c)
  const { settles } = uploadSeams(c)
  if (after === null && settles.length === 0) return null
  const principal = c.get('principal')
  return async (change, about, at = new Date(), isRepeat) => {
    const lost = await askToSettle(c, change)
    // The presigner itself makes a provisional record.
    const { type } = change
    const isProvisional = (type === 'recorded' || type === 'replaced') && change.file.owner === null
    const event = { ...change, ...(isProvisional ? NOBODY : actorOf(principal)) }
    try {
      return await after?.(event, about, at, c.executionCtx, isRepeat)
    } catch (error) {
      if (lost.length === 0) throw error
      for (const remember of lost) await askInTime(c, 'settle', () => remember(error))
      addWarning(c, `event not sent: ${describe(error)}`)
      return undefined
    }
  }
}

/** Asks the plugins' `settle` about a change, which they may refuse. Returns what to tell if its event can't be sent. */
export async function askToSettle(
  c: AppContext,
  change: FileChange,
): Promise<(Awaited<ReturnType<Settle>> & object)[]> {
  const by = { principal: c.get('principal'), index: fileIndexOf(c) }
  const lost: (Awaited<ReturnType<Settle>> & object)[] = []
  for (const settle of uploadSeams(c).settles) {
    const onLost = await askInTime(c, 'settle', () => settle(change, by))
    if (onLost) lost.push(onLost)
  }
  return lost
}

/** Returns the body of a 201: the record, with what the app returned as `data`. */
export const recordBody = ({ record, data }: Recorded): FileRecord & { data?: unknown } =>
  data === undefined ? record : { ...record, data }
