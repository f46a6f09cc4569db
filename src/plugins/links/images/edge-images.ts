import type { ConfiguredBucket } from '../../../bucket/bucket.ts'
import { openBucket } from '../../../bucket/credential-source.ts'
import type { VariantSpec } from '../../../bucket/image-size.ts'
import { relay } from '../../../core/pump.ts'
import { asApiError } from '../../../errors/api-error.ts'
import { lead } from '../../../errors/turns.ts'
import type { ObjectKey } from '../../../keys/object-key.ts'
import type { ObjectSource } from '../../../storage/object-source.ts'
import { beginFill, endFill, findCopy, keepCopy } from '../edge-cache.ts'
import { failure, withStatus } from '../objects-protocol.ts'
import { copySeconds, keepFor, openObject, secondsLeft } from '../open-object.ts'
import {
  currentGeneration,
  dropVariants,
  type MadeImage,
  makeOnce,
  matchVariant,
  putVariant,
  type WantedVariant,
} from './edge-variants.ts'
import { withRoom } from './room.ts'
import {
  heldBytes,
  type ImageResizer,
  imageResponse,
  inPieces,
  isUnsure,
  type KeptImage,
  RESIZE_MILLISECONDS,
  resize,
} from './variant.ts'

/** Maximum time to remember that an image can't be resized. */
const REFUSAL_SECONDS = 3600
/** The maximum if a retry may succeed: the original may be cut, or Cloudflare may have failed. */
const UNSURE_SECONDS = 60

/** An image of more bytes is sent from its copy. */
const LARGE_BYTES = 256 * 1024

/** A request for a resized image. */
export interface ImageRequest extends WantedVariant {
  readonly bucket: ConfiguredBucket
  readonly key: ObjectKey
  readonly variant: VariantSpec
  readonly range: string | null
  readonly requestId: string
}

/** Where images are made and kept. */
export interface ImagePlace {
  /** Whether copies are in the Cache API, and not in Workers Caching. */
  readonly usesCacheApi: boolean
  /** Originals behind Workers Caching. Null for those of the bucket. */
  readonly originals: ObjectSource | null
  readonly resizer: ImageResizer
  waitUntil(work: Promise<unknown>): void
}

/**
 * Returns for how many more seconds the copy of an original must be valid. The image that is made
 * from it lives no longer, and without a copy of the image, each view would be billed.
 */
const neededSeconds = ({ bucket, key }: Pick<ImageRequest, 'bucket' | 'key'>): number =>
  Math.min(RESIZE_MILLISECONDS / 1000, copySeconds(bucket, key) / 2)

const isLarge = ({ bytes }: KeptImage): boolean => bytes.byteLength > LARGE_BYTES

interface Source {
  readonly original: Response
  /** Keeps a copy of it for other sizes, or with null, ends the wait for that. */
  keep?(bytes: Uint8Array<ArrayBuffer> | null): Promise<void>
}

/** Where the copies of a requested image and of its original are. */
interface Copies {
  /** Returns the image, its range, or its refusal. */
  find(): Promise<Response | null | undefined>
  openOriginal(): Promise<Source>
  /** Stores the image, or its refusal, after `openOriginal`. */
  store(copy: Response): Promise<void>
  /** Returns the response with a new image, after `openOriginal`. */
  show(image: KeptImage): Response
}

/** Returns a resized image, made once for a crowd, or the refusal of what can't be resized. */
export async function edgeImage(
  asked: ImageRequest,
  place: ImagePlace,
  now: Date,
): Promise<Response> {
  const { bucket, key, variant, url, query } = asked
  const copies = (place.usesCacheApi ? inCacheApi : behindCaching)(asked, place, now)
  const kept = await copies.find()
  if (kept) return kept
  const waitUntil = (work: Promise<unknown>) => place.waitUntil(work)
  let source: Source | undefined
  const setLifetime = (headers: Headers, seconds = Infinity) => {
    const left = source === undefined ? 0 : secondsLeft(source.original.headers, bucket, key)
    return keepFor(headers, Math.min(left, seconds), bucket, key)
  }
  const open = async () => {
    source = await copies.openOriginal()
    return [heldBytes(source.original, variant), source] as const
  }
  const make = () =>
    withRoom(now, waitUntil, open, async ({ original, keep }, during): Promise<MadeImage> => {
      const onRead = (bytes: Uint8Array<ArrayBuffer>) => during(keep?.(bytes))
      const options = { now, during, onRead }
      const resized = await resize(relay(original, null)[0], variant, place.resizer, options)
      const headers = new Headers(resized.headers)
      await setLifetime(headers)
      const image = { bytes: resized.bytes, headers: [...headers] }
      const stored = copies.store(imageResponse(image, null))
      during(stored)
      if (isLarge(image)) await stored
      return [image, stored]
    })
  try {
    const image = await makeOnce(`${url}?${query}`, make, now)
    // A slow client would keep it in memory.
    const copy = isLarge(image) && (await copies.find())
    return copy ? withStatus(copy, 'MISS') : copies.show(image)
  } catch (error) {
    await source?.keep?.(null)
    source?.original.body?.cancel().catch(() => undefined)
    if (asApiError(error)?.code !== 'unsupported_image') throw error
    // Caches keep a 404, but not a 415. The code of the error is in a header.
    const refusal = new Response(null, { status: 404, headers: failure(error).headers })
    const isSure = source?.original.headers.has('content-length') && !isUnsure(error)
    await setLifetime(refusal.headers, isSure ? REFUSAL_SECONDS : UNSURE_SECONDS)
    waitUntil(copies.store(refusal.clone()))
    return refusal
  }
}

const fromBucket = async (
  { bucket, key }: ImageRequest,
  place: ImagePlace,
  now: Date,
): Promise<Response> => openObject(await openBucket(bucket, now, place), key, 'GET', null, now, 0)

/** Workers Caching itself finds and stores what this Worker returns. */
const behindCaching = (asked: ImageRequest, place: ImagePlace, now: Date): Copies => ({
  find: async () => null,
  async openOriginal() {
    const { bucket, key, requestId } = asked
    const asker = { now, requestId }
    const original = await place.originals?.open('GET', bucket, key, null, null, asker)
    if (original && secondsLeft(original.headers, bucket, key) >= neededSeconds(asked))
      return { original }
    await original?.body?.cancel()
    return { original: await fromBucket(asked, place, now) }
  },
  store: async () => {},
  show: (image) => imageResponse(image, null),
})

function inCacheApi(asked: ImageRequest, place: ImagePlace, now: Date): Copies {
  let generation: string | undefined
  return {
    find: () => matchVariant(asked, asked.range),
    async openOriginal() {
      generation = await currentGeneration(asked.url)
      return copiedOriginal(asked, () => fromBucket(asked, place, now), now)
    },
    async store(copy) {
      if (generation !== undefined) await putVariant(asked, generation, copy)
    },
    show: (image) => withStatus(imageResponse(image, asked.range), generation ? 'MISS' : 'BYPASS'),
  }
}

/** Opens an original: its copy in the Cache API. Without one, its bytes become that copy. */
async function copiedOriginal(
  { bucket, key, url }: ImageRequest,
  open: () => Promise<Response>,
  now: Date,
): Promise<Source> {
  const maxAgeSeconds = copySeconds(bucket, key) - neededSeconds({ bucket, key })
  const wanted = { url, range: null, maxAgeSeconds }
  const turn = await findCopy(wanted, now, true)
  if (turn instanceof Response) return { original: turn }
  if (!turn) return { original: await open() }
  try {
    return await lead(turn, async () => {
      const fill = await beginFill(url, dropVariants)
      const original = await open()
      turn.succeed()
      return {
        original,
        async keep(bytes) {
          if (bytes !== null && original.headers.get('Cache-Control') !== 'no-store')
            await keepCopy(
              url,
              fill,
              new Response(inPieces(bytes), original),
              Promise.resolve(true),
            )
          endFill(url, turn)
        },
      }
    })
  } catch (error) {
    endFill(url, turn)
    throw error
  }
}
