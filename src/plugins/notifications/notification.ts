import * as z from 'zod/mini'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { usually } from '../../http/fields.ts'
import { isNewObjectKey } from '../../keys/new-key.ts'
import { type ObjectKey, objectKeyError, parseObjectKey } from '../../keys/object-key.ts'

/*
 * What buckets report about their objects. A notification is only a hint: it says under which key
 * to look. So repeats and another order do no harm. The ETag only tells that an object is newer.
 */

/** Why a notification is dropped, for the log. Repeating such a notification would not help. */
export const DROPS = [
  'malformed',
  'other event',
  'unknown bucket',
  'other account',
  'invalid key',
  'key not managed',
  'key not indexable',
] as const

export type Drop = (typeof DROPS)[number]

/** An object that was created, replaced or deleted. */
export interface Notification {
  /** The bucket's name on its server. */
  readonly bucket: string
  /** Id of the Cloudflare account, or null if the format has none. */
  readonly account: string | null
  /** Decoded, but not yet checked. */
  readonly key: string
  /** Milliseconds since 1970. */
  readonly time: number
  /** ETag of the object without quotes, empty for a deleted one. Undefined if it is missing. */
  readonly etag?: string | undefined
}

const instant = z.pipe(
  z.string(),
  z.transform((text, context) => {
    const time = Date.parse(text)
    if (Number.isNaN(time)) context.issues.push({ code: 'custom', input: text })
    return time
  }),
)

/** developers.cloudflare.com/r2/buckets/event-notifications: the body of a queue's message. */
const r2Schema = z.object({
  account: z.string(),
  action: z.string(),
  bucket: z.string(),
  object: z.object({ key: z.string(), eTag: usually(z.string(), '') }),
  eventTime: instant,
})

const R2_ACTIONS =
  /^(?:PutObject|CopyObject|CompleteMultipartUpload|DeleteObject|LifecycleDeletion)$/

/** Reads the message that R2 sends to a queue. */
export function readR2Message(body: unknown): Notification | Drop {
  const parsed = r2Schema.safeParse(body)
  if (!parsed.success) return 'malformed'
  const { account, action, bucket, object, eventTime } = parsed.data
  if (!R2_ACTIONS.test(action)) return 'other event'
  return { bucket, account, key: object.key, time: eventTime, etag: object.eTag }
}

/** AmazonS3/latest/userguide/notification-content-structure: one of `Records`. */
export const recordSchema = z.object({
  eventName: z.string(),
  eventSource: z.optional(z.string()),
  eventTime: instant,
  s3: z.object({
    bucket: z.object({ name: z.string() }),
    object: z.object({ key: z.string(), eTag: z.optional(z.string()) }),
  }),
})

/** AmazonS3/latest/userguide/ev-events: S3's event on EventBridge. */
export const eventBridgeSchema = z.object({
  source: z.enum(['aws.s3']),
  'detail-type': z.string(),
  time: instant,
  detail: z.object({
    bucket: z.object({ name: z.string() }),
    object: z.object({ key: z.string(), etag: usually(z.string(), '') }),
  }),
})

/**
 * Names of events that change which objects exist. Any other event is dropped. A server that also
 * reports reads would otherwise report the Worker's own HeadObject, without end.
 */
const CHANGES = /^(?:s3:)?(?:Object(?:Created|Removed)|(?:ObjectLifecycle:|Lifecycle)Expiration):/

/** Reads an S3 server's request, a result per record: S3's format, or its event on EventBridge. */
export function readS3Body(body: unknown): (Notification | Drop)[] {
  const records: unknown = Reflect.get(Object(body), 'Records')
  if (Array.isArray(records)) return records.map(readRecord)
  const event = eventBridgeSchema.safeParse(body)
  if (!event.success) return [isTest(body) ? 'other event' : 'malformed']
  const { detail, time, 'detail-type': type } = event.data
  if (type !== 'Object Created' && type !== 'Object Deleted') return ['other event']
  const { bucket, object } = detail
  return [{ bucket: bucket.name, account: null, key: object.key, time, etag: object.etag }]
}

/** The message by which S3 tests a new destination. */
const isTest = (body: unknown): boolean => Reflect.get(Object(body), 'Event') === 's3:TestEvent'

function readRecord(record: unknown): Notification | Drop {
  const parsed = recordSchema.safeParse(record)
  if (!parsed.success) return 'malformed'
  const { eventName, eventSource, eventTime, s3 } = parsed.data
  if (!CHANGES.test(eventName)) return 'other event'
  // Ceph RGW writes the key as it is. Everyone else encodes it as a form does.
  const key = eventSource === 'ceph:s3' ? s3.object.key : formDecoded(s3.object.key)
  if (key === null) return 'malformed'
  const etag = eventName.includes('ObjectCreated') ? s3.object.eTag : ''
  return { bucket: s3.bucket.name, account: null, key, time: eventTime, etag }
}

/** Decodes `application/x-www-form-urlencoded`. Returns null for malformed percent-encoding. */
function formDecoded(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return null
  }
}

/** The account in the host of an R2 bucket: with a jurisdiction, or the bucket's name before it. */
const R2_ACCOUNT =
  /(?:\/\/|\.)([0-9a-f]{32})\.(?:[a-z0-9-]+\.)?r2\.cloudflarestorage\.com(?::\d+)?$/i

/** Tells whether `bucket` is at another Cloudflare account. Most hosts don't name an account. */
const isOfOther = (account: string, { origin, publicAddress }: ConfiguredBucket): boolean => {
  const own = (R2_ACCOUNT.exec(origin) ?? R2_ACCOUNT.exec(publicAddress.origin))?.[1]
  return own !== undefined && own.toLowerCase() !== account.toLowerCase()
}

/** Where to look for an object: aliases of one bucket, and the key as that bucket stores it. */
export interface Candidate {
  readonly aliases: readonly [ConfiguredBucket, ...ConfiguredBucket[]]
  readonly key: ObjectKey
}

/**
 * Returns where a notification's object may be: buckets of different servers may share a name. Only
 * managed keys count: the presigner's own, and those under the bucket's `managedPrefixes`.
 */
export function candidatesOf(
  buckets: readonly ConfiguredBucket[],
  { bucket: name, account, key }: Notification,
): Candidate[] | Drop {
  const named = buckets.filter((bucket) => bucket.name === name)
  if (named.length === 0) return 'unknown bucket'
  const own = named.filter((bucket) => account === null || !isOfOther(account, bucket))
  if (own.length === 0) return 'other account'
  const candidates = new Map<string, Candidate>()
  let drop: Drop = 'key not managed'
  for (const bucket of own) {
    const spelled = bucket.normalizesKeys ? key.normalize() : key
    if (objectKeyError(spelled) !== null) {
      drop = 'invalid key'
      continue
    }
    const stored = parseObjectKey(spelled)
    if (!isManaged(bucket, stored)) continue
    const address = bucket.origin + bucket.basePath
    const [first, ...others] = candidates.get(address)?.aliases ?? []
    const aliases =
      first === undefined ? ([bucket] as const) : ([first, ...others, bucket] as const)
    candidates.set(address, { aliases, key: stored })
  }
  return candidates.size === 0 ? drop : [...candidates.values()]
}

const isManaged = ({ managedPrefixes }: ConfiguredBucket, key: ObjectKey): boolean =>
  isNewObjectKey(key) || managedPrefixes.some((prefix) => key.startsWith(prefix))
