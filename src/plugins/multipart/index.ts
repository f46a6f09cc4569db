import type { Plugin } from '../../plugin.ts'
import { beginMultipart, dropMultipart, signParts, uploadedParts } from './begin.ts'
import { finishUpload, openUpload } from './finish.ts'
import { multipartRoutes } from './routes.ts'
import { openUploadId } from './upload-id.ts'

export type { Part } from '../../storage/multipart.ts'
export type { MultipartRequest, PartToSign } from './begin.ts'
export type { UploadClaims } from './upload-id.ts'

/** The steps of an upload in parts, for plugins with another protocol. */
const STEPS = {
  beginMultipart,
  signParts,
  uploadedParts,
  dropMultipart,
  openUpload,
  openUploadId,
  finishUpload,
}

export type MultipartSteps = typeof STEPS

export interface Multipart extends Plugin {
  readonly steps: MultipartSteps
}

/** Uploads in parts: S3's multipart upload, for files that are large or may be interrupted. */
export const multipart = (): Multipart => ({
  name: 'multipart',
  api: multipartRoutes,
  steps: STEPS,
})
