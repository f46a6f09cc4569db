import type { Bucket } from '../bucket/bucket.ts'
import type { ObjectSource } from '../delivery/object-source.ts'
import { copySeconds, keepFor, openObject, secondsLeft } from '../delivery/open-object.ts'
import { relay } from '../delivery/pump.ts'
import {
  heldBytes,
  type ImageResizer,
  imageResponse,
  type KeptImage,
  resize,
  type VariantSpec,
} from '../delivery/variant.ts'
import { asApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { beginFill, endFill, findCopy, keepCopy } from './edge-cache.ts'
import {
  currentGeneration,
  type MadeImage,
  makeOnce,
  matchVariant,
  putVariant,
} from './edge-variants.ts'
import { failure, withStatus } from './objects-protocol.ts'
import { withRoom } from './room.ts'
import { lead } from './turns.ts'

/** How long it is remembered at most that an image can't be resized. */
const REFUSAL_SECONDS = 3600

/** A request for a resized image. */
export interface ImageRequest {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly variant: VariantSpec
  /** Name of the object's copies, without a query. */
  readonly url: string
  /** What distinguishes this variant from the others of the object. */
  readonly query: string
  readonly range: string | null
  readonly requestId: string
}

type WaitUntil = (work: Promise<unknown>) => void

/** An original to resize. */
interface Source {
  readonly original: Response
  /** Keeps a copy of it for other sizes, or with null, ends the wait for that. */
  keep?(bytes: Uint8Array<ArrayBuffer> | null): Promise<void>
}

/** Where an image comes from, and where its copy goes. */
interface Making {
  readonly resizer: ImageResizer | null
  readonly waitUntil: WaitUntil
  open(): Promise<Source>
  store(copy: Response): Promise<void>
}

/** Returns a resized image from the Cache API, and stores it there. */
export async function imageThroughCacheApi(
  asked: ImageRequest,
  resizer: ImageResizer | null,
  waitUntil: WaitUntil,
  now: Date,
): Promise<Response> {
  const kept = await matchVariant(asked, asked.range)
  if (kept) return kept
  let generation: string | undefined
  const image = await makeImage(asked, now, {
    resizer,
    waitUntil,
    async open() {
      generation = await currentGeneration(asked.url)
      return copiedOriginal(asked, now)
    },
    async store(copy) {
      if (generation !== undefined) await putVariant(asked, generation, copy)
    },
  })
  if (image instanceof Response) return image
  return withStatus(imageResponse(image, asked.range), generation ? 'MISS' : 'BYPASS')
}

/**
 * Returns a resized image for Workers Caching, from the original of `originals`, which is behind
 * that too.
 */
export async function imageForCache(
  asked: ImageRequest,
  originals: ObjectSource | null,
  resizer: ImageResizer | null,
  waitUntil: WaitUntil,
  now: Date,
): Promise<Response> {
  const { bucket, key, requestId } = asked
  const image = await makeImage(asked, now, {
    resizer,
    waitUntil,
    async open() {
      const original =
        originals === null
          ? await openObject(bucket, key, 'GET', null, now, 0)
          : await originals.open('GET', bucket, key, null, null, { now, requestId })
      return { original }
    },
    async store() {},
  })
  return image instanceof Response ? image : imageResponse(image, null)
}

/** Makes an image once for a crowd. Returns the response if the object is no image to resize. */
async function makeImage(
  { bucket, key, variant, url, query }: ImageRequest,
  now: Date,
  { resizer, waitUntil, open, store }: Making,
): Promise<KeptImage | Response> {
  let source: Source | undefined
  const setLifetime = (headers: Headers, seconds = Infinity) => {
    const left = source === undefined ? 0 : secondsLeft(source.original.headers, bucket, key)
    return keepFor(headers, Math.min(left, seconds), bucket, key)
  }
  const openSource = async () => {
    source = await open()
    return [heldBytes(source.original, variant), source] as const
  }
  const make = () =>
    withRoom(now, waitUntil, openSource, async ({ original, keep }, during): Promise<MadeImage> => {
      const onRead = (bytes: Uint8Array<ArrayBuffer>) => during(keep?.(bytes))
      const options = { now, during, onRead }
      const resized = await resize(relay(original, null)[0], variant, resizer, options)
      const headers = new Headers(resized.headers.map(([name, value]) => [name, value]))
      await setLifetime(headers)
      const image = { bytes: resized.bytes, headers: [...headers] }
      const stored = store(imageResponse(image, null))
      during(stored)
      return [image, stored]
    })
  try {
    return await makeOnce(`${url}?${query}`, make, now)
  } catch (error) {
    await source?.keep?.(null)
    source?.original.body?.cancel().catch(() => undefined)
    if (asApiError(error)?.code !== 'unsupported_image') throw error
    // Caches keep a 404, but not a 415. The code of the error is in a header.
    const refusal = new Response(null, { status: 404, headers: failure(error).headers })
    await setLifetime(refusal.headers, REFUSAL_SECONDS)
    waitUntil(store(refusal.clone()))
    return refusal
  }
}

/**
 * Opens an original: its copy in the Cache API, if there is one. Otherwise, its bytes become one,
 * since other sizes need them too.
 */
async function copiedOriginal({ bucket, key, url }: ImageRequest, now: Date): Promise<Source> {
  const open = () => openObject(bucket, key, 'GET', null, now, 0)
  const wanted = { url, range: null, maxAgeSeconds: copySeconds(bucket, key) }
  const turn = await findCopy(wanted, now, true)
  if (turn instanceof Response) return { original: turn }
  if (!turn) return { original: await open() }
  try {
    return await lead(turn, async () => {
      const fill = await beginFill(url)
      const original = await open()
      turn.succeed()
      return {
        original,
        async keep(bytes) {
          if (bytes !== null && original.headers.get('Cache-Control') !== 'no-store')
            await keepCopy(url, fill, new Response(bytes, original), Promise.resolve(true))
          endFill(url, turn)
        },
      }
    })
  } catch (error) {
    endFill(url, turn)
    throw error
  }
}
