import * as z from 'zod/mini'
import { requirePrefix } from '../access/principal.ts'
import { uploadProof } from '../access/upload-proof.ts'
import type { Bucket, ConfiguredBucket } from '../bucket/bucket.ts'
import { requireSpelling } from '../bucket/key-spelling.ts'
import { UPLOAD_MARK } from '../bucket/limits.ts'
import { DIRECTORY, S3_METADATA_NAME } from '../bucket/upload-fields.ts'
import { ApiError, isObject } from '../errors/api-error.ts'
import { describe } from '../errors/describe.ts'
import { refuseForeignPage } from '../http/admit.ts'
import type { AppContext } from '../http/app-env.ts'
import { askInTime } from '../http/deadline.ts'
import { metadataRecord, objectHeaders } from '../http/fields.ts'
import type { DeletedFile, Deletion, Host, SharedFile } from '../http/host.ts'
import { checkApp } from '../http/validate.ts'
import { requireChoice } from '../keys/new-key.ts'
import { keyPrefixError, type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import { uploadHeaderError } from '../settings/upload-headers-rule.ts'
import { runChecks } from './change.ts'
import type { Nameable, Named } from './upload-url.ts'

/** Calls the app's `beforeUpload` and returns `file` with its changes. */
export async function askToUpload<File extends Named<Nameable>>(
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
  if (c.get('writeOnce') !== undefined && (own ?? overwrite) !== undefined)
    throw invalidAnswer('key and overwrite are not for an upload that is written once')
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

const refusable = { refuse: z.optional(z.string().check(z.minLength(1))) }

/** What `beforeDelete` and `beforeDownload` return. */
const verdictSchema = z.strictObject(refusable)

/**
 * Asks the app's `beforeDelete`, then the plugins' checks. Pages of other origins can't get here:
 * they may send only a GET. Throws `forbidden` if the app refuses, and what a check throws.
 */
export async function askToDelete(
  c: AppContext,
  change: Deletion,
  kind: DeletedFile['kind'] = 'request',
): Promise<void> {
  const { beforeDelete } = c.env.host
  const { type, ...file } = change
  if (beforeDelete !== null) {
    const principal = kind === 'upkeep' ? null : c.get('principal')
    const returned = await askInTime(c, 'beforeDelete', () =>
      beforeDelete({ ...file, kind }, principal),
    )
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
