import { WorkerEntrypoint } from 'cloudflare:workers'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { openBucket } from '../../bucket/credential-source.ts'
import { findBucket } from '../../bucket/find-bucket.ts'
import { relay } from '../../core/pump.ts'
import { ApiError } from '../../errors/api-error.ts'
import { newDeadline, RequestTime } from '../../errors/deadline.ts'
import { describe } from '../../errors/describe.ts'
import { lead } from '../../errors/turns.ts'
import type { Instance } from '../../http/app-env.ts'
import { type ObjectKey, parseObjectKey } from '../../keys/object-key.ts'
import { requireSettings } from '../../settings/define.ts'
import { headObject } from '../../storage/object.ts'
import {
  beginFill,
  dropCopy,
  endFill,
  findCopy,
  openOnce,
  serveAndKeep,
  type Wanted,
} from './edge-cache.ts'
import { edgeObjects, stubIn } from './edge-objects.ts'
import type { ImageRequest } from './images/edge-images.ts'
import {
  ALIAS,
  ASKER,
  copyUrl,
  DEADLINE,
  failure,
  notResized,
  specIn,
  WANTED_RANGE,
  withStatus,
} from './objects-protocol.ts'
import { cacheTag, copiesOf, copySeconds, homeOf, openObject } from './open-object.ts'
import { type KeptLinks, LINKS } from './options.ts'

/** The entrypoint that a Worker exports as `Objects`. */
export interface ObjectsEntrypoint<E> extends WorkerEntrypoint<E> {
  fetch(request: Request): Promise<Response>
  purge(alias: string, keys: readonly string[]): Promise<string | null>
}

/**
 * Returns the entrypoint that reads objects for the links of `presigner`. It does not authenticate,
 * since the routes verify a link before they call it. In production, Workers Caching calls it only on
 * a miss (wrangler.toml). Without Workers Caching, as under `wrangler dev` and in tests, it uses the
 * Cache API. Export it under the name of `links({ entrypoint })`.
 */
export const objectsEntrypoint = <E extends object>(presigner: {
  readonly instance: (env: E) => Instance
}): (new (
  ...given: ConstructorParameters<typeof WorkerEntrypoint<E>>
) => ObjectsEntrypoint<E>) =>
  class Objects extends WorkerEntrypoint<E> {
    override fetch(request: Request): Promise<Response> {
      const answer = this.#answer(request).catch(failure)
      // Other requests wait for this one, even if its client disconnects.
      this.ctx.waitUntil(answer.catch(() => undefined))
      return answer
    }

    async #answer({ url: href, headers, method: asked }: Request): Promise<Response> {
      const range = headers.get(WANTED_RANGE)
      const method = asked === 'HEAD' ? 'HEAD' : 'GET'
      const deadline = Math.min(Number(headers.get(DEADLINE) ?? Infinity), newDeadline())
      const now = new RequestTime(deadline)
      const location = new URL(href)
      const { bucket, key, url } = await this.#locate(location, headers.get(ALIAS) ?? '')
      const about = { requestId: headers.get(ASKER), bucket: bucket.alias }
      const variant = specIn(location.searchParams)
      if (variant !== null) {
        const asked = { bucket, key, variant, url, query: location.search.slice(1), range }
        const image = await this.#image({ ...asked, requestId: about.requestId ?? '' }, now)
        return method === 'HEAD' ? new Response(null, image) : image
      }
      const open = async (fillBytes?: number) =>
        openObject(await openBucket(bucket, now, this.ctx), key, method, range, now, fillBytes)
      if (this.ctx.cache !== undefined) {
        const opened = method === 'GET' && range === null ? openOnce(href, now, open) : open()
        return this.#forCache(await opened, bucket, key, about)
      }
      const maxAgeSeconds = copySeconds(bucket, key)
      if (maxAgeSeconds === 0) return relay(await open(), about)[0]
      return this.#throughCacheApi({ url, range, maxAgeSeconds }, method, open, now, about)
    }

    /**
     * Purges at most 100 objects for all aliases of their bucket, with Workers Caching in every
     * location. Null, or the reason of a failure: the runtime logs a thrown error as uncaught.
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
      const settings = requireSettings(presigner.instance(this.env).settings)
      const bucket = findBucket(settings, alias)
      const same = settings.buckets.filter((other) => homeOf(other) === homeOf(bucket))
      const urls = new Set(
        await Promise.all(same.flatMap((other) => keys.map((key) => copyUrl(other, key)))),
      )
      // The order matters: an image that is made meanwhile, from a copy that is still there, is in
      // the old generation, and no later request waits for it.
      const drop = (url: string) => dropCopy(url).finally(() => this.#options?.images?.drop(url))
      if (this.ctx.cache === undefined) await Promise.all(Array.from(urls, drop))
      else
        await this.#purgeTags(bucket, keys).finally(() => {
          for (const url of urls) this.#options?.images?.forget(url)
        })
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
      const copy = await findCopy(wanted, now, method === 'GET')
      if (!copy) return bypass()
      if (copy instanceof Response) return method === 'HEAD' ? new Response(null, copy) : copy

      const works: Promise<unknown>[] = []
      try {
        return await lead(copy, async () => {
          const fill = await beginFill(wanted.url, async (url) => this.#options?.images?.drop(url))
          const opened = await open()
          copy.succeed()
          if (opened.headers.get('Cache-Control') === 'no-store')
            return withStatus(relay(opened, about)[0], 'BYPASS')
          const later = (work: Promise<unknown>) => works.push(work)
          const served = await serveAndKeep(wanted, fill, opened, later, about)
          return served === null ? await bypass() : withStatus(served, 'MISS')
        })
      } finally {
        this.ctx.waitUntil(Promise.allSettled(works).then(() => endFill(wanted.url, copy)))
      }
    }

    /** Returns a resized image. */
    async #image(asked: ImageRequest, now: RequestTime): Promise<Response> {
      const usesCacheApi = this.ctx.cache === undefined
      const { images, entrypoint } = this.#options ?? {}
      if (!images?.serve) throw notResized()
      const stub = stubIn(this.ctx, entrypoint)
      const place = {
        usesCacheApi,
        originals: stub === null ? null : edgeObjects(stub),
        waitUntil: (work: Promise<unknown>) => this.ctx.waitUntil(work),
      }
      const image = await images.serve(asked, place, now)
      if (!usesCacheApi) place.waitUntil(this.#dropIfOld(image.headers, asked.bucket, asked.key))
      return image
    }

    /** Returns the response for Workers Caching. */
    #forCache(opened: Response, bucket: ConfiguredBucket, key: ObjectKey, about: object): Response {
      const [response, done] = relay(opened, about)
      const kept = opened.body !== null && opened.headers.get('Cache-Control') !== 'no-store'
      if (kept) this.ctx.waitUntil(done.then(() => this.#dropIfOld(opened.headers, bucket, key)))
      return response
    }

    /** Purges the copy if its object was deleted or replaced meanwhile: that purge may have been early. */
    async #dropIfOld(copy: Headers, bucket: ConfiguredBucket, key: ObjectKey): Promise<void> {
      const now = new Date()
      const head = await headObject(await openBucket(bucket, now, this.ctx), key, now)
      const modified = Date.parse(copy.get('last-modified') ?? '')
      if (head === null || head.lastModified.getTime() > modified)
        await this.#purgeTags(bucket, [key])
    }

    /** Returns bucket, key and copy's name. Throws `unknown_bucket` for another configuration. */
    async #locate({ origin, pathname, searchParams }: URL, alias: string) {
      const [, copies, path = ''] = pathname.split('/').map(decodeURIComponent)
      const key = parseObjectKey(path)
      const bucket = findBucket(requireSettings(presigner.instance(this.env).settings), alias)
      if (
        (await copiesOf(bucket)) === copies &&
        String(copySeconds(bucket, key)) === searchParams.get('edgeTtl')
      )
        return { bucket, key, url: origin + pathname }
      throw new ApiError('unknown_bucket', 'No bucket has this configuration.')
    }

    get #options(): KeptLinks | undefined {
      return LINKS.of(presigner.instance(this.env))
    }
  }
