import { type FileRecord, isFileRecord, isUploadUrl, type UploadUrl } from './answers.ts'
import type { Job } from './job.ts'
import type { RecordRequest, UploadUrlRequest } from './requests.ts'
import { withRetries } from './retry.ts'
import { send } from './send.ts'
import { sha256Of } from './sha256.ts'

/** Uploads the file in one request and records it. */
export async function uploadSingle(
  { api, file, request, report, signal }: Job,
  sha256: boolean,
): Promise<FileRecord> {
  const body: UploadUrlRequest = sha256 ? { ...request, sha256: await sha256Of(file) } : request
  let signed: (UploadUrl & { readonly until: number }) | undefined
  const targets = {
    async get() {
      if (!signed || signed.until < Date.now()) {
        const answer = await api(isUploadUrl, 'POST', '/files/upload-url', { body, signal })
        signed = { ...answer, until: Date.now() + answer.expiresIn * 1000 }
      }
      return { url: signed.uploadUrl, headers: signed.headers }
    },
    drop() {
      signed = undefined
    },
  }
  await send(file, targets, (sentBytes) => report(1, sentBytes), signal)
  report(1, file.size)
  const { fileName: name, bucket } = request
  const record: RecordRequest = { key: signed?.key ?? '', name, bucket }
  return withRetries(signal, () => api(isFileRecord, 'POST', '/files', { body: record, signal }))
}
