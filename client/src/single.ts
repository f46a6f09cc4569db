import { sha256Of } from './file-bytes.ts'
import { call, type Job } from './job.ts'
import type { RecordRequest, UploadUrlRequest } from './requests.ts'
import { type FileRecord, isFileRecord, isUploadUrl } from './responses.ts'
import { send, type Targets } from './send.ts'
import { isFresh, type SignedPut } from './signed-put.ts'

/** Uploads the file in one request and records it. */
export async function uploadSingle(job: Job, sha256: boolean): Promise<FileRecord> {
  const { api, file, request, report, signal } = job
  const body: UploadUrlRequest = sha256 ? { ...job.body, sha256: await sha256Of(file) } : job.body
  let signed: (SignedPut & { readonly key: string }) | undefined
  const targets: Targets = {
    async get(stall) {
      if (!isFresh(signed)) {
        const answer = await api(isUploadUrl, 'POST', '/files/upload-url', { body, signal, stall })
        signed = { ...answer, url: answer.uploadUrl, signedAt: Date.now() }
      }
      return signed
    },
    drop() {
      signed = undefined
    },
  }
  const etag = await send(job, file, 1, targets)
  report(1, file.size)
  const { fileName: name, bucket } = request
  const record: RecordRequest = {
    key: signed?.key ?? '',
    name,
    // Somebody else may replace the object under a chosen key.
    etag: (request.key && etag) || undefined,
    bucket,
  }
  return call(job, isFileRecord, 'POST', '/files', { body: record })
}
