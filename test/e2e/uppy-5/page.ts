import AwsS3 from '@uppy/aws-s3'
import Uppy from '@uppy/core'
import GoldenRetriever from '@uppy/golden-retriever'
import { patternBytes } from '../pattern-bytes.ts'
import type { UppyPage, UppySettings, UppyState } from '../uppy/page-api.ts'

let uppy = new Uppy()
let partsUploaded = 0
let success: UppyState['success'] = null

function start({ endpoint, headers, multipart, golden }: UppySettings): void {
  uppy = new Uppy()
  partsUploaded = 0
  success = null
  if (golden) uppy.use(GoldenRetriever)
  if (endpoint === null) throw new Error('Uppy 5 has no signRequest.')
  // Ceph RGW on SQLite loses parts that arrive together.
  const limit = 1
  uppy.use(AwsS3, { shouldUseMultipart: () => multipart, endpoint, headers, limit })
  uppy.on('s3-multipart:part-uploaded', () => {
    partsUploaded += 1
  })
  uppy.on('upload-success', (_, { body, uploadURL = '' }) => {
    success = { key: String(body?.key), uploadURL }
  })
}

function upload(name: string, type: string, size: number): void {
  uppy.addFile({ name, type, data: new File([patternBytes(size)], name, { type }) })
  uppy.upload().catch(() => undefined)
}

const page: UppyPage = {
  start,
  upload,
  pause: () => uppy.pauseAll(),
  resume: () => uppy.resumeAll(),
  cancel: () => uppy.cancelAll(),
  confirmRestored: () => uppy.emit('restore-confirmed'),
  state() {
    const [file] = uppy.getFiles()
    return {
      bytesUploaded: Number(file?.progress.bytesUploaded ?? 0),
      partsUploaded,
      success,
      error: file?.error ?? null,
      files: uppy.getFiles().length,
    }
  },
}

Object.assign(globalThis, { page })
