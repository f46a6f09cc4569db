import type { Bucket, Credentials } from '../../src/bucket/bucket.ts'
import { ApiError } from '../../src/errors/api-error.ts'
import { listObjects } from '../../src/storage/list-objects.ts'
import {
  listUploadsPage,
  type MultipartUpload,
  type UploadsMarker,
} from '../../src/storage/multipart.ts'
import { StorageFailure } from '../../src/storage/storage-failure.ts'
import type { BucketCheck, BucketContext } from './bucket.ts'
import { codeOf, reasonOf } from './probe.ts'
import { pass, type Result, skip, warn } from './report.ts'

/** What upkeep needs of a bucket: docs/import-and-repair.md#repair. */
export const upkeepChecks: readonly BucketCheck[] = [
  ['list-uploads', listsUploads],
  ['list-objects', listsObjects],
]

/** The access key that walks through the bucket. */
interface Walker {
  readonly credentials: Credentials
  readonly name: string
}

const uploadWalker = ({ bucket, names, upkeep }: BucketContext): Walker =>
  upkeep.walker ?? { credentials: bucket.uploadCredentials, name: names.uploads }

const objectWalker = ({ bucket, names, upkeep }: BucketContext): Walker =>
  upkeep.walker ?? { credentials: bucket.credentials, name: names.reads }

/** Small pages, since keys can be long. A bucket with more unfinished uploads needs a rule anyway. */
const PAGE = 400
const MAX_PAGES = 50

const RULE =
  'Set a lifecycle rule that aborts unfinished uploads after 8 days (AbortIncompleteMultipartUpload): docs/import-and-repair.md#unfinished-uploads.'
const CAN_NOT_ABORT = `Upkeep can't find or abort unfinished uploads in this bucket. ${RULE}`

/**
 * Starts an upload in parts, and looks for it in the list of the whole bucket, as upkeep does: a server
 * may not know the operation, answer with an empty list, or know only whole keys as prefix.
 */
async function listsUploads(context: BucketContext): Promise<Result> {
  const { bucket, probe, upkeep } = context
  const { credentials, name } = uploadWalker(context)
  let upload: MultipartUpload
  try {
    upload = await probe.startUpload('unfinished.txt')
  } catch (error) {
    return skip(`No upload in parts can start (${reasonOf(error)}).`)
  }
  const found = await findUpload(bucket, credentials, upload)
  if (found !== 'listed') {
    if (found.code === 'AccessDenied') {
      const message = `The access key ${name} can't list the bucket's unfinished uploads (${found.code}).`
      const fix = `Allow it s3:ListBucketMultipartUploads: docs/security.md#least-privilege-keys. Otherwise: ${RULE}`
      return upkeep.isOn ? warn(message, fix) : skip(message, fix)
    }
    return warn(`Not supported: ${found.reason}.`, CAN_NOT_ABORT)
  }
  const { key, s3UploadId } = upload
  const query = { uploadId: s3UploadId }
  const aborted = await probe.presigned({ method: 'DELETE', key, credentials, query })
  if (aborted.status < 200 || aborted.status > 299)
    return warn(
      `The access key ${name} lists unfinished uploads, but can't abort them (${codeOf(aborted)}).`,
      `Allow it s3:AbortMultipartUpload. Otherwise: ${RULE}`,
    )
  const after = await findUpload(bucket, credentials, upload)
  if (after === 'listed')
    return warn('An aborted upload stays in the list.', `Tell the server's maintainers. ${RULE}`)
  if (!after.isComplete) return warn(`Not supported: ${after.reason}.`, CAN_NOT_ABORT)
  probe.forget(upload)
  return pass('Supported: an unfinished upload is listed, and gone after it was aborted.')
}

/** Why an upload is not in the list. */
interface NotListed {
  /** S3's error code. */
  readonly code: string | null
  readonly reason: string
  /** Whether the whole list was read. Otherwise, the upload may still be there. */
  readonly isComplete: boolean
}

/** Looks for an upload in the pages of ListMultipartUploads, without a prefix. */
async function findUpload(
  bucket: Bucket,
  credentials: Credentials,
  { s3UploadId }: MultipartUpload,
): Promise<'listed' | NotListed> {
  const walked = { ...bucket, uploadCredentials: credentials }
  let marker: UploadsMarker | undefined
  try {
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const { uploads, next } = await listUploadsPage(walked, marker, new Date(), PAGE)
      if (uploads.some((upload) => upload.s3UploadId === s3UploadId)) return 'listed'
      if (next === undefined)
        return {
          code: null,
          reason: 'the list of unfinished uploads lacks one that has just begun',
          isComplete: true,
        }
      marker = next
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    const { cause } = error
    const refusal = cause instanceof StorageFailure && cause.status !== 200 ? cause : null
    const isComplete = false
    return refusal === null
      ? { code: null, reason: error.message.replace(/\.$/, ''), isComplete }
      : {
          code: refusal.s3Code,
          reason: `ListMultipartUploads is refused (${reasonOf(error)})`,
          isComplete,
        }
  }
  const reason = `the list of unfinished uploads has more than ${MAX_PAGES} pages`
  return { code: null, reason, isComplete: false }
}

/** ListObjectsV2 with `start-after`, in the order of the keys, as upkeep walks through the bucket. */
async function listsObjects(context: BucketContext): Promise<Result> {
  const { bucket, probe, upkeep } = context
  if (!upkeep.isOn) return skip('UPKEEP is not set.')
  const { credentials, name } = objectWalker(context)
  const names = ['walk/1.txt', 'walk/2.txt', 'walk/3.txt']
  for (const one of names.toReversed()) await probe.put(one, 'doctor')
  const list = async (limit: number, after?: string) => {
    const query = { prefix: probe.key('walk'), limit, after }
    const { objects } = await listObjects({ ...bucket, credentials }, query, new Date())
    return objects.map(({ key }) => key).join()
  }
  const keys = names.map((one) => probe.key(one))
  try {
    if ((await list(names.length)) !== keys.join())
      return warn(
        'The list of objects lacks some, or is not in the order of their keys.',
        'Remove UPKEEP: it would compare the index with a wrong list.',
      )
  } catch (error) {
    return warn(
      `The access key ${name} can't list the objects (${reasonOf(error)}).`,
      `Allow it s3:ListBucket on the bucket: docs/security.md#least-privilege-keys.`,
    )
  }
  // Two, since Ceph's SQLite store begins with the key itself, which the Worker leaves out.
  const rest = await list(2, keys[1]).catch(reasonOf)
  return rest === keys[2]
    ? pass(`The access key ${name} lists the objects, in the order of their keys.`)
    : warn(
        'The server ignores start-after when it lists objects.',
        'Remove UPKEEP: it could not go on where it has stopped.',
      )
}
