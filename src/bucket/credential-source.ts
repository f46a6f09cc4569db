import { ApiError } from '../errors/api-error.ts'
import { inTime, within } from '../errors/deadline.ts'
import { describe } from '../errors/describe.ts'
import { Flight, isSince } from '../errors/single-flight.ts'
import { logWarning } from '../errors/warnings.ts'
import type {
  Background,
  Bucket,
  ConfiguredBucket,
  CredentialSource,
  Credentials,
} from './bucket.ts'

const CALL_MILLISECONDS = 10_000
/** A cancelled request never finishes its flight, so the flight ends after this time. */
const FLIGHT_MILLISECONDS = CALL_MILLISECONDS + 500
/** The pause after a failed call, and the minimum after any other call. */
const PAUSE_SECONDS = 10
/** For this long after a failed call, requests don't wait for another request's next call. */
const OUTAGE_SECONDS = 30
/** The last call is at most this old. */
const MAX_AGE_MILLISECONDS = 3_600_000
/** The next call begins this long before credentials expire, at most half of their lifetime. */
const RENEW_MILLISECONDS = 15 * 60_000

/**
 * Returns a source that calls `fetchCredentials` on first use, and again before the credentials
 * expire. Only one request calls it at a time. Known credentials stay in use until they expire, so
 * that no request waits for a renewal. Requests without any wait for the one that calls. If that
 * request is canceled, one of them takes over its flight. After a failure, only the one that calls
 * waits, since a download also gets here for the credentials for uploads.
 */
export function credentialSource(
  fetchCredentials: (signal: AbortSignal) => Promise<Credentials>,
): CredentialSource {
  let known: Credentials | undefined
  let renewAt = 0
  let flight: Flight | undefined
  let failure: ApiError | undefined
  let failedAt = -Infinity

  const isPaused = (seconds: number) => isSince(failedAt, seconds * 1000)
  const knownAt = (time: number) => (known !== undefined && time < known.expiresAt ? known : null)

  const call = async (now: Date): Promise<void> => {
    const time = now.getTime()
    const own = new Flight(Date.now() + FLIGHT_MILLISECONDS)
    flight = own
    const abort = new AbortController()
    try {
      const fetched = await within(CALL_MILLISECONDS, fetchCredentials(abort.signal))
      const left = fetched.expiresAt - time
      if (left <= 0) throw new Error('The function returned credentials that have expired.')
      // Keeps the object if nothing has changed, since the keys derived for signing belong to it.
      if (JSON.stringify(fetched) !== JSON.stringify(known)) known = fetched
      const age = Math.min(left - Math.min(RENEW_MILLISECONDS, left / 2), MAX_AGE_MILLISECONDS)
      renewAt = time + Math.max(age, PAUSE_SECONDS * 1000)
      failedAt = -Infinity
    } catch (cause) {
      abort.abort()
      failure = new ApiError(
        'unavailable',
        "The bucket's access key could not be fetched. Try later.",
        { reason: 'credentials_source', cause, retryAfterSeconds: PAUSE_SECONDS },
      )
      failedAt = Date.now()
      if (knownAt(time)) logWarning('credentials not renewed', { reason: describe(cause) })
    } finally {
      own.end()
    }
  }

  return {
    current(now, background) {
      const time = now.getTime()
      const callOnce = (): Promise<void> => {
        const called = call(now)
        background.waitUntil(called)
        return called
      }
      const usable = knownAt(time)
      if (usable !== null) {
        if (time >= renewAt && !flight?.isOn && !isPaused(PAUSE_SECONDS)) callOnce()
        return usable
      }
      return (async () => {
        for (;;) {
          const fetched = knownAt(time)
          if (fetched !== null) return fetched
          if (isPaused(flight?.isOn ? OUTAGE_SECONDS : PAUSE_SECONDS)) throw failure
          await (flight?.isOn ? flight.wait(now) : inTime(Infinity, now, callOnce))
        }
      })()
    },
  }
}

/** Tells whether the credentials of `bucket` are values. */
export const isOpen = (bucket: ConfiguredBucket): bucket is Bucket =>
  !(isSource(bucket.credentials) || isSource(bucket.uploadCredentials))

const isSource = (credentials: Credentials | CredentialSource): credentials is CredentialSource =>
  'current' in credentials

/** Each bucket with its credentials, or with the errors in their place. */
const opened = new WeakMap<ConfiguredBucket, readonly [read: unknown, write: unknown, Bucket]>()

/**
 * Returns `bucket` with its credentials at `now`: the same object as long as they are the same, since
 * what is derived for signing is kept by bucket. Credentials that can't be fetched throw their error
 * when they are used, so that a download works without those for uploads. Returns no promise if all
 * of them are values.
 */
export const openBucket = (
  bucket: ConfiguredBucket,
  now: Date,
  background: Background,
): Bucket | Promise<Bucket> => (isOpen(bucket) ? bucket : fetchFor(bucket, now, background))

async function fetchFor(
  bucket: ConfiguredBucket,
  now: Date,
  background: Background,
): Promise<Bucket> {
  const { credentials, uploadCredentials } = bucket
  const fetchOne = async (one: Credentials | CredentialSource) =>
    isSource(one) ? one.current(now, background) : one
  const reads = fetchOne(credentials)
  const writes = uploadCredentials === credentials ? reads : fetchOne(uploadCredentials)
  const [read, write] = await Promise.allSettled([reads, writes])
  const kept = opened.get(bucket)
  if (kept !== undefined && kept[0] === outcome(read) && kept[1] === outcome(write)) return kept[2]
  const made: Bucket = {
    ...bucket,
    get credentials() {
      return requireValue(read)
    },
    get uploadCredentials() {
      return requireValue(write)
    },
  }
  opened.set(bucket, [outcome(read), outcome(write), made])
  return made
}

type Fetched = PromiseSettledResult<Credentials>

const outcome = (fetched: Fetched): unknown =>
  fetched.status === 'fulfilled' ? fetched.value : fetched.reason

function requireValue(fetched: Fetched): Credentials {
  if (fetched.status === 'rejected') throw fetched.reason
  return fetched.value
}
