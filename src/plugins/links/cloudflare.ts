import { WorkerEntrypoint } from 'cloudflare:workers'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { bucketsAt, bucketUrl } from '../../bucket/bucket-url.ts'
import { openBucket } from '../../bucket/credential-source.ts'
import { findBucket } from '../../bucket/find-bucket.ts'
import { relay } from '../../core/relay.ts'
import { ApiError } from '../../errors/api-error.ts'
import { deadlineOf } from '../../errors/deadline.ts'
import { describe } from '../../errors/describe.ts'
import { lead, SingleFlight } from '../../errors/single-flight.ts'
import type { Instance } from '../../http/app-env.ts'
import { type ObjectKey, parseObjectKey } from '../../keys/object-key.ts'
import { requireSettings } from '../../settings/define.ts'
import { headObject } from '../../storage/object.ts'
import { edgeObjects, stubIn } from './edge-objects.ts'
import {
  type AskedObject,
  copyUrl,
  failure,
  headOnly,
  notResized,
  readRequest,
} from './objects-protocol.ts'
import {
  cacheTag,
  copiesOf,
  copySeconds,
  ORIGINAL_TAG,
  openObject,
  secondsLeft,
} from './open-object.ts'
import { LINKS } from './options.ts'
import { dropCopies, MAX_PLAIN_BYTES, PLAIN_SECONDS, throughCacheApi } from './plain-cache.ts'
import { opaqueTag } from './preconditions.ts'

/** The entrypoint that a Worker exports as `Objects`. */
export interface ObjectsEntrypoint<E> extends WorkerEntrypoint<E> {
  fetch(request: Request): Promise<Response>
  purge(alias: string, keys: readonly string[]): Promise<string | null>
}

/** An object of a bucket. */
interface Located {
  /** As configured. */
  readonly bucket: ConfiguredBucket
  readonly key: ObjectKey
}

/**
 * Returns the entrypoint that reads objects for the links of `presigner`. It does not authenticate,
 * since the routes verify a link before they call it. In production, Workers Caching calls it only on
 * a miss (wrangler.toml). Without Workers Caching, as under `wrangler dev` and in tests, the Cache API
 * keeps copies for at most a minute. Export it under the name of `links({ entrypoint })`.
 */
export const objectsEntrypoint = <E extends object>(presigner: {
  readonly instance: (env: E) => Instance
}): (new (
  ...given: ConstructorParameters<typeof WorkerEntrypoint<E>>
) => ObjectsEntrypoint<E>) =>
  class Objects extends WorkerEntrypoint<E> {
    override fetch(request: Request): Promise<Response> {
      const answer = this.#answer(readRequest(request)).catch(failure)
      // Other requests wait for this one, even if its client disconnects.
      this.ctx.waitUntil(answer.catch(() => undefined))
      return answer
    }

    async #answer(asked: AskedObject): Promise<Response> {
      const { url, range, requestId, variant } = asked
      const { bucket, key } = await this.#locate(asked)
      const about = { requestId, bucket: bucket.alias }
      const waitUntil = (work: Promise<unknown>) => this.ctx.waitUntil(work)
      if (this.ctx.cache !== undefined) {
        const opened = await this.#open(asked, { bucket, key }, bucket)
        const [response, sent] = relay(opened, about)
        if (opened.headers.get('Cache-Control') !== 'no-store')
          waitUntil(sent.then(() => this.#dropIfOld(opened.headers, bucket, key)))
        return response
      }
      const edgeTtlSeconds = Math.min(bucket.edgeTtlSeconds, PLAIN_SECONDS)
      const plain = { ...bucket, edgeTtlSeconds }
      const open = () => this.#open(asked, { bucket, key }, plain)
      if (edgeTtlSeconds === 0) return relay(await open(), about)[0]
      const isFresh = (copy: Headers) => secondsLeft(copy, plain, key) > 0
      // Nobody needs a part of an image, and a refusal to make one has no parts.
      const wanted = variant === null ? { range, isImage: false } : { range: null, isImage: true }
      const copy = await throughCacheApi({ url, ...wanted, isFresh, waitUntil, about }, open)
      if (!asked.isHead) return copy
      copy.body?.cancel().catch(() => undefined)
      return new Response(null, copy)
    }

    /** Opens an object, or makes an image. A copy of it may live as long as `edgeTtl` of `bucket`. */
    async #open(asked: AskedObject, located: Located, bucket: ConfiguredBucket): Promise<Response> {
      const { now, range, isHead, url, variant, requestId } = asked
      const { key } = located
      const waitUntil = (work: Promise<unknown>) => this.ctx.waitUntil(work)
      if (variant !== null) {
        const { images, entrypoint } = LINKS.of(presigner.instance(this.env)) ?? {}
        if (!images?.serve) throw notResized()
        const stub = stubIn(this.ctx, entrypoint)
        const original = { method: 'GET', bucket: located.bucket, key, range: null } as const
        const request = { ...original, variant: null, asker: { now, requestId } }
        const openCopy = stub && (() => edgeObjects(stub).open(request))
        return images.serve({ bucket, key, variant, url }, { openCopy, waitUntil }, now)
      }
      const method = isHead ? 'HEAD' : 'GET'
      const fillBytes = this.ctx.cache === undefined ? MAX_PLAIN_BYTES : undefined
      const open = async () =>
        openObject(await openBucket(bucket, now, this.ctx), key, { method, range, fillBytes }, now)
      if (isHead) return headOnly(await open())
      return range === null ? openOnce(url, now, open) : open()
    }

    /**
     * Purges at most 100 objects for all aliases of their bucket, with Workers Caching in every
     * location. Null, or the reason of a failure: the runtime logs a thrown error as uncaught.
     */
    async purge(alias: string, objectKeys: readonly string[]): Promise<string | null> {
      try {
        const keys = objectKeys.map(parseObjectKey)
        const { buckets } = requireSettings(presigner.instance(this.env).settings)
        const bucket = findBucket({ buckets }, alias)
        const same = bucketsAt(buckets, bucketUrl(bucket))
        const urls = await Promise.all(
          same.flatMap((other) => keys.map((key) => copyUrl(other, key))),
        )
        await (this.ctx.cache === undefined ? dropCopies(urls) : this.#purgeTags(bucket, keys))
        const { images } = LINKS.of(presigner.instance(this.env)) ?? {}
        for (const url of urls) images?.forget(`${url}&`)
        return null
      } catch (error) {
        return describe(error)
      }
    }

    async #purgeTags(bucket: ConfiguredBucket, keys: readonly ObjectKey[]): Promise<void> {
      const tags = await Promise.all(keys.map((key) => cacheTag(bucket, key)))
      const purged = await this.ctx.cache?.purge({ tags })
      if (purged?.success !== true) throw new Error('The edge cache refused the purge.')
    }

    /** Purges the copy if its object was deleted or replaced meanwhile: that purge may have been early. */
    async #dropIfOld(copy: Headers, bucket: ConfiguredBucket, key: ObjectKey): Promise<void> {
      const now = new Date()
      const head = await headObject(await openBucket(bucket, now, this.ctx), key, now)
      const etag = copy.get(ORIGINAL_TAG) ?? copy.get('etag') ?? ''
      if (head === null || opaqueTag(head.etag) !== opaqueTag(etag))
        await this.#purgeTags(bucket, [key])
    }

    /** Returns bucket and key. Throws `unknown_bucket` for another configuration. */
    async #locate({ alias, copies, path, edgeTtl }: AskedObject): Promise<Located> {
      const key = parseObjectKey(path)
      const bucket = findBucket(requireSettings(presigner.instance(this.env).settings), alias)
      if ((await copiesOf(bucket)) === copies && String(copySeconds(bucket, key)) === edgeTtl)
        return { bucket, key }
      throw new ApiError('unknown_bucket', 'No bucket has this configuration.')
    }
  }

/** The requests of this isolate that are opening an object, by its URL. */
const opening = new SingleFlight()

/**
 * Opens an object. If another request for it waits for the bucket's answer, waits too, and throws its
 * error. An error is not cached, so many clients would otherwise each ask a bucket that fails.
 */
async function openOnce(url: string, now: Date, open: () => Promise<Response>): Promise<Response> {
  for (let other = opening.find(url); other !== undefined; other = opening.find(url))
    if ((await other.wait(now)) !== null) return open()
  const flight = opening.begin(url, deadlineOf(now))
  try {
    return await lead(flight, async () => {
      const opened = await open()
      flight.succeed()
      return opened
    })
  } finally {
    opening.end(url, flight)
  }
}
