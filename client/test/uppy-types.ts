import AwsS3, { type AwsBody } from '@uppy/aws-s3'
import Uppy, { type Meta } from '@uppy/core'
import { createClient } from '../src/index.ts'
import { recordUploads, restartLostUploads, retryAfterOutages, uppyOptions } from '../src/uppy.ts'

/** Compiles only if the structural types of `edge-presigner-client/uppy` match Uppy's own. */
export function fitsUppy(): void {
  const client = createClient({ baseUrl: '', token: async () => 'token' })
  const uppy = new Uppy().use(AwsS3, uppyOptions(client))
  recordUploads(uppy, client, { onRecord: (record, file) => [record.key, file.id] })
  restartLostUploads(uppy)
  retryAfterOutages(uppy, { onStall: (error) => error?.message })

  interface Fields extends Meta {
    caption: string
  }
  const typed = new Uppy<Fields, AwsBody>().use(AwsS3, {
    ...uppyOptions(client, {
      sha256: true,
      directory: (file) => String(file.meta.album),
      metadata: ['caption'],
    }),
    shouldUseMultipart: true,
  })
  recordUploads(typed, client)()
  restartLostUploads(typed)()
  retryAfterOutages(typed)()
}
