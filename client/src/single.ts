import { announceFile, record, type SignedFile, sign, type Unsigned } from './batches.ts'
import type { UploadUrlRequest } from './bodies.ts'
import { sha256Of } from './file-bytes.ts'
import { isGenerated } from './generated-key.ts'
import type { Job } from './job.ts'
import { PresignerError } from './presigner-error.ts'
import type { Stall } from './progress.ts'
import { inSlot } from './put.ts'
import type { FileRecord } from './responses.ts'
import { send } from './send.ts'

/** Tells whether the bucket refuses to replace the object of a generated key, which only this upload has. */
const isThere = (error: unknown, signed: SignedFile | undefined): boolean =>
  error instanceof PresignerError &&
  error.status === 412 &&
  signed?.headers['If-None-Match'] === '*' &&
  isGenerated(signed.key)

/** Uploads the file in one request and records it. */
export async function uploadSingle(job: Job, sha256?: boolean): Promise<FileRecord> {
  const { file, request, report, ifMatch, signal } = job
  /** In a slot, so that many files are not in memory at the same time. */
  const hash = () => {
    signal.throwIfAborted()
    return sha256Of(file)
  }
  const body: UploadUrlRequest = {
    ...job.body,
    ifMatch,
    ...(sha256 && { sha256: await inSlot(file.size, signal, hash) }),
  }
  const unsigned: Unsigned = { job, body }
  announceFile(unsigned)
  let signed: SignedFile | undefined
  const signOnce = async (stall: Stall) => {
    signed = await sign(unsigned, stall)
    return signed
  }
  const etag = await send(job, file, 1, signOnce).catch((error: unknown) => {
    // An earlier try may have arrived without an answer. Recording it finds out.
    if (isThere(error, signed)) return undefined
    throw error
  })
  report(1, file.size)
  const { fileName: name, bucket } = request
  const key = signed?.key ?? ''
  return record(job, {
    key,
    name,
    // Somebody else may replace the object under a chosen key.
    etag: (!isGenerated(key) && etag) || undefined,
    bucket,
  })
}
