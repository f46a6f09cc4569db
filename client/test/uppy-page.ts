import AwsS3 from '@uppy/aws-s3'
import Uppy from '@uppy/core'
import { patternBytes } from '../../test/e2e/pattern-bytes.ts'
import { createClient } from '../src/index.ts'
import { recordUploads, restartLostUploads, retryAfterOutages, uppyOptions } from '../src/uppy.ts'
import type { UppyHelperPage } from './uppy-page-api.ts'

let uppy = new Uppy()
let partsUploaded = 0
const events: string[] = []
const stalls: string[] = []

const onStall = (error?: Error): void => {
  const stall = error?.message ?? ''
  if (stall !== (stalls.at(-1) ?? '')) stalls.push(stall)
}

const page: UppyHelperPage = {
  upload({ baseUrl, token, multipart, ...options }, size, meta) {
    const client = createClient({ baseUrl, token: () => token })
    uppy = new Uppy().use(AwsS3, {
      ...uppyOptions(client, { ...options, onStall }),
      shouldUseMultipart: multipart,
      getChunkSize: () => 5 * 1024 ** 2,
    })
    recordUploads(uppy, client, { onRecord: ({ key }) => events.push(`record ${key}`) })
    restartLostUploads(uppy)
    retryAfterOutages(uppy, { onStall })
    uppy.on('upload-error', () => events.push('upload-error'))
    uppy.on('upload-success', (_, { body }) => events.push(`upload-success ${body?.key}`))
    uppy.on('complete', ({ successful, failed }) =>
      events.push(`complete ${successful?.length} ${failed?.length}`),
    )
    uppy.on('s3-multipart:part-uploaded', () => {
      partsUploaded++
    })
    const name = 'Grüße.bin'
    const data = new File([patternBytes(size)], name, { type: 'video/mp4' })
    const id = uppy.addFile({ name, type: 'video/mp4', data })
    uppy.setFileMeta(id, meta)
    void uppy.upload()
  },
  pause: () => uppy.pauseAll(),
  resume: () => uppy.resumeAll(),
  retry: () => void uppy.retryAll(),
  outcome: () => ({ events, stalls, partsUploaded, error: uppy.getFiles()[0]?.error ?? null }),
}

Object.assign(globalThis, { page })
