import { CACHE_MILLISECONDS, withinCacheTime } from '../../../core/pump.ts'
import { deadlineOf } from '../../../errors/deadline.ts'
import { lead, Turns } from '../../../errors/turns.ts'
import { logWarning } from '../../../errors/warnings.ts'
import { attempt } from '../edge-cache.ts'
import { FAILURE, isImageError } from '../objects-protocol.ts'
import { crowded, isCrowded, type KeptImage, RESIZE_MILLISECONDS } from './variant.ts'

/** How long a failure to resize is remembered, so that a crowd doesn't repeat a call that is billed. */
const ERROR_MILLISECONDS = 10_000
const MAX_ERRORS = 100
/** How long after its deadline a request counts as lost. Until then, its error is on its way. */
const LOST_MILLISECONDS = 500
const GENERATION_SECONDS = 31_536_000
const GENERATION = 'X-Generation'

/** The requests of this isolate that are making a variant, by its name. */
const making = new Turns<KeptImage>()
/** The latest failures to resize of this isolate, by the name of the variant. */
const failures = new Map<string, { readonly error: unknown; readonly until: number }>()
/** The requests of this isolate that are storing a generation, by the name of the object's copies. */
const beginning = new Turns<string>()

/** A new image, and the work to store it. */
export type MadeImage = readonly [image: KeptImage, stored: Promise<unknown>]

/**
 * Resolves with the image from `make`, which is billed. Requests for the same variant that come
 * before it is stored get the same image, or the same error, also that of the bucket. Later ones
 * don't, since the object may have changed, and neither do those after `forgetVariants`. Throws
 * `unavailable` for those who have waited until their deadline. Only if the first request is
 * lost, another one makes the image, and only one that still has the ten seconds of a call: its
 * error would be that of all others.
 */
export async function makeOnce(
  name: string,
  make: () => Promise<MadeImage>,
  now: Date,
): Promise<KeptImage> {
  const failure = failures.get(name)
  if (failure !== undefined && Date.now() < failure.until) throw failure.error
  for (let other = making.find(name); other !== undefined; other = making.find(name)) {
    const made = await other.wait(now, crowded)
    if (made !== null) return made.value
    if (deadlineOf(now) - Date.now() < RESIZE_MILLISECONDS) throw crowded()
  }
  const turn = making.begin(name, deadlineOf(now) + LOST_MILLISECONDS)
  try {
    const [image, stored] = await lead(turn, make)
    turn.succeed(image)
    void stored.finally(() => making.end(name, turn))
    return image
  } catch (error) {
    // For later requests, the bucket may answer differently: the object may be uploaded now.
    const isCurrent = making.holds(name, turn)
    if (isCurrent && isImageError(error) && !isCrowded(error)) remember(name, error)
    making.end(name, turn)
    throw error
  }
}

/** Separates later requests for an object from variants that are made now, or just failed. */
export function forgetVariants(url: string): void {
  const start = `${url}?`
  making.forget(start)
  for (const name of failures.keys()) if (name.startsWith(start)) failures.delete(name)
}

function remember(name: string, error: unknown): void {
  failures.delete(name)
  failures.set(name, { error, until: Date.now() + ERROR_MILLISECONDS })
  const [oldest = name] = failures.keys()
  if (failures.size > MAX_ERRORS) failures.delete(oldest)
}

/** A variant of an object in the Cache API. */
export interface WantedVariant {
  /** Name of the object's copies, without a query. */
  readonly url: string
  /** What distinguishes this variant from the others of the object. */
  readonly query: string
}

/**
 * Returns a variant from the Cache API, or its range. Null without one. A purge begins a new
 * generation of all variants of an object, so that it doesn't need their names.
 */
export const matchVariant = (
  wanted: WantedVariant,
  range: string | null,
): Promise<Response | null | undefined> =>
  attempt('match', async (cache) => {
    const generation = await generationIn(cache, wanted.url)
    if (generation === null) return null
    const name = copyName(wanted, generation)
    if (range === null) return (await cache.match(name)) ?? null
    const part = await cache.match(new Request(name, { headers: { Range: range } }))
    // There is also no range of a failure, which has no body.
    const whole = part?.status === 416 ? await cache.match(name) : undefined
    return (whole?.headers.has(FAILURE) ? whole : part) ?? null
  })

/**
 * Returns the current generation of an object's variants, a new one if there is none. Undefined if
 * the Cache API fails. Call this before the request to the bucket.
 */
export const currentGeneration = (url: string): Promise<string | undefined> =>
  attempt('put', async (cache) => (await generationIn(cache, url)) ?? beginGeneration(url, cache))

/** Whether this isolate has looked if the Cache API keeps anything. */
let isChecked = false

/**
 * Stores a variant in the generation that was current before the request to the bucket. Logs a
 * warning once if the Cache API keeps nothing, as on workers.dev: each view is then billed.
 */
export const putVariant = (
  wanted: WantedVariant,
  generation: string,
  copy: Response,
): Promise<void> =>
  attempt('put', async (cache) => {
    if (copy.headers.get('Cache-Control') === 'no-store') return
    const name = copyName(wanted, generation)
    await cache.put(name, copy)
    if (isChecked) return
    isChecked = true
    if ((await cache.match(name)) === undefined) logWarning('resized images are not kept', {})
  })

/** Makes all variants of an object unreachable, also new ones. Throws if the Cache API fails. */
export async function dropVariants(url: string): Promise<void> {
  beginning.forget(url)
  try {
    await withinCacheTime(beginGeneration(url, caches.default))
  } finally {
    forgetVariants(url)
  }
}

const generationIn = async (cache: Cache, url: string): Promise<string | null> =>
  (await cache.match(generationUrl(url)))?.headers.get(GENERATION) ?? null

async function beginGeneration(url: string, cache: Cache): Promise<string> {
  // Variants that begin one at the same time share it, and its only `put`: after a purge, a second
  // one would bring it back.
  const begun = await beginning.find(url)?.wait()
  if (begun) return begun.value
  const turn = beginning.begin(url, Date.now() + CACHE_MILLISECONDS)
  try {
    return await lead(turn, async () => {
      const generation = crypto.randomUUID()
      const headers = { 'Cache-Control': `max-age=${GENERATION_SECONDS}`, [GENERATION]: generation }
      await cache.put(generationUrl(url), new Response(null, { headers }))
      turn.succeed(generation)
      return generation
    })
  } finally {
    beginning.end(url, turn)
  }
}

const generationUrl = (url: string): string => `${url}?generation`

const copyName = ({ url, query }: WantedVariant, generation: string): string =>
  `${url}?${query}&generation=${generation}`
