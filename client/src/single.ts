import { announceFile, record, type SignedFile, sign, type Unsigned } from './batches.ts'
import { sha256Of } from './file-bytes.ts'
import { isGenerated } from './generated-key.ts'
import type { Job } from './job.ts'
import type { UploadUrlRequest } from './requests.ts'
import type { FileRecord } from './responses.ts'
import { send, type Targets } from './send.ts'
import { isFresh } from './signed-put.ts'

/** Uploads the file in one request and records it. */
export async function uploadSingle(job: Job, sha256: boolean): Promise<FileRecord> {
  const { file, request, report, ifMatch } = job
  const body: UploadUrlRequest = {
    ...job.body,
    ifMatch,
    ...(sha256 && { sha256: await sha256Of(file) }),
  }
  const unsigned: Unsigned = { job, body }
  announceFile(unsigned)
  let signed: SignedFile | undefined
  const targets: Targets = {
    async get(stall) {
      if (!isFresh(signed)) signed = await sign(unsigned, stall)
      return signed
    },
    drop() {
      signed = undefined
    },
  }
  const etag = await send(job, file, 1, targets)
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
