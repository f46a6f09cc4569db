import { ApiError, asApiError } from '../../../errors/api-error.ts'
import { deadlineOf, within } from '../../../errors/deadline.ts'

/** Bytes of images in memory at a time. An isolate has 128 MB for everything. */
const MAX_HELD_BYTES = 40 * 1024 ** 2
/** How many requests wait for memory at a time, far more than a page has images. They hold no bytes. */
const MAX_WAITING = 1000

/** How long a call to resize an image may take, once all of the original is in memory. */
export const RESIZE_MILLISECONDS = 10_000
/** The time that must be left to begin a call. */
export const CALL_MILLISECONDS = 5000

/** A request in the queue, then in memory, until `until`: a canceled request leaves no trace. */
interface Holder {
  readonly bytes: number
  readonly until: number
  readonly begin: () => void
}

const held = new Set<Holder>()
/** In order of arrival. */
const waiting = new Set<Holder>()

/**
 * Runs `work` when there is memory for its bytes: a page of thumbnails would otherwise need all originals
 * at once. The memory is free again after `work`, and after everything that it hands to `during`, for
 * which `waitUntil` keeps the request running. Throws `unavailable` when the deadline of `now` is
 * too near for a call, and at once if too many wait.
 */
export async function withinMemory<T>(
  bytes: number,
  now: Date,
  waitUntil: (work: Promise<unknown>) => void,
  work: (during: (work: Promise<unknown>) => void) => Promise<T>,
): Promise<T> {
  admit()
  if (waiting.size >= MAX_WAITING) throw crowded()
  const latest = deadlineOf(now) - CALL_MILLISECONDS
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  const holder: Holder = { bytes, until: deadlineOf(now) + RESIZE_MILLISECONDS, begin }
  const works: Promise<unknown>[] = []
  waiting.add(holder)
  try {
    for (admit(); !held.has(holder); admit()) {
      if (Date.now() >= latest) throw crowded()
      // Nobody calls when the memory of a lost request is free again.
      const next = Math.min(latest, ...Array.from(held, ({ until }) => until))
      await within(next - Date.now(), begun).catch(() => undefined)
    }
    return await work((one) => works.push(one))
  } finally {
    const end = () => {
      waiting.delete(holder)
      held.delete(holder)
      admit()
    }
    if (works.length === 0) end()
    else waitUntil(Promise.allSettled(works).then(end))
  }
}

const CROWDED = 'no room'

/** Returns the error for an image that would need more memory than there is now. */
export const crowded = (): ApiError =>
  new ApiError('unavailable', 'Too many images are being resized. Try again later.', {
    reason: 'images',
    cause: CROWDED,
    retryAfterSeconds: 5,
  })

/** Tells whether `crowded` made this error. */
export const isCrowded = (error: unknown): boolean => asApiError(error)?.cause === CROWDED

/** Gives the free memory to those who wait, in order. */
function admit(): void {
  const now = Date.now()
  for (const holders of [held, waiting])
    for (const holder of holders) if (holder.until <= now) holders.delete(holder)
  let sum = 0
  for (const { bytes } of held) sum += bytes
  for (const holder of waiting) {
    sum += holder.bytes
    if (sum > MAX_HELD_BYTES) return
    waiting.delete(holder)
    held.add(holder)
    holder.begin()
  }
}
