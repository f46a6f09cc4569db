import { withinCacheTime } from '../delivery/pump.ts'
import { isImageError, type KeptImage } from '../delivery/variant.ts'
import { deadlineOf, timeLeft } from '../errors/deadline.ts'
import { attempt } from './edge-cache.ts'
import { awaitTurn, Turns } from './turns.ts'

const WAIT_MILLISECONDS = 50
/** How long an image stays in memory for the requests that wait for it. */
const IMAGE_MILLISECONDS = 2000
/** How long a failure to resize is remembered, so that a crowd doesn't repeat a call that is billed. */
const ERROR_MILLISECONDS = 10_000
const MAX_OUTCOMES = 100
/** Maximum size of all remembered images. The newest one may be larger. */
const MAX_REMEMBERED_BYTES = 8 * 1024 ** 2
/** Bytes of originals in memory at a time. An isolate has 128 MB for everything. */
const MAX_HELD_BYTES = 40 * 1024 ** 2
/** Work that takes longer has been canceled with its request. */
const HELD_MILLISECONDS = 60_000
const GENERATION_SECONDS = 31_536_000
const GENERATION = 'X-Generation'

type Outcome = { readonly until: number } & (
  | { readonly image: KeptImage }
  | { readonly error: unknown }
)

/** The requests of this isolate that are making a variant, by its name. */
const making = new Turns()
/** The latest variants of this isolate, by name. */
const outcomes = new Map<string, Outcome>()
/** Originals that this isolate holds. */
const held = new Set<{ readonly bytes: number; readonly until: number }>()
/** Generations that this isolate is storing, by the name of the object's copies. */
const beginning = new Map<string, string>()

/**
 * Resolves with the result of `make`, which is billed, and starts to store it with `keep`. Requests
 * for the same variant that come before it is stored get the same image, or the same error. Later
 * ones don't, since the object may have changed, and neither do those after `forgetVariants`. Nobody
 * waits for a request after its deadline, that of its `now`, or after their own.
 */
export async function makeOnce(
  name: string,
  make: () => Promise<KeptImage>,
  keep: (image: KeptImage) => Promise<unknown>,
  now: Date,
): Promise<KeptImage> {
  let other = making.find(name)
  const isShared = other !== undefined
  while (other && !latest(name)) {
    await awaitTurn(other, timeLeft(WAIT_MILLISECONDS, now))
    other = making.find(name)
  }
  const known = latest(name)
  if (known !== undefined && 'error' in known) throw known.error
  if (known !== undefined && isShared) return known.image
  const turn = making.begin(name, deadlineOf(now))
  const isCurrent = () => making.find(name) === turn
  const end = () => making.end(name, turn)
  try {
    const image = await make()
    if (isCurrent()) remember(name, { image, until: Date.now() + IMAGE_MILLISECONDS })
    void keep(image).finally(end)
    return image
  } catch (error) {
    // For later requests, the bucket may answer differently: the object may be uploaded now.
    if (isImageError(error) && isCurrent())
      remember(name, { error, until: Date.now() + ERROR_MILLISECONDS })
    turn.failure = { error }
    end()
    throw error
  }
}

/**
 * Runs `work`, which holds an original of so many bytes, when there is room for it: a page of
 * thumbnails would otherwise need all originals at once. Throws `storage_busy` at the deadline of
 * `now`.
 */
export async function withRoom<T>(bytes: number, now: Date, work: () => Promise<T>): Promise<T> {
  while (!hasRoom(bytes)) {
    const milliseconds = timeLeft(WAIT_MILLISECONDS, now)
    await new Promise((resolve) => setTimeout(resolve, milliseconds))
  }
  const one = { bytes, until: Date.now() + HELD_MILLISECONDS }
  held.add(one)
  try {
    return await work()
  } finally {
    held.delete(one)
  }
}

function hasRoom(bytes: number): boolean {
  let sum = 0
  for (const one of held)
    if (one.until > Date.now()) sum += one.bytes
    else held.delete(one)
  return sum === 0 || sum + bytes <= MAX_HELD_BYTES
}

/**
 * Separates later requests for variants of an object from those that this isolate is making or has
 * just made.
 */
export function forgetVariants(url: string): void {
  const start = `${url}?`
  making.forget(start)
  for (const name of outcomes.keys()) if (name.startsWith(start)) outcomes.delete(name)
}

/** Returns the latest outcome of a variant, if it is recent. */
function latest(name: string): Outcome | undefined {
  const known = outcomes.get(name)
  return known !== undefined && Date.now() < known.until ? known : undefined
}

function remember(name: string, outcome: Outcome): void {
  outcomes.delete(name)
  outcomes.set(name, outcome)
  let bytes = 0
  for (const one of outcomes.values()) bytes += bytesOf(one)
  for (const [oldest, one] of outcomes) {
    if (oldest === name || (outcomes.size <= MAX_OUTCOMES && bytes <= MAX_REMEMBERED_BYTES)) return
    outcomes.delete(oldest)
    bytes -= bytesOf(one)
  }
}

const bytesOf = (outcome: Outcome): number =>
  'image' in outcome ? outcome.image.bytes.byteLength : 0

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
    const headers: HeadersInit = range === null ? {} : { Range: range }
    return (await cache.match(new Request(copyName(wanted, generation), { headers }))) ?? null
  })

/**
 * Returns the current generation of an object's variants, a new one if there is none. Undefined if
 * the Cache API fails. Call this before the request to the bucket.
 */
export const currentGeneration = (url: string): Promise<string | undefined> =>
  attempt('put', async (cache) => (await generationIn(cache, url)) ?? beginGeneration(url, cache))

/** Stores a variant in the generation that was current before the request to the bucket. */
export const putVariant = (
  wanted: WantedVariant,
  generation: string,
  copy: Response,
): Promise<void> => attempt('put', (cache) => cache.put(copyName(wanted, generation), copy))

/** Makes every stored variant of an object unreachable. Throws Error if the Cache API fails. */
export async function dropVariants(url: string): Promise<void> {
  beginning.delete(url)
  await withinCacheTime(beginGeneration(url, caches.default))
}

const generationIn = async (cache: Cache, url: string): Promise<string | null> =>
  (await cache.match(generationUrl(url)))?.headers.get(GENERATION) ?? null

async function beginGeneration(url: string, cache: Cache): Promise<string> {
  // Variants that begin one at the same time share it.
  const generation = beginning.get(url) ?? crypto.randomUUID()
  beginning.set(url, generation)
  const headers = { 'Cache-Control': `max-age=${GENERATION_SECONDS}`, [GENERATION]: generation }
  try {
    await cache.put(generationUrl(url), new Response(null, { headers }))
  } finally {
    beginning.delete(url)
  }
  return generation
}

const generationUrl = (url: string): string => `${url}?generation`

const copyName = ({ url, query }: WantedVariant, generation: string): string =>
  `${url}?${query}&generation=${generation}`
