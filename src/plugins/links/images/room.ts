import { deadlineOf, within } from '../../../errors/deadline.ts'
import { crowded, RESIZE_MILLISECONDS } from './variant.ts'

/** Bytes of images in memory at a time. An isolate has 128 MB for everything. */
const MAX_HELD_BYTES = 40 * 1024 ** 2
/** How many requests open an image, or wait for room, at a time. */
const MAX_WAITING = 64

/** A place in the queue, then in memory, until `until`: a canceled request leaves no trace. */
interface Place {
  /** Null until the image is open. */
  bytes: number | null
  readonly until: number
  readonly begin: () => void
}

const held = new Set<Place>()
/** In order of arrival. */
const waiting = new Set<Place>()

/**
 * Runs `work` with what `open` returns, when there is room for its bytes: a page of thumbnails would
 * otherwise need all originals at once. The room is free again after `work`, and after everything
 * that it hands to `during`, for which `waitUntil` keeps the request running. Throws
 * `unavailable` ten seconds before the deadline of `now`, and without `open` if too many wait.
 */
export async function withRoom<S, T>(
  now: Date,
  waitUntil: (work: Promise<unknown>) => void,
  open: () => Promise<readonly [bytes: number, opened: S]>,
  work: (opened: S, during: (work?: Promise<unknown>) => void) => Promise<T>,
): Promise<T> {
  admit()
  if (waiting.size >= MAX_WAITING) throw crowded()
  // Nobody waits until it would be too late for a call.
  const latest = deadlineOf(now) - RESIZE_MILLISECONDS
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  const place: Place = { bytes: null, until: deadlineOf(now) + RESIZE_MILLISECONDS, begin }
  const works: unknown[] = []
  waiting.add(place)
  try {
    const [bytes, opened] = await open()
    place.bytes = bytes
    for (admit(); !held.has(place); admit()) {
      if (Date.now() >= latest) throw crowded()
      // Nobody calls when the place of a lost request comes back.
      const next = Math.min(latest, ...Array.from(held, ({ until }) => until))
      await within(next - Date.now(), begun).catch(() => undefined)
    }
    return await work(opened, (one) => works.push(one))
  } finally {
    const end = () => {
      waiting.delete(place)
      held.delete(place)
      admit()
    }
    if (works.length === 0) end()
    else waitUntil(Promise.allSettled(works).then(end))
  }
}

/** Gives the free room to those who wait, in order. */
function admit(): void {
  const now = Date.now()
  for (const places of [held, waiting])
    for (const place of places) if (place.until <= now) places.delete(place)
  let sum = 0
  for (const { bytes } of held) sum += bytes ?? 0
  for (const place of waiting) {
    if (place.bytes === null) continue
    sum += place.bytes
    if (sum > MAX_HELD_BYTES) return
    waiting.delete(place)
    held.add(place)
    place.begin()
  }
}
