import type { FileRecord } from './answers/files.ts'
import { announceFile, record, type SignedFile, sign, type Unsigned } from './batches.ts'
import type { UploadUrlRequest } from './bodies.ts'
import { sha256Of } from './file-bytes.ts'
import { isGenerated } from './generated-key.ts'
import type { Job } from './job.ts'
import type { Stall } from './progress.ts'
import { inSlot } from './put.ts'
import { send } from './send.ts'
import { isFresh } from './signed-put.ts'

/** What a pause keeps, so that the file is not stored twice: its URL, and its ETag when it is sent. */
export interface KeptFile {
  signed?: SignedFile
  etag?: string
}

/** Uploads the file in one request and records it. Does only what an earlier run has not. */
export async function uploadSingle(
  job: Job,
  kept: KeptFile,
  sha256?: boolean,
): Promise<FileRecord> {
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
  let early = isFresh(kept.signed) ? kept.signed : undefined
  announceFile(unsigned, early !== undefined || kept.etag !== undefined)
  const signOnce = async (stall: Stall) => {
    const signed = early ?? (await sign(unsigned, stall))
    early = undefined
    kept.signed = signed
    return signed
  }
  kept.etag ??= await send(job, file, 1, signOnce)
  report(1, file.size)
  const { fileName: name, bucket } = request
  const key = kept.signed?.key ?? ''
  return record(job, {
    key,
    name,
    // Somebody else may replace the object under a chosen key.
    etag: (!isGenerated(key) && kept.etag) || undefined,
    bucket,
  })
}
