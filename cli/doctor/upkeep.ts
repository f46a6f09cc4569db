import type { XmlElement } from '@rgrove/parse-xml'
import type { Credentials } from '../../src/bucket/bucket.ts'
import { s3CodeIn } from '../../src/storage/s3.ts'
import { childrenOf, readXml, textOf } from '../../src/storage/xml.ts'
import type { BucketCheck, BucketContext } from './bucket.ts'
import { codeOf, type Probe, reasonOf } from './probe.ts'
import { pass, type Result, skip, warn } from './report.ts'
import type { Answer } from './requests.ts'

/** What upkeep needs of a bucket: docs/upkeep.md. */
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
  'Set a lifecycle rule that aborts unfinished uploads after 8 days (AbortIncompleteMultipartUpload): docs/upkeep.md#unfinished-uploads.'
const CAN_NOT_ABORT = `Upkeep can't find or abort unfinished uploads in this bucket. ${RULE}`

const isOk = ({ status }: Answer): boolean => status >= 200 && status < 300

/**
 * Starts an upload in parts, and looks for it in the list of the whole bucket, as upkeep does: a server
 * may not know the operation, answer with an empty list, or know only whole keys as prefix.
 */
async function listsUploads(context: BucketContext): Promise<Result> {
  const { probe, upkeep } = context
  const { credentials, name } = uploadWalker(context)
  let upload: Awaited<ReturnType<Probe['startUpload']>>
  try {
    upload = await probe.startUpload('unfinished.txt')
  } catch (error) {
    return skip(`No upload in parts can start (${reasonOf(error)}).`)
  }
  const found = await findUpload(probe, credentials, upload)
  if (found !== 'listed') {
    if (found.code === 'AccessDenied') {
      const message = `The access key ${name} can't list the bucket's unfinished uploads (${found.seen}).`
      const fix = `Allow it s3:ListBucketMultipartUploads: docs/security.md#least-privilege-keys. Otherwise: ${RULE}`
      return upkeep.isOn ? warn(message, fix) : skip(message, fix)
    }
    return warn(`Not supported: ${found.seen}.`, CAN_NOT_ABORT)
  }
  const { key, s3UploadId } = upload
  const query = { uploadId: s3UploadId }
  const aborted = await probe.presigned({ method: 'DELETE', key, credentials, query })
  if (!isOk(aborted))
    return warn(
      `The access key ${name} lists unfinished uploads, but can't abort them (${codeOf(aborted)}).`,
      `Allow it s3:AbortMultipartUpload. Otherwise: ${RULE}`,
    )
  const after = await findUpload(probe, credentials, upload)
  if (after === 'listed')
    return warn('An aborted upload stays in the list.', `Tell the server's maintainers. ${RULE}`)
  probe.forget(upload)
  return pass('Supported: an unfinished upload is listed, and gone after it was aborted.')
}

/** Why an upload is not in the list. */
interface NotListed {
  /** S3's error code. */
  readonly code: string | null
  readonly seen: string
}

/** Looks for an upload in the pages of ListMultipartUploads, without a prefix. */
async function findUpload(
  probe: Probe,
  credentials: Credentials,
  { key, s3UploadId }: { readonly key: string; readonly s3UploadId: string },
): Promise<'listed' | NotListed> {
  let marker: Readonly<Record<string, string>> = {}
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const query = { uploads: '', 'encoding-type': 'url', 'max-uploads': String(PAGE), ...marker }
    const answer = await probe.ofBucket({ credentials, query })
    const root = readXml(answer.text)
    if (!isOk(answer) || root?.name !== 'ListMultipartUploadsResult') {
      const seen = `ListMultipartUploads is refused (${codeOf(answer)})`
      return { code: s3CodeIn(answer.text), seen }
    }
    const decode = decoderFor(root)
    for (const upload of childrenOf(root, 'Upload'))
      if (textOf(upload, 'UploadId') === s3UploadId && decode(textOf(upload, 'Key') ?? '') === key)
        return 'listed'
    const next = decode(textOf(root, 'NextKeyMarker') ?? '')
    if (textOf(root, 'IsTruncated') !== 'true' || next === '')
      return { code: null, seen: 'the list of unfinished uploads lacks one that has just begun' }
    const id = textOf(root, 'NextUploadIdMarker') ?? ''
    marker = { 'key-marker': next, ...(id !== '' && { 'upload-id-marker': id }) }
  }
  return { code: null, seen: `the list of unfinished uploads has more than ${MAX_PAGES} pages` }
}

/** With `encoding-type=url`, servers that know it encode keys. */
const decoderFor =
  (root: XmlElement) =>
  (text: string): string =>
    textOf(root, 'EncodingType') === 'url' ? decodeURIComponent(text.replaceAll('+', ' ')) : text

/** ListObjectsV2 with `start-after`, page by page, as upkeep walks through the bucket. */
async function listsObjects(context: BucketContext): Promise<Result> {
  const { probe, upkeep } = context
  if (!upkeep.isOn) return skip('UPKEEP is not set.')
  const { credentials, name } = objectWalker(context)
  const fix = `Allow ${name} s3:ListBucket on the bucket: docs/security.md#least-privilege-keys.`
  const [first, second] = [probe.key('walk/1.txt'), probe.key('walk/2.txt')]
  for (const key of ['walk/2.txt', 'walk/1.txt']) await probe.put(key, 'doctor')
  const list = async (startAfter: string): Promise<readonly string[] | Answer> => {
    const query = { 'list-type': '2', 'encoding-type': 'url', prefix: probe.key('walk/') }
    const more = startAfter === '' ? {} : { 'start-after': startAfter }
    const answer = await probe.ofBucket({ credentials, query: { ...query, ...more } })
    const root = readXml(answer.text)
    if (!isOk(answer) || root?.name !== 'ListBucketResult') return answer
    const decode = decoderFor(root)
    return childrenOf(root, 'Contents').map((object) => decode(textOf(object, 'Key') ?? ''))
  }
  const all = await list('')
  if ('status' in all)
    return warn(`The access key ${name} can't list the objects (${codeOf(all)}).`, fix)
  if (all.join() !== [first, second].join())
    return warn(
      'The list of objects is not that of the bucket, or not in the order of the keys.',
      'Leave UPKEEP out with this server: it would compare the index with a wrong list.',
    )
  const rest = await list(first)
  return 'status' in rest || rest.join() !== second
    ? warn(
        'The server does not support start-after in ListObjectsV2.',
        'Leave UPKEEP out with this server: it could not go on where it has stopped.',
      )
    : pass(`The access key ${name} lists the objects, in the order of their keys.`)
}
