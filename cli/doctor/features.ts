import { createHash } from 'node:crypto'
import { ApiError } from '../../src/errors/api-error.ts'
import { postObjectFields, signPostPolicy } from '../../src/plugins/uppy/post-policy.ts'
import { listParts, type MultipartUpload } from '../../src/storage/multipart.ts'
import type { BucketCheck, BucketContext } from './bucket.ts'
import { codeOf, reasonOf } from './probe.ts'
import { fail, pass, type Result, skip, warn } from './report.ts'
import type { Answer } from './requests.ts'

/** Optional features of a server. If the bucket's table has a setting for one, they must agree. */
export const featureChecks: readonly BucketCheck[] = [
  ['conditional-writes', conditionalWrites],
  ['conditional-replace', conditionalReplace],
  ['conditional-delete', conditionalDelete],
  ['checksums', checksums],
  ['post-policies', postPolicies],
  ['parts', parts],
  ['list-parts', listsParts],
  ['abort', abort],
  ['conditional-complete', conditionalComplete],
  ['key-spelling', keySpelling],
]

const supported = (what: string): Result => pass(`Supported: ${what}.`)
const unsupported = (what: string, fix: string): Result => warn(`Not supported: ${what}.`, fix)

const isOk = ({ status }: Answer): boolean => status >= 200 && status < 300

/**
 * PutObject with `If-None-Match: *`, which is what `overwrite: false` sends, and `conditionalPut` in
 * the settings.
 */
async function conditionalWrites({ probe, bucket }: BucketContext): Promise<Result> {
  const put = () => probe.put('once.txt', 'doctor', { 'If-None-Match': '*' })
  const lacking = (what: string) =>
    bucket.conditionalPut
      ? fail(`Not supported: ${what}.`, 'Set `conditionalPut = false`.')
      : unsupported(
          what,
          'Do not rely on `overwrite: false`, and give no two uploads the same key.',
        )
  const first = await put()
  if (!isOk(first)) return lacking(`If-None-Match is refused (${codeOf(first)})`)
  const second = await put()
  if (isOk(second)) return lacking('If-None-Match is ignored, and the object was replaced')
  const what = `a second upload with If-None-Match is refused (${codeOf(second)})`
  return bucket.conditionalPut
    ? supported(what)
    : warn(
        `Supported, but \`conditionalPut\` is off: ${what}.`,
        'Set `conditionalPut = true` in the table of this bucket.',
      )
}

/** PutObject with `If-Match`, which is what `ifMatch` sends, and `conditionalReplace` in the settings. */
async function conditionalReplace({ probe, bucket }: BucketContext): Promise<Result> {
  const put = (body: string, etag?: string) =>
    probe.put('match.txt', body, etag === undefined ? {} : { 'If-Match': etag })
  const lacking = (what: string) =>
    bucket.conditionalReplace
      ? fail(`Not supported: ${what}.`, 'Set `conditionalReplace = false`.')
      : supportedOrNot(false, what)
  const etag = (await put('doctor')).headers.get('etag')
  if (etag === null) return skip('The server returns no ETag to compare.')
  const stale = await put('lost', '"00000000000000000000000000000000"')
  if (isOk(stale)) return lacking('If-Match is ignored, and the object was replaced')
  const same = await put('replaced', etag)
  if (!isOk(same)) return lacking(`If-Match is refused (${codeOf(same)})`)
  const what = `an upload with another If-Match is refused (${codeOf(stale)})`
  return bucket.conditionalReplace
    ? supported(what)
    : warn(
        `Supported, but \`conditionalReplace\` is off: ${what}.`,
        'Set `conditionalReplace = true` in the table of this bucket.',
      )
}

/** DeleteObject with `If-Match`, which is what the `etag` of a delete sends with `conditionalDelete`. */
async function conditionalDelete({ probe, bucket }: BucketContext): Promise<Result> {
  const lacking = (what: string) =>
    bucket.conditionalDelete
      ? fail(`Not supported: ${what}.`, 'Set `conditionalDelete = false`.')
      : supportedOrNot(false, what)
  const etag = (await probe.put('delete.txt', 'doctor')).headers.get('etag')
  if (etag === null) return skip('The server returns no ETag to compare.')
  const stale = await probe.deleteMatching('delete.txt', '"00000000000000000000000000000000"')
  if (!isOk(await probe.get('delete.txt')))
    return lacking('If-Match is ignored, and the object was deleted')
  const same = await probe.deleteMatching('delete.txt', etag)
  if (!isOk(same)) return lacking(`If-Match is refused (${codeOf(same)})`)
  const what = `a delete with another If-Match is refused (${codeOf(stale)})`
  return bucket.conditionalDelete
    ? supported(what)
    : warn(
        `Supported, but \`conditionalDelete\` is off: ${what}.`,
        'Set `conditionalDelete = true` in the table of this bucket.',
      )
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64')

/** PutObject with `x-amz-checksum-sha256`, which is what `sha256` sends. */
async function checksums({ probe }: BucketContext): Promise<Result> {
  const put = (digest: string) =>
    probe.put('checksum.txt', 'doctor', { 'x-amz-checksum-sha256': digest })
  const fix = 'Do not rely on `sha256` with this server: compare digests yourself.'
  const right = await put(sha256('doctor'))
  if (!isOk(right)) return unsupported(`a checksum is refused (${codeOf(right)})`, fix)
  const wrong = await put(sha256('other'))
  return isOk(wrong)
    ? unsupported('a wrong checksum is accepted', fix)
    : supported(`a wrong checksum is refused (${codeOf(wrong)})`)
}

/** PostObject, for HTML forms, which Uppy uses in Companion mode. */
async function postPolicies({ probe, bucket }: BucketContext): Promise<Result> {
  const key = probe.key('form.txt')
  const post = async (maxBytes: number): Promise<Answer> => {
    const fields = await signPostPolicy({
      bucket,
      credentials: bucket.uploadCredentials,
      key,
      fields: {
        success_action_status: '201',
        'content-type': 'text/plain',
        ...postObjectFields(bucket),
      },
      maxBytes,
      signedAt: new Date(),
      signedSeconds: 300,
    })
    return probe.post(key, fields, 'doctor')
  }
  const allowed = await post(1024)
  if (!isOk(allowed)) {
    const what = `a form is refused (${codeOf(allowed)})`
    return bucket.postUploads
      ? fail(`Not supported: ${what}.`, 'Set `postUploads = false` in the table of this bucket.')
      : supportedOrNot(false, what)
  }
  const tooLarge = await post(1)
  if (isOk(tooLarge))
    return fail(
      'The server ignores the policy of a form: it accepted a file that is larger than allowed.',
      'Set `postUploads = false`, and give no form to anyone.',
    )
  const what = `a form is accepted, and a file that is too large for its policy is refused (${codeOf(tooLarge)})`
  return supportedOrNot(true, bucket.postUploads ? what : `${what}; \`postUploads\` is false`)
}

/** Reports whether a server supports a feature for which the settings already have the right value. */
const supportedOrNot = (isSupported: boolean, what: string): Result =>
  isSupported ? supported(what) : pass(`Not supported, as the settings say: ${what}.`)

const RETENTION = 'Add a lifecycle rule that deletes unfinished uploads: docs/api.md.'

/** CreateMultipartUpload and UploadPart. S3 has no minimum size for the last part. */
async function parts({ probe }: BucketContext): Promise<Result> {
  const fix =
    "Give the access key for uploads s3:PutObject; without uploads in parts, files can't be larger than 5 GiB."
  try {
    const upload = await probe.startUpload('parts.txt')
    const part = await probe.putPart(upload, 'doctor')
    if (!isOk(part)) return fail(`A part is refused (${codeOf(part)}).`, fix)
    const etag = part.headers.get('etag')
    if (etag === null) return fail('The response to a part has no ETag.', fix)
    await probe.complete(upload, etag, false)
    return supported('an upload in parts is completed')
  } catch (error) {
    return fail(`An upload in parts is refused (${reasonOf(error)}).`, fix)
  }
}

/** Starts an upload for another check, or returns why it can't. */
async function started({ probe }: BucketContext, name: string): Promise<MultipartUpload | Result> {
  try {
    return await probe.startUpload(name)
  } catch (error) {
    return skip(`No upload in parts can start (${reasonOf(error)}).`)
  }
}

const isResult = (value: MultipartUpload | Result): value is Result => 'status' in value

/** ListParts, which an upload needs to resume. */
async function listsParts(context: BucketContext): Promise<Result> {
  const upload = await started(context, 'list.txt')
  if (isResult(upload)) return upload
  const fix =
    'Give the access key for uploads s3:ListMultipartUploadParts. Without it, Uppy in Companion mode cannot resume an upload.'
  const part = await context.probe.putPart(upload, 'doctor')
  if (!isOk(part)) return unsupported(`a part is refused (${codeOf(part)})`, fix)
  try {
    const [first] = await listParts(upload, new Date())
    return first?.partNumber === 1 && first.size === 'doctor'.length
      ? supported('the part of an upload is listed')
      : unsupported('the part of an upload is not listed', fix)
  } catch (error) {
    return unsupported(reasonOf(error), fix)
  }
}

/** AbortMultipartUpload. Without it, unfinished uploads remain and cost money. */
async function abort(context: BucketContext): Promise<Result> {
  const upload = await started(context, 'abort.txt')
  if (isResult(upload)) return upload
  const { probe, bucket } = context
  const { uploadCredentials } = bucket
  const query = { uploadId: upload.s3UploadId }
  const answer = await probe.presigned({
    method: 'DELETE',
    key: upload.key,
    credentials: uploadCredentials,
    query,
  })
  if (!isOk(answer)) return unsupported(codeOf(answer), RETENTION)
  const part = await probe.putPart(upload, 'doctor')
  if (isOk(part)) return unsupported('a part is accepted after the upload was aborted', RETENTION)
  probe.forget(upload)
  return supported('an aborted upload accepts no more parts')
}

/** CompleteMultipartUpload with `If-None-Match: *`, and `conditionalComplete` in the settings. */
async function conditionalComplete(context: BucketContext): Promise<Result> {
  const { probe, bucket } = context
  const existing = await probe.put('complete.txt', 'doctor')
  const upload = await started(context, 'complete.txt')
  if (isResult(upload)) return upload
  const etag = (await probe.putPart(upload, 'replaced')).headers.get('etag')
  if (!isOk(existing) || etag === null) return skip('There is nothing to complete.')
  try {
    await probe.complete(upload, etag, true)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    const reason = reasonOf(error)
    if (!/^(?:409|412)/.test(reason)) {
      const what = `If-None-Match is refused when an upload in parts is completed (${reason})`
      return bucket.conditionalComplete
        ? fail(`Not supported: ${what}.`, 'Set `conditionalComplete = false`.')
        : supportedOrNot(false, what)
    }
    const what = `an upload in parts can't replace an object (${reason})`
    return bucket.conditionalComplete
      ? supported(what)
      : warn(
          `Supported, but \`conditionalComplete\` is off: ${what} where it is on.`,
          'Set `conditionalComplete = true` in the table of this bucket.',
        )
  }
  const what = 'If-None-Match is ignored when an upload in parts is completed'
  return bucket.conditionalComplete
    ? fail(`Not supported: ${what}.`, 'Set `conditionalComplete = false`.')
    : supportedOrNot(false, what)
}

/** Spellings of a key that a server may treat as one object: docs/configuration.md#spellings-of-a-key. */
async function keySpelling({ probe, bucket }: BucketContext): Promise<Result> {
  const finds = async (stored: string, asked: string): Promise<boolean> => {
    const put = await probe.put(stored, stored)
    return isOk(put) && (await probe.get(asked)).text === stored
  }
  const normalizes = await finds('caf\u00e9.txt', 'cafe\u0301.txt')
  if (normalizes && !bucket.normalizesKeys)
    return fail(
      'The server treats the Unicode forms of a key as one object.',
      'Set `normalizesKeys = true` in the table of this bucket.',
    )
  const folds = [
    ...((await finds('spelling/slash.txt', 'spelling//slash.txt')) ? ['`a//b` and `a/b`'] : []),
    ...((await finds('Case.txt', 'case.txt')) ? ['upper and lower case'] : []),
  ]
  if (folds.length > 0)
    return warn(
      `The server treats ${folds.join(', and ')} as one object.`,
      'Choose prefixes as docs/configuration.md#spellings-of-a-key describes.',
    )
  if (!normalizes && bucket.normalizesKeys)
    return warn(
      'The server keeps the Unicode forms of a key as separate objects, but `normalizesKeys` is on.',
      'Set `normalizesKeys = false`. Otherwise, some objects are not reachable.',
    )
  return pass(
    normalizes
      ? 'Keys are in Unicode NFC, as the settings say.'
      : 'Each spelling is a separate object.',
  )
}
