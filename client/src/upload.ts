import type { Api } from './api.ts'
import { withoutCommas } from './media-type.ts'
import { uploadParts } from './multipart.ts'
import { PresignerError } from './presigner-error.ts'
import { type Progress, trackProgress } from './progress.ts'
import type { FileConditions, StartRequest } from './requests.ts'
import type { FileRecord } from './responses.ts'
import { withResumeSlot } from './resume-slot.ts'
import { unlessAborted } from './retry.ts'
import { uploadSingle } from './single.ts'

/** Files of this size or larger go in parts, unless `multipart` is set. */
const MULTIPART_BYTES = 32 * 1024 ** 2

export interface UploadOptions extends FileConditions {
  /** Called when bytes are sent, and when `stalled` changes. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
  /**
   * Cancels the upload. It can't be resumed. If the signal's reason is the string `pause`, the
   * bucket keeps the parts of a File, and the upload resumes when you upload the same File again.
   */
  readonly signal?: AbortSignal | undefined
  /** Whether the file goes in parts. Default: from 32 MiB on. An empty file never does. */
  readonly multipart?: boolean | undefined
  /**
   * Makes the bucket verify the SHA-256 of the file. Sends the file in one request, and reads it
   * into memory.
   */
  readonly sha256?: boolean | undefined
  /** Display name of the file. Default: the name of the File. */
  readonly fileName?: string | undefined
  /** The object's key, instead of a generated one. Needs the scope `keys:choose`. */
  readonly key?: string | undefined
  /** Replaces the object under `key`. Needs the scope `files:delete`. */
  readonly overwrite?: boolean | undefined
  /**
   * Replaces the object only if it has this ETag, which `FileRecord.etag` has. Otherwise, the code is
   * `precondition_failed`. Needs `overwrite`.
   */
  readonly ifMatch?: string | undefined
}

/**
 * Uploads `file` to the bucket and records it. `origin` identifies the Worker in what is kept to
 * resume later.
 */
export async function upload(
  api: Api,
  origin: string,
  bucket: string | undefined,
  file: File | Blob,
  options: UploadOptions,
): Promise<FileRecord> {
  const {
    onProgress,
    signal: canceled,
    multipart,
    sha256 = false,
    fileName,
    ifMatch,
    ...rest
  } = options
  if (multipart && sha256)
    throw new PresignerError('invalid_options', "sha256 and multipart can't be combined")
  if (typeof XMLHttpRequest === 'undefined')
    throw new PresignerError(
      'browser_required',
      'upload() needs a browser. Elsewhere, use edge-presigner-client/server.',
    )
  canceled?.throwIfAborted()

  const isFile = file instanceof File
  const { size } = file
  const name = fileName ?? (isFile ? file.name : rest.key ? undefined : 'file')
  const mimetype = withoutCommas(file.type) || typeFromName(name ?? rest.key ?? '')
  const request = { ...rest, fileName: name, mimetype, size, bucket }
  const body: StartRequest = { ...request, fileName: rest.key === undefined ? name : undefined }
  const over = new AbortController()
  const signal = AbortSignal.any([over.signal, ...(canceled ? [canceled] : [])])
  const job = { api, file, request, body, ifMatch, signal, ...trackProgress(size, onProgress) }
  const inParts = size > 0 && (multipart ?? (size >= MULTIPART_BYTES && !sha256))
  // A Blob has no name and date to recognize it by after a reload.
  const identity = isFile ? ([origin, file.lastModified, request] as const) : null
  try {
    const done = inParts
      ? withResumeSlot(identity, file, (slot) => uploadParts(job, slot))
      : uploadSingle(job, sha256)
    return await unlessAborted(done, signal)
  } finally {
    over.abort() // cancels the other parts after one has failed
  }
}

/** Returns the type of a file whose type the browser doesn't know. Most don't know HEIC. */
function typeFromName(name: string): string {
  const [, extension] = /\.(hei[cf])$/i.exec(name) ?? []
  return extension ? `image/${extension.toLowerCase()}` : 'application/octet-stream'
}
