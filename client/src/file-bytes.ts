import { PresignerError } from './presigner-error.ts'

const SAMPLE_BYTES = 1024 ** 2

/** Reads `blob` into memory. Throws PresignerError: `file_changed`. */
export async function bytesOf(blob: Blob): Promise<ArrayBuffer> {
  try {
    return await blob.arrayBuffer()
  } catch (cause) {
    throw new PresignerError('file_changed', 'The file has changed or no longer exists', { cause })
  }
}

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
