import type { FileRecord } from './answers/files.ts'
import type { Api } from './api.ts'
import type { StartRequest } from './bodies.ts'
import type { Job } from './job.ts'
import { withoutCommas } from './media-type.ts'
import { uploadParts } from './multipart.ts'
import { PresignerError } from './presigner-error.ts'
import { type Progress, trackProgress } from './progress.ts'
import type { FileOptions } from './requests.ts'
import { withResumeSlot } from './resume-slot.ts'
import { anySignal, unlessAborted } from './signals.ts'
import { type KeptFile, uploadSingle } from './single.ts'
import { createTurns, type InTurn } from './turns.ts'

/** Files of this size or larger go in parts, unless `multipart` is set. */
const MULTIPART_BYTES = 32 * 1024 ** 2

/** How many files of a client are uploaded in parts at the same time. */
const FILES_IN_PARTS = 3

/** Options of an upload with a handle. */
export type StartOptions = FileOptions & {
  /** Called when bytes are sent, and when `stalled` changes. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

export type UploadOptions = StartOptions & {
  /** Cancels the upload, and deletes its parts. To pause it, use `client.start()`. */
  readonly signal?: AbortSignal | undefined
}

/** Where the uploads of a client go. */
export interface UploadContext {
  readonly api: Api
  readonly bucket: string | undefined
  /** Names the API and the user in what is kept to resume later. */
  readonly place: string
  /** Aborts when nothing more may be sent. */
  readonly sending?: AbortSignal | undefined
  readonly look?: Job['look']
  /** Delays files in parts. */
  readonly inTurn: InTurn
}

export const turnsInParts = (): InTurn => createTurns(FILES_IN_PARTS)

/** Uploads `file` to the bucket and records it. */
export async function upload(
  { api, bucket, place, sending, look, inTurn }: UploadContext,
  file: File | Blob,
  options: UploadOptions,
  kept: KeptFile = {},
): Promise<FileRecord> {
  const { onProgress, signal: canceled, multipart, sha256, fileName, ifMatch, ...rest } = options
  if (multipart && sha256)
    throw new PresignerError('invalid_options', "sha256 and multipart can't be combined")
  if (typeof XMLHttpRequest === 'undefined')
    throw new PresignerError(
      'browser_required',
      'upload() needs a browser. Elsewhere, use edge-presigner-client/server.',
    )

  const isFile = file instanceof File
  const { size } = file
  const name = fileName ?? (isFile ? file.name : rest.key ? undefined : 'file')
  const mimetype = mimetypeOf(file, name ?? rest.key ?? '')
  const request = { ...rest, fileName: name, mimetype, size, bucket }
  const body: StartRequest = { ...request, fileName: rest.key === undefined ? name : undefined }
  const over = new AbortController()
  const signal = anySignal(over.signal, canceled, sending)
  const tracker = trackProgress(size, onProgress)
  const job = { ...tracker, api, look, file, request, body, ifMatch, signal }
  const inParts = size > 0 && (multipart ?? (size >= MULTIPART_BYTES && !sha256))
  // A Blob has no name and date to recognize it by after a reload.
  const identity = isFile ? ([place, file.lastModified, request] as const) : null
  try {
    const done = inParts
      ? inTurn(size, signal, () => withResumeSlot(identity, file, (slot) => uploadParts(job, slot)))
      : uploadSingle(job, kept, sha256)
    return await unlessAborted(done, signal)
  } finally {
    over.abort() // cancels the other parts after one has failed
  }
}

/** Returns the type that the API gets. Most browsers don't know that of a HEIC. */
export function mimetypeOf(file: Blob, name: string): string {
  const [, extension] = /\.(hei[cf])$/i.exec(name) ?? []
  const guess = extension ? `image/${extension.toLowerCase()}` : 'application/octet-stream'
  return withoutCommas(file.type) || guess
}
