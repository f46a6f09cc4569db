import type { FileRecord } from '../answers/files.ts'
import { isFileRecord } from '../answers/files.ts'
import { isStartedUpload, isUploadUrl } from '../answers/uploads.ts'
import type { CompleteRequest } from '../bodies.ts'
import type { Call, CallOptions } from '../call.ts'
import { isNothing } from '../check.ts'
import { isGenerated } from '../generated-key.ts'
import { PresignerError } from '../presigner-error.ts'
import type { TargetOptions } from '../requests.ts'
import { unlessAborted } from '../signals.ts'
import type { SignedPut } from '../signed-put.ts'
import { sendParts } from './parts.ts'
import { putBytes } from './put.ts'
import { openSource, type Piece, type Source, type UploadSource } from './source.ts'

/** A larger file goes in parts, like in the browser client. */
const MAX_SINGLE_BYTES = 32 * 1024 ** 2
/** S3's limit for each part except the last. */
const MIN_PART_BYTES = 5 * 1024 ** 2
/** For a stream, whose parts are in memory until the bucket has them. */
const STREAM_PART_BYTES = 8 * 1024 ** 2
/** How long deleting the parts of a failed upload may take. */
const ABORT_MILLISECONDS = 30_000

export type ServerUploadOptions = TargetOptions & CallOptions & SourceOptions

interface SourceOptions {
  /**
   * Media type. Default: the Blob's, or `application/octet-stream`, which a link delivers as a
   * download.
   */
  readonly mimetype?: string | undefined
  /** Bytes of a stream, if you know them. The upload fails if the stream has more or fewer. */
  readonly size?: number | undefined
  /**
   * Bytes of each part, from 5 MiB on. A larger file goes in parts. Default: 8 MiB, or more if a
   * file of known size needs it.
   */
  readonly partSize?: number | undefined
}

/** What an upload needs of its client. */
export interface UploadContext {
  readonly api: Call
  readonly bucket: string | undefined
}

/**
 * Uploads `input` and records it. Aborts the upload in the bucket if it fails. Throws
 * PresignerError, what the source throws, and the reason of `signal`.
 */
export async function upload(
  context: UploadContext,
  input: UploadSource,
  { signal, ...options }: ServerUploadOptions,
): Promise<FileRecord> {
  signal?.throwIfAborted()
  // Even for a small file, so that the mistake doesn't appear only with a large one.
  if (options.overwrite && options.key === undefined) throw invalid('overwrite needs key.')
  if (options.partSize !== undefined && options.partSize < MIN_PART_BYTES)
    throw invalid(`partSize must be at least ${MIN_PART_BYTES}.`)
  const opened = await openSource(input)
  try {
    const { size, ...source } = withSize(opened, options.size)
    const { fileName, key, partSize, ifMatch, ...more } = options
    const { mimetype = source.mimetype, ...conditions } = more
    const { bucket } = context
    // The Worker makes a name from a chosen key.
    const name = fileName ?? source.name ?? (key === undefined ? 'file' : undefined)
    const file = {
      ...conditions,
      ...(key === undefined ? { fileName: name } : { key }),
      mimetype: mimetype ?? 'application/octet-stream',
      bucket,
    }
    const planned = partSize ?? (size === null ? STREAM_PART_BYTES : undefined)
    const maxSingle = planned ?? MAX_SINGLE_BYTES
    const ahead: Piece[] = []
    if (size === null || size <= maxSingle) {
      ahead.push(await unlessAborted(source.read(maxSingle), signal))
      const whole = takeWhole(ahead, size ?? maxSingle - 1)
      const body = { ...file, ifMatch }
      if (whole)
        return await uploadSingle(context, { ...body, size: whole.size }, name, whole, signal)
    }
    // A repeat of the start gets the same new key.
    const startId = key ? undefined : `${Date.now()}-${crypto.randomUUID()}`
    const request = { ...file, size: size ?? undefined, partSize: planned, startId }
    const next = async (bytes: number) => ahead.pop() ?? source.read(bytes)
    return await uploadParts(context, request, { name, ifMatch }, next, signal)
  } finally {
    await opened.close?.()
  }
}

/**
 * Returns the piece in `ahead` if it has at most `max` bytes. A variable of the caller would keep a
 * larger one in memory until its upload ends.
 */
const takeWhole = ([first]: readonly Piece[], max: number): Piece | undefined =>
  first && first.size <= max ? first : undefined

const invalid = (message: string): PresignerError => new PresignerError('invalid_options', message)

/** Returns `source`, checked against the `stated` size. */
function withSize(source: Source, stated: number | undefined): Source {
  const size = source.size ?? stated ?? null
  const mismatch = (bytes: string) =>
    new PresignerError('size_mismatch', `The source has ${bytes} bytes, but size is ${stated}.`)
  if (stated !== undefined && size !== stated) throw mismatch(String(size))
  if (stated === undefined || source.size !== null) return source
  let total = 0
  return {
    ...source,
    size,
    async read(bytes) {
      const wanted = Math.min(bytes, stated - total)
      const read = await source.read(wanted)
      total += read.size
      if (read.size < wanted) throw mismatch(String(total))
      if (total === stated && (await source.read(1)).size > 0) throw mismatch('more')
      return read
    },
  }
}

/** Uploads all bytes with one PUT, and records the file. */
async function uploadSingle(
  { api, bucket }: UploadContext,
  body: { readonly size: number },
  name: string | undefined,
  piece: Piece,
  signal: AbortSignal | undefined,
): Promise<FileRecord> {
  let key = ''
  const sign = async (): Promise<SignedPut> => {
    const signed = await api(isUploadUrl, 'POST', '/files/upload-url', { body, signal })
    key = signed.key
    return { ...signed, url: signed.uploadUrl, signedAt: Date.now() }
  }
  const etag = await putBytes(sign, piece, signal)
  // Somebody else may replace the object under a chosen key.
  const record = { key, name, etag: (!isGenerated(key) && etag) || undefined, bucket }
  return api(isFileRecord, 'POST', '/files', { body: record, signal })
}

/** Uploads what `next` returns in parts, and records the file. */
async function uploadParts(
  { api, bucket }: UploadContext,
  body: { readonly size: number | undefined },
  end: Pick<CompleteRequest, 'name' | 'ifMatch'>,
  next: Source['read'],
  signal: AbortSignal | undefined,
): Promise<FileRecord> {
  const started = await api(isStartedUpload, 'POST', '/multipart', { body, signal })
  const { key, uploadId, partSize } = started
  const path = `/multipart/${uploadId}`
  try {
    const isSized = body.size !== undefined
    const parts = await sendParts(
      { api, path, key, bucket, partSize, isSized },
      () => next(partSize),
      signal,
    )
    const completed: CompleteRequest = { key, ...end, parts, bucket }
    return await api(isFileRecord, 'POST', `${path}/complete`, { body: completed, signal })
  } catch (error) {
    const limit = AbortSignal.timeout(ABORT_MILLISECONDS)
    const query = { key, bucket }
    await api(isNothing, 'DELETE', path, { query, signal: limit }).catch(() => undefined)
    throw error
  }
}
