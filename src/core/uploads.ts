import * as z from 'zod/mini'
import { requireKey, requireScope } from '../access/principal.ts'
import { uploadProof } from '../access/upload-proof.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { requireSpelling } from '../bucket/key-spelling.ts'
import { MAX_PUT_BYTES, UPLOAD_MARK } from '../bucket/limits.ts'
import { invalidMember } from '../errors/api-error.ts'
import { refuseForeignPage } from '../http/admit.ts'
import type { AppContext } from '../http/app-env.ts'
import { chooseOpenBucket } from '../http/choose-bucket.ts'
import { timeOf, uploadSeams } from '../http/deadline.ts'
import {
  bucket,
  expiresIn,
  ifMatch,
  MAX_FILES,
  namedFile,
  oneName,
  sha256,
  storedWith,
} from '../http/fields.ts'
import type { Change } from '../http/host.ts'
import { newApp } from '../http/new-app.ts'
import { json } from '../http/responses.ts'
import { forEachFile, validateFiles, validateJson } from '../http/validate.ts'
import { nameInKey, newObjectKey, requireChoice } from '../keys/new-key.ts'
import { type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import { askToUpload } from './ask-app.ts'
import { reserve, runChecks, undoing } from './change.ts'
import { keepExisting } from './chosen-key.ts'
import { requireContentType } from './content-type.ts'
import {
  createUploadUrl,
  type Nameable,
  type Named,
  type Naming,
  newUpload,
  type UploadRequest,
  type UploadUrl,
  uploadSignature,
} from './upload-url.ts'

const upload = {
  ...namedFile,
  size: z.optional(z.int().check(z.minimum(0))),
  sha256,
  ...storedWith,
  ifMatch,
}

const uploadSchema = z.strictObject({ ...upload, expiresIn, bucket }).check(...oneName)

const oneOfUploads = z.strictObject(upload).check(...oneName)

const validateUploads = validateFiles(oneOfUploads, MAX_FILES, { expiresIn, bucket })

/** Upload URLs, for one file and for many. */
export const uploadUrlRoutes = newApp()
  .post('/files/upload-url', validateJson(uploadSchema), async (c) => {
    const request = c.req.valid('json')
    requireScope(c.get('principal'), 'files:upload')
    const opened = chooseOpenBucket(c, request.bucket, null)
    const bucket = opened instanceof Promise ? await opened : opened
    return json(c, await signUpload(c, bucket, request))
  })
  .post('/files/upload-urls', validateUploads, async (c) => {
    const { files, bucket: alias, expiresIn } = c.req.valid('json')
    requireScope(c.get('principal'), 'files:upload')
    const bucket = await chooseOpenBucket(c, alias, null)
    const start = Date.now()
    uploadSignature(bucket, expiresIn, new Date(start)) // throws what would be the error of every file
    // A millisecond apart, so that their keys keep the order of the list.
    const uploads = await forEachFile(oneOfUploads, files, (file, index) =>
      signUpload(c, bucket, { ...file, expiresIn, seed: { now: new Date(start + index) } }),
    )
    return json(c, { uploads })
  })

/** Starts an upload in one request: signs its URL. */
export async function signUpload(
  c: AppContext,
  bucket: Bucket,
  request: Naming & Omit<UploadRequest, keyof Naming>,
): Promise<UploadUrl> {
  const ready = await planUpload(c, bucket, request, MAX_PUT_BYTES)
  return startUpload(c, ready, ({ key, file, now }) =>
    file.key === undefined
      ? createUploadUrl(bucket, key, file, now)
      : keepExisting(bucket, file, now).then((kept) => createUploadUrl(bucket, key, kept, now)),
  )
}

/** An upload that may start. Nothing has had an effect yet. */
interface ReadyUpload<File> {
  readonly key: ObjectKey
  /** With the app's changes. It has a `key` only if the client or the app chose it. */
  readonly file: Named<File>
  /** What plugins may reserve, or null if nobody asks. */
  readonly change: Change | null
}

/**
 * Checks the client's values, asks the app, makes the key, and asks the plugins' checks. If the app or a
 * plugin would be asked, refuses a page of another origin, even for a GET, since the app may count its calls.
 */
export async function planUpload<File extends Nameable>(
  c: AppContext,
  bucket: Bucket,
  request: File,
  s3Max: number,
): Promise<ReadyUpload<File>> {
  const { instance, host } = c.env
  const { prefix } = c.get('principal')
  const hasSeams = instance.seams.check.length + uploadSeams(c).reserve.length > 0
  const named = nameFile(c, bucket, request)
  if (host.beforeUpload !== null || hasSeams) refuseForeignPage(c, c.get('settings'))
  // Before the app, so that it is not blamed for the client's values.
  let key = newUpload(bucket, named, prefix, s3Max, timeOf(c))
  let file = named
  if (host.beforeUpload !== null) file = await askToUpload(c, bucket, named, host.beforeUpload)
  if (file.key !== named.key && file.key !== undefined) {
    key = file.key
    requireContentType(file.mimetype, key, bucket)
  } else if (file.directory !== named.directory)
    key = newObjectKey({ ...file, prefix, now: timeOf(c), ...file.seed })
  requireReplacement(file)
  if (c.get('writeOnce') !== undefined) file = await withProof(c, bucket, key, file)
  if (!hasSeams) return { key, file, change: null }
  const { mimetype, size, overwrite } = file
  const change: Change = {
    type: 'upload',
    bucket: bucket.alias,
    key,
    mimetype,
    size: size ?? undefined,
    overwrite: file.key === undefined ? undefined : overwrite,
  }
  await runChecks(c, change)
  return { key, file, change }
}

/**
 * Lets the plugins reserve, and calls `start`, which signs the upload or starts it in the bucket. If one of
 * them fails, undoes what is reserved. Not async, since each promise costs time.
 */
export function startUpload<File, T>(
  c: AppContext,
  { key, file, change }: ReadyUpload<File>,
  start: (upload: Omit<ReadyUpload<File>, 'change'> & { readonly now: Date }) => Promise<T>,
): Promise<T> {
  if (change === null) return start({ key, file, now: timeOf(c) })
  return undoing(c, async (reserved) => {
    await reserve(c, change, reserved)
    return start({ key, file, now: timeOf(c) })
  })
}

/** Returns `file` with its name and its key, if the client chose one: then `overwrite` is true or false. */
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

/** Returns `file` with the mark that proves later that its object is the one of this upload. */
async function withProof<File extends Nameable>(
  c: AppContext,
  { alias }: Bucket,
  key: ObjectKey,
  file: Named<File>,
): Promise<Named<File>> {
  const upload = { bucket: alias, key, owner: c.get('principal').id }
  const proof = await uploadProof(c.get('settings'), upload)
  return { ...file, metadata: { ...file.metadata, [UPLOAD_MARK]: proof } }
}

/** Throws `invalid_request` unless an upload with `ifMatch` may replace an object. */
export function requireReplacement({ key, overwrite, ifMatch }: Omit<Naming, 'fileName'>): void {
  if (ifMatch === undefined || (key !== undefined && overwrite)) return
  throw invalidMember('ifMatch', 'needs key and overwrite: true')
}
