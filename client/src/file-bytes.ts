import { PresignerError } from './presigner-error.ts'

const SAMPLE_BYTES = 1024 ** 2

/** Reads `blob` into memory. Throws PresignerError: `file_changed`. */
export async function bytesOf(blob: Blob): Promise<ArrayBuffer> {
  try {
    return await blob.arrayBuffer()
  } catch (cause) {
    throw fileChanged(cause)
  }
}

/**
 * Throws `file_changed` unless `body`, which is `file` or a part of it, still has its bytes, as far
 * as the browser knows. `size` is the file's size when its upload began. In Chromium, a file that no
 * longer exists has size 0, and an empty slice of it reads without an error.
 */
export async function requireUnchanged(file: Blob, size: number, body: Blob): Promise<void> {
  if (file.size !== size) throw fileChanged()
  await bytesOf(size ? body.slice(0, 1) : file)
}

const fileChanged = (cause?: unknown): PresignerError =>
  new PresignerError('file_changed', 'The file has changed or no longer exists', { cause })

/**
 * Returns the SHA-256 of `file` in base64, as the API expects it. Reads the whole file into memory.
 * Needs a secure context.
 */
export async function sha256Of(file: Blob): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', await bytesOf(file))
  return btoa(String.fromCharCode(...new Uint8Array(digest)))
}

/** Returns the SHA-256 of the first, the middle and the last MiB of `file`. */
export function sampleOf(file: Blob): Promise<string> {
  const starts = [0, file.size / 2, Math.max(0, file.size - SAMPLE_BYTES)]
  return sha256Of(new Blob(starts.map((start) => file.slice(start, start + SAMPLE_BYTES))))
}
