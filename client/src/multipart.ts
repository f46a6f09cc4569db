import type { FileRecord } from './answers/files.ts'
import { isFileRecord } from './answers/files.ts'
import { isPartList, isPartUrls, isStartedUpload, type StartedUpload } from './answers/uploads.ts'
import type { Api } from './api.ts'
import type { CompleteRequest, PartUrlsRequest, StartRequest, UploadQuery } from './bodies.ts'
import { isNothing } from './check.ts'
import type { ErrorCode } from './error-code.ts'
import { PAUSE } from './handle.ts'
import { call, type Job } from './job.ts'
import { partSigner } from './part-urls.ts'
import { PresignerError } from './presigner-error.ts'
import type { Stall } from './progress.ts'
import type { Drop, ResumeSlot } from './resume-slot.ts'
import { withRetries } from './retry.ts'
import { send } from './send.ts'

/** How many parts of a file are prepared at the same time. */
const PARALLEL_PARTS = 4
/** How many URLs are signed together: few enough to use them all before they expire. */
const SIGNED_TOGETHER = 20
/** How often to send parts again that the bucket accepted and then lost. */
const MAX_REPAIRS = 3

/** After one of these errors, an upload can't be resumed. */
const FINAL_CODES: readonly ErrorCode[] = [
  'upload_not_found',
  'upload_ended',
  'invalid_upload_id',
  'not_supported',
  'invalid_part',
  'size_mismatch',
  'file_too_large',
  'file_changed',
  'forbidden',
]

/** ETags by part number. */
type Etags = Map<number, string>

/**
 * Uploads the file in parts and records it. `slot` keeps what a later call needs to send only the
 * missing parts. If `signal` cancels the upload, or it can't be resumed, aborts the upload in the
 * bucket, and then clears `slot`. If `signal` pauses it, or its user has changed, keeps both.
 */
export async function uploadParts(job: Job, slot: ResumeSlot): Promise<FileRecord> {
  const { api, request, signal } = job
  const drop = dropWith(api)
  const kept = slot.load()
  let upload: StartedUpload | undefined = kept
  try {
    const same = kept?.sample === slot.sample ? kept : undefined
    const etags = same && (await findParts(job, same))
    // It may be complete: the page may have closed, or paused, before the response arrived. The API
    // tells whether it was this upload, even if its key was chosen.
    let record =
      same?.parts && !etags
        ? await complete(job, same, same.parts).catch(() => undefined)
        : undefined
    if (record) job.report(1, job.file.size)
    else {
      if (!upload || !etags) {
        if (kept) drop(kept, request.bucket)
        // The signal doesn't cancel this request, since an upload without a known id can't be
        // aborted.
        const body = { ...job.body, startId: newStartId(request) }
        const options = { body, signal: undefined }
        upload = await call(job, isStartedUpload, 'POST', '/multipart', options)
        slot.save(upload, drop)
        signal.throwIfAborted()
      }
      record = await sendAll(job, slot, upload, etags ?? new Map())
    }
    if (upload) slot.clear(upload)
    return record
  } catch (error) {
    // Without a slot, a later call can't find the parts.
    const isCanceled = signal.aborted && !(signal.reason === PAUSE && slot.load())
    // Nothing more is sent for this user. The parts stay.
    if (hasCode(error, ['user_changed'])) throw error
    if (upload && (isCanceled || hasCode(error, FINAL_CODES))) {
      const canceled = upload
      slot.cancel(canceled)
      drop(canceled, request.bucket, () => slot.clear(canceled))
    }
    throw error
  }
}

/** Returns an id for the start of an upload and its retries. A chosen key needs none. */
const newStartId = ({ key }: StartRequest): string | undefined =>
  key ? undefined : `${Date.now()}-${crypto.getRandomValues(new Uint32Array(4)).join('-')}`

/** Returns the complete parts that the bucket has, or undefined if the bucket doesn't list them. */
async function findParts(
  job: Job,
  { uploadId, key, partSize }: StartedUpload,
): Promise<Etags | undefined> {
  const { file, request, report } = job
  const query: UploadQuery = { key, bucket: request.bucket }
  try {
    const etags: Etags = new Map()
    const { parts } = await call(job, isPartList, 'GET', `/multipart/${uploadId}`, { query })
    for (const { partNumber, size, etag } of parts) {
      if (size !== Math.min(partSize, file.size - (partNumber - 1) * partSize)) continue
      etags.set(partNumber, etag)
      report(partNumber, size)
    }
    return etags
  } catch (error) {
    if (hasCode(error, FINAL_CODES)) return undefined
    throw error
  }
}

/** Completes the upload and records the file. A repeat only records it. */
function complete(
  job: Job,
  { uploadId, key }: StartedUpload,
  parts: CompleteRequest['parts'],
): Promise<FileRecord> {
  const { request, ifMatch } = job
  const { fileName: name, bucket } = request
  const body: CompleteRequest = { key, name, parts, ifMatch, bucket }
  return call(job, isFileRecord, 'POST', `/multipart/${uploadId}/complete`, { body })
}

/** Sends the parts that are missing in `etags`, and completes the upload. */
async function sendAll(
  job: Job,
  slot: ResumeSlot,
  upload: StartedUpload,
  etags: Etags,
): Promise<FileRecord> {
  for (let repairs = 0; ; repairs++) {
    await sendParts(job, upload, etags)
    const parts = [...etags]
      .sort(([one], [other]) => one - other)
      .map(([partNumber, etag]) => ({ partNumber, etag }))
    slot.complete(upload, parts)
    try {
      return await complete(job, upload, parts)
    } catch (error) {
      const found =
        repairs < MAX_REPAIRS && hasCode(error, ['invalid_part'])
          ? await findParts(job, upload)
          : undefined
      if (!found) throw error
      etags = found
    }
  }
}

/** Sends the parts that are missing in `etags`, several at the same time, and adds them. */
async function sendParts(job: Job, upload: StartedUpload, etags: Etags): Promise<void> {
  const { api, file, report, request, signal } = job
  const { key, partSize, uploadId } = upload
  const missing: number[] = []
  for (let n = 1; (n - 1) * partSize < file.size; n++) if (!etags.has(n)) missing.push(n)
  const signPart = partSigner((partNumber, stall: Stall) => {
    const from = missing.indexOf(partNumber)
    const partNumbers = missing.slice(from, from + SIGNED_TOGETHER)
    const body: PartUrlsRequest = { key, partNumbers, bucket: request.bucket }
    return api(isPartUrls, 'POST', `/multipart/${uploadId}/urls`, { body, signal, stall })
  })
  const queue = missing.values()
  const work = async () => {
    for (const n of queue) {
      const part = file.slice((n - 1) * partSize, n * partSize)
      const etag = await send(job, part, n, (stall) => signPart(n, stall))
      if (!etag) throw new PresignerError('etag_hidden', "The bucket's CORS rules must expose ETag")
      etags.set(n, etag)
      report(n, part.size)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL_PARTS }, work))
}

/**
 * Returns a function that deletes the parts of an upload, if the bucket supports it. It runs in the
 * background. Calls `done` unless a later call may delete more.
 */
const dropWith =
  (api: Api): Drop =>
  ({ uploadId, key }, bucket, done) => {
    const query: UploadQuery = { key, bucket }
    const send = () => api(isNothing, 'DELETE', `/multipart/${uploadId}`, { query })
    withRetries(new AbortController().signal, send).then(
      done,
      (error) => hasCode(error, FINAL_CODES) && done?.(),
    )
  }

const hasCode = (error: unknown, codes: readonly ErrorCode[]): boolean =>
  error instanceof PresignerError && codes.includes(error.code)
