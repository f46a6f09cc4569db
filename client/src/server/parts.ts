import { isPartUrls, type PartUrls } from '../answers/uploads.ts'
import type { PartUrlsRequest } from '../bodies.ts'
import type { Call } from '../call.ts'
import { partSigner } from '../part-urls.ts'
import { PresignerError } from '../presigner-error.ts'
import { anySignal, unlessAborted } from '../signals.ts'
import type { SignedPut } from '../signed-put.ts'
import { putBytes } from './put.ts'
import type { Piece } from './source.ts'

/** How many parts are in memory and on their way at the same time. */
const PARALLEL_PARTS = 4
/** How many URLs are signed together. */
const BATCH = 10
/** S3's limit. */
const MAX_PARTS = 10_000

export interface Part {
  readonly partNumber: number
  readonly etag: string
}

/** An upload in parts that has started. */
export interface PartsUpload {
  readonly api: Call
  /** Path of the upload in the API. */
  readonly path: string
  readonly key: string
  readonly bucket: string | undefined
  readonly partSize: number
  /** Whether the API knows the size of the file. Otherwise, it needs the size of each part. */
  readonly isSized: boolean
}

/**
 * Sends what `next` returns as parts, until it returns less than a whole part. Reads a part only
 * when less than four are on their way. If one part fails for good, stops at once. When this
 * rejects, no request is left.
 */
export async function sendParts(
  upload: PartsUpload,
  next: () => Promise<Piece>,
  signal: AbortSignal | undefined,
): Promise<Part[]> {
  const failure = new AbortController()
  const stop = anySignal(signal, failure.signal)
  const signPart = signerOf(upload, stop)
  const running = new Set<Promise<void>>()
  const parts: Part[] = []

  async function send(partNumber: number, piece: Piece): Promise<void> {
    try {
      const etag = await putBytes(() => signPart(partNumber, piece.size), piece, stop)
      if (!etag)
        throw new PresignerError('bad_answer', `The bucket returned no ETag for part ${partNumber}`)
      parts[partNumber - 1] = { partNumber, etag }
    } catch (error) {
      failure.abort(error)
    }
  }

  try {
    for (let partNumber = 1; ; partNumber++) {
      const piece = await unlessAborted(next(), stop)
      // An upload needs at least one part, even for an empty stream.
      if (piece.size === 0 && partNumber > 1) break
      if (partNumber > MAX_PARTS)
        throw new PresignerError('file_too_large', `More than ${MAX_PARTS} parts. Set partSize.`)
      const sent = send(partNumber, piece).finally(() => running.delete(sent))
      running.add(sent)
      if (running.size >= PARALLEL_PARTS) await Promise.race(running)
      stop.throwIfAborted()
      if (piece.size < upload.partSize) break
    }
    await Promise.all(running)
    stop.throwIfAborted()
    return parts
  } catch (error) {
    failure.abort(error)
    await Promise.all(running)
    throw error
  }
}

/** Returns a function that signs a part of `size` bytes, a whole one together with the next ones. */
function signerOf(
  { api, path, key, bucket, partSize, isSized }: PartsUpload,
  signal: AbortSignal,
): (partNumber: number, size: number) => Promise<SignedPut> {
  /** Signs parts that have the same size. */
  function sign(partNumbers: number[], size: number): Promise<PartUrls> {
    const sizes = isSized ? undefined : partNumbers.map(() => size)
    const body: PartUrlsRequest = { key, partNumbers, sizes, bucket }
    return api(isPartUrls, 'POST', `${path}/urls`, { body, signal })
  }
  const signWhole = partSigner((partNumber) => {
    const batch = Array.from({ length: BATCH }, (_, index) => partNumber + index)
    const possible = batch.filter((number) => number <= MAX_PARTS)
    return sign(possible, partSize).catch((error: unknown) => {
      // Alone, if the file can't have the parts after it.
      if (!(error instanceof PresignerError)) throw error
      if (!['invalid_part', 'file_too_large'].includes(error.code)) throw error
      return sign([partNumber], partSize)
    })
  })
  const signLast = partSigner((partNumber, size: number) => sign([partNumber], size))
  return (partNumber, size) =>
    isSized || size === partSize ? signWhole(partNumber) : signLast(partNumber, size)
}
