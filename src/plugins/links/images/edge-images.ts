import type { ConfiguredBucket } from '../../../bucket/bucket.ts'
import { openBucket } from '../../../bucket/credential-source.ts'
import type { VariantSpec } from '../../../bucket/image-size.ts'
import { asApiError } from '../../../errors/api-error.ts'
import { deadlineOf } from '../../../errors/deadline.ts'
import { lead, SingleFlight } from '../../../errors/single-flight.ts'
import type { ObjectKey } from '../../../keys/object-key.ts'
import { failure } from '../objects-protocol.ts'
import { copySeconds, keepLike, openObject, secondsLeft } from '../open-object.ts'
import {
  CALL_MILLISECONDS,
  crowded,
  isCrowded,
  RESIZE_MILLISECONDS,
  withinMemory,
} from './memory-limit.ts'
import { PASSING_BYTES } from './original.ts'
import {
  bytesFor,
  type ImageResizer,
  imageResponse,
  isUnsure,
  type KeptImage,
  resize,
} from './variant.ts'

/** Maximum time to remember that an image can't be resized. */
const REFUSAL_SECONDS = 3600
/** The maximum if a retry may succeed: the original may be cut, or Cloudflare may have failed. */
const UNSURE_SECONDS = 60
/** How long a failure to resize is remembered, so that a crowd doesn't repeat its call. */
const ERROR_MILLISECONDS = 10_000
const MAX_ERRORS = 100
/** How long after its deadline a request counts as lost. Until then, its error is on its way. */
const LOST_MILLISECONDS = 500

/** A request for a resized image. */
export interface ImageRequest {
  readonly bucket: ConfiguredBucket
  readonly key: ObjectKey
  readonly variant: VariantSpec
  /** Names the image. */
  readonly url: string
}

/** Where images are made. */
export interface ImagePlace {
  /** Opens the copy of the original in the edge cache, which may be missing. */
  readonly openCopy: (() => Promise<Response>) | null
  readonly resizer: ImageResizer
  waitUntil(work: Promise<unknown>): void
}

/** Returns a resized image, made once for a crowd, or the refusal of what can't be resized. */
export async function edgeImage(
  asked: ImageRequest,
  place: ImagePlace,
  now: Date,
): Promise<Response> {
  const { url, variant } = asked
  let original: Headers | undefined
  const open = async () => {
    const opened = await openOriginal(asked, place, now)
    original = opened.headers
    return opened
  }
  const keep = async (made: Headers, seconds = Infinity) => {
    if (original !== undefined) await keepLike(original, made, seconds, asked)
  }
  const make = async (): Promise<KeptImage> => {
    for (let held = PASSING_BYTES; ; ) {
      const needed = bytesFor(variant, held)
      const waitUntil = (work: Promise<unknown>) => place.waitUntil(work)
      const made = await withinMemory(needed, now, waitUntil, (during) =>
        resize(open, variant, place.resizer, { now, held, during }),
      )
      if (typeof made === 'number') {
        held = made
        continue
      }
      const headers = new Headers(made.headers)
      await keep(headers)
      return { bytes: made.bytes, headers: [...headers] }
    }
  }
  try {
    return imageResponse(await makeOnce(url, make, now))
  } catch (error) {
    if (asApiError(error)?.code !== 'unsupported_image') throw error
    // Caches keep a 404, but not a 415. The code of the error is in a header.
    const refusal = new Response(null, { status: 404, headers: failure(error).headers })
    const isSure = original?.has('content-length') && !isUnsure(error)
    await keep(refusal.headers, isSure ? REFUSAL_SECONDS : UNSURE_SECONDS)
    return refusal
  }
}

/**
 * Opens the copy of an original, or the original if that would expire too soon: the image that is made
 * from it lives no longer, and without a copy of the image, each view would be a call.
 */
async function openOriginal(
  { bucket, key }: ImageRequest,
  place: ImagePlace,
  now: Date,
): Promise<Response> {
  const needed = Math.min(RESIZE_MILLISECONDS / 1000, copySeconds(bucket, key) / 2)
  const copy = await place.openCopy?.()
  if (copy && secondsLeft(copy.headers, bucket, key) >= needed) return copy
  await copy?.body?.cancel()
  const open = await openBucket(bucket, now, place)
  return openObject(open, key, { method: 'GET', range: null }, now)
}

/** The requests of this isolate that are making an image, by its URL. */
const making = new SingleFlight<KeptImage>()
/** The latest failures of Cloudflare Images in this isolate, by the URL of the image. */
const failures = new Map<string, { readonly error: unknown; readonly until: number }>()

/**
 * Resolves with the image from `make`, which calls Cloudflare. Requests for the same image get the same one, or
 * the same error, also that of the bucket. Later ones don't, since the object may have changed. Throws
 * `unavailable` for those who have waited until their deadline. Only if the first request is lost,
 * another one makes the image, and only one that still has the time for a call: its error would be that
 * of all others.
 */
export async function makeOnce(
  url: string,
  make: () => Promise<KeptImage>,
  now: Date,
): Promise<KeptImage> {
  const failed = failures.get(url)
  if (failed !== undefined && Date.now() < failed.until) throw failed.error
  for (let other = making.find(url); other !== undefined; other = making.find(url)) {
    const made = await other.wait(now, crowded)
    if (made !== null) return made.value
    if (deadlineOf(now) - Date.now() < CALL_MILLISECONDS) throw crowded()
  }
  const flight = making.begin(url, deadlineOf(now) + LOST_MILLISECONDS)
  try {
    const image = await lead(flight, make)
    flight.succeed(image)
    return image
  } catch (error) {
    // The cache keeps refusals of Cloudflare Images. A bucket's error may be gone in the next request.
    if (asApiError(error)?.reason === 'images' && !isCrowded(error)) remember(url, error)
    throw error
  } finally {
    making.end(url, flight)
  }
}

/** Keeps later requests from getting what is being made now, or has just failed. */
export function forgetImages(start: string): void {
  making.forget(start)
  for (const url of failures.keys()) if (url.startsWith(start)) failures.delete(url)
}

function remember(url: string, error: unknown): void {
  failures.delete(url)
  failures.set(url, { error, until: Date.now() + ERROR_MILLISECONDS })
  const [oldest = url] = failures.keys()
  if (failures.size > MAX_ERRORS) failures.delete(oldest)
}
