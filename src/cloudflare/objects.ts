import { WorkerEntrypoint } from 'cloudflare:workers'
import type { ConfiguredBucket } from '../bucket/bucket.ts'
import { openBucket } from '../bucket/credential-source.ts'
import { findBucket } from '../bucket/find-bucket.ts'
import { cacheTag, copiesOf, copySeconds, homeOf, openObject } from '../delivery/open-object.ts'
import { relay } from '../delivery/pump.ts'
import {
  heldBytes,
  type ImageResizer,
  imageResponse,
  type KeptImage,
  resize,
  specIn,
  type VariantSpec,
} from '../delivery/variant.ts'
import { ApiError } from '../errors/api-error.ts'
import { inTime, newDeadline, RequestTime } from '../errors/deadline.ts'
import { describe } from '../errors/describe.ts'
import { type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import type { SettingsFor } from '../settings/define.ts'
import { headObject } from '../storage/object.ts'
import {
  beginFill,
  dropCopy,
  endFill,
  findCopy,
  openOnce,
  serveAndKeep,
  type Wanted,
} from './edge-cache.ts'
import {
  currentGeneration,
  dropVariants,
  forgetVariants,
  makeOnce,
  matchVariant,
  putVariant,
  withRoom,
} from './edge-variants.ts'
import { ASKER, copyUrl, DEADLINE, FAILURE, WANTED_RANGE } from './objects-protocol.ts'
import { lead } from './turns.ts'

/** The entrypoint that a Worker exports as `Objects`. */
export interface ObjectsEntrypoint<E> extends WorkerEntrypoint<E> {
  fetch(request: Request): Promise<Response>
  purge(alias: string, keys: readonly string[]): Promise<string | null>
}

export interface ObjectsOptions<E> {
  /** Returns the Images binding, for links to resized images. */
  readonly images?: (env: E) => ImageResizer | null | undefined
}

/**
 * Returns the entrypoint that reads objects for links. It does not authenticate, since the routes
 * verify a link before they call it. In production, Workers Caching calls it only on a miss
 * (wrangler.toml). Without Workers Caching, as under `wrangler dev` and in tests, it uses the Cache
 * API. `settingsFor` must be the presigner's own.
 */
export const objectsEntrypoint = <E extends object>(
  settingsFor: SettingsFor<E>,
  { images }: ObjectsOptions<E> = {},
): (new (
  ...given: ConstructorParameters<typeof WorkerEntrypoint<E>>
) => ObjectsEntrypoint<E>) =>
  class Objects extends WorkerEntrypoint<E> {
    override fetch(request: Request): Promise<Response> {
      const answer = this.#answer(request).catch(failure)
      // Other requests wait for this one, also if its client disconnects.
      this.ctx.waitUntil(answer.catch(() => undefined))
      return answer
    }

    async #answer({ url: href, headers, method: asked }: Request): Promise<Response> {
      const range = headers.get(WANTED_RANGE)
      const method = asked === 'HEAD' ? 'HEAD' : 'GET'
      const deadline = Math.min(Number(headers.get(DEADLINE) ?? Infinity), newDeadline())
      const now = new RequestTime(deadline)
      const location = new URL(href)
      const { bucket, key, url } = await this.#locate(location)
      const about = { requestId: headers.get(ASKER), bucket: bucket.alias }
      const variant = specIn(location.searchParams)
      if (variant !== null) {
        const wanted = { bucket, key, variant, url, query: location.search, range }
        const image = await inTime(Infinity, now, () => this.#variant(wanted, now))
        return method === 'HEAD' ? new Response(null, image) : image
      }
      const open = async (fillBytes?: number) =>
        openObject(await openBucket(bucket, now, this.ctx), key, method, range, now, fillBytes)
      if (this.ctx.cache !== undefined) {
        const opened = method === 'GET' && range === null ? openOnce(href, deadline, open) : open()
        return this.#forCache(await opened, bucket, key, about)
      }
      const maxAgeSeconds = copySeconds(bucket, key)
      if (maxAgeSeconds === 0) return relay(await open(), about)[0]
      return this.#throughCacheApi({ url, range, maxAgeSeconds }, method, open, now, about)
    }

    /**
     * Purges the edge copies of at most 100 objects for all aliases of their bucket. With Workers
     * Caching, purges them in every location, in one call. Resolves with null, or with the reason
     * of a failure, since the runtime logs an error that an entrypoint throws as uncaught.
     */
    async purge(alias: string, objectKeys: readonly string[]): Promise<string | null> {
      try {
        await this.#purge(alias, objectKeys.map(parseObjectKey))
        return null
      } catch (error) {
        return describe(error)
      }
    }

    async #purge(alias: string, keys: readonly ObjectKey[]): Promise<void> {
      const settings = settingsFor(this.env)
      const bucket = findBucket(settings, alias)
      const same = settings.buckets.filter((other) => homeOf(other) === homeOf(bucket))
      const urls = new Set(
        await Promise.all(same.flatMap((other) => keys.map((key) => copyUrl(other, key)))),
      )
      for (const url of urls) forgetVariants(url)
      if (this.ctx.cache !== undefined) return this.#purgeTags(bucket, keys)
      const drops = images === undefined ? [dropCopy] : [dropCopy, dropVariants]
      await Promise.all([...urls].flatMap((url) => drops.map((drop) => drop(url))))
    }

    async #purgeTags(bucket: ConfiguredBucket, keys: readonly ObjectKey[]): Promise<void> {
      const tags = await Promise.all(keys.map((key) => cacheTag(bucket, key)))
      const purged = await this.ctx.cache?.purge({ tags })
      if (purged?.success !== true) throw new Error('The edge cache refused the purge.')
    }

    async #throughCacheApi(
      wanted: Wanted,
      method: 'GET' | 'HEAD',
      open: (fillBytes?: number) => Promise<Response>,
      now: RequestTime,
      about: object,
    ): Promise<Response> {
      const bypass = async () => withStatus(relay(await open(0), about)[0], 'BYPASS')
      const copy = await findCopy(wanted, method === 'HEAD' ? null : now.deadline)
      // Without a turn, `copy` is null only for HEAD.
      if (!copy) return bypass()
      if (copy instanceof Response) return method === 'HEAD' ? new Response(null, copy) : copy

      const works: Promise<unknown>[] = []
      try {
        return await lead(copy, async () => {
          const fill = await beginFill(wanted.url)
          const opened = await open()
          copy.hasAnswer = true
          if (opened.headers.get('Cache-Control') === 'no-store')
            return withStatus(relay(opened, about)[0], 'BYPASS')
          const later = (work: Promise<unknown>) => works.push(work)
          const served = await serveAndKeep(wanted, fill, opened, later, now, about)
          return served === null ? await bypass() : withStatus(served, 'MISS')
        })
      } finally {
        this.ctx.waitUntil(Promise.allSettled(works).then(() => endFill(wanted.url, copy)))
      }
    }

    /** Returns a resized image, from the edge cache if it is there. */
    async #variant(
      { bucket, key, variant, url, query, range }: VariantRequest,
      now: Date,
    ): Promise<Response> {
      const wanted = { url, query: query.slice(1) }
      const usesCacheApi = this.ctx.cache === undefined
      const kept = usesCacheApi ? await matchVariant(wanted, range) : null
      if (kept) return kept
      let generation: string | undefined
      const make = async () => {
        if (usesCacheApi) generation = await currentGeneration(url)
        const opened = await openBucket(bucket, now, this.ctx)
        const original = await openObject(opened, key, 'GET', null, now, 0)
        return withRoom(heldBytes(original), now, () =>
          resize(relay(original, null)[0], variant, images?.(this.env) ?? null),
        )
      }
      const keep = (image: KeptImage) => {
        const stored =
          generation === undefined
            ? Promise.resolve()
            : putVariant(wanted, generation, imageResponse(image, null))
        this.ctx.waitUntil(stored)
        return stored
      }
      const image = await makeOnce(`${url}${query}`, make, keep, now)
      if (usesCacheApi)
        return withStatus(imageResponse(image, range), generation ? 'MISS' : 'BYPASS')
      this.ctx.waitUntil(this.#dropIfDeleted(bucket, key))
      return imageResponse(image, null)
    }

    /** Returns the response for Workers Caching. */
    #forCache(opened: Response, bucket: ConfiguredBucket, key: ObjectKey, about: object): Response {
      const [response, done] = relay(opened, about)
      const kept = opened.body !== null && opened.headers.get('Cache-Control') !== 'no-store'
      if (kept) this.ctx.waitUntil(done.then(() => this.#dropIfDeleted(bucket, key)))
      return response
    }

    /**
     * Purges a copy whose object was deleted during the transfer. The purge of that delete may have
     * run before the copy existed.
     */
    async #dropIfDeleted(bucket: ConfiguredBucket, key: ObjectKey): Promise<void> {
      const now = new Date()
      const opened = await openBucket(bucket, now, this.ctx)
      if ((await headObject(opened, key, now)) === null) await this.#purgeTags(bucket, [key])
    }

    /**
     * Returns the bucket and key of a request, and the name of its copy. Throws `unknown_bucket` if
     * no bucket has the caller's configuration.
     */
    async #locate({ origin, pathname, searchParams }: URL) {
      const [, copies, path = ''] = pathname.split('/').map(decodeURIComponent)
      const key = parseObjectKey(path)
      const edgeTtl = searchParams.get('edgeTtl')
      for (const bucket of settingsFor(this.env).buckets)
        if ((await copiesOf(bucket)) === copies && String(copySeconds(bucket, key)) === edgeTtl)
          return { bucket, key, url: origin + pathname }
      throw new ApiError('unknown_bucket', 'No bucket is configured like this.')
    }
  }

interface VariantRequest {
  readonly bucket: ConfiguredBucket
  readonly key: ObjectKey
  readonly variant: VariantSpec
  /** Name of the object's copies, without a query. */
  readonly url: string
  /** Query of the request, which names the variant. */
  readonly query: string
  readonly range: string | null
}

/** Marks `response` like Workers Caching. */
function withStatus(response: Response, status: 'MISS' | 'BYPASS'): Response {
  const marked = new Response(response.body, response)
  marked.headers.set('CF-Cache-Status', status)
  return marked
}

/**
 * Returns an error for the caller, with the reason for the log. It must not be cached: without
 * `no-store`, a cache may even store a 404.
 */
function failure(error: unknown): Response {
  if (!(error instanceof ApiError)) throw error
  const { code, message, status, cause, retryAfterSeconds } = error
  const reason = cause === undefined ? undefined : describe(cause)
  const json = JSON.stringify({ code, message, reason, retryAfterSeconds })
  return new Response(null, {
    status,
    headers: { 'Cache-Control': 'no-store', [FAILURE]: encodeURIComponent(json) },
  })
}
