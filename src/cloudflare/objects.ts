import { exports, WorkerEntrypoint } from 'cloudflare:workers'
import type { Bucket } from '../bucket/bucket.ts'
import { findBucket } from '../bucket/find-bucket.ts'
import { cacheTag, copiesOf, homeOf, openObject } from '../delivery/open-object.ts'
import { pipeOf, pump } from '../delivery/pump.ts'
import { within } from '../delivery/within.ts'
import { ApiError, STATUS_BY_CODE } from '../errors/api-error.ts'
import { describe } from '../errors/describe.ts'
import { uriEncode } from '../keys/encodings.ts'
import { type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import type { Settings } from '../settings/settings.ts'
import { headObject } from '../storage/object.ts'
import { beginFill, dropCopy, findCopy, serveAndKeep, type Wanted } from './edge-cache.ts'
import { loadConfig } from './settings/load.ts'

/** How long a purge of Workers Caching may take. */
const PURGE_MILLISECONDS = 10_000

/** The header that repeats `Range`, which Workers Caching takes away before it asks. */
const WANTED_RANGE = 'X-Wanted-Range'

/** The header that holds an error as JSON, percent-encoded: the answer to a HEAD has no body. */
export const FAILURE = 'X-Failure'

/**
 * A request to `Objects` for an object, or one range of it. It holds nothing of the client's own
 * request: what the edge keeps is the same for everyone.
 */
export async function objectRequest(
  method: 'GET' | 'HEAD',
  bucket: Bucket,
  key: ObjectKey,
  range: string | null,
): Promise<Request> {
  const headers: HeadersInit = range === null ? {} : { Range: range, [WANTED_RANGE]: range }
  // Workers Caching keys by the query too: a copy lives for one `edgeTtl`.
  const url = `${await copyUrl(bucket, key)}?edgeTtl=${bucket.edgeTtlSeconds}`
  return new Request(url, { method, headers })
}

/** Name of an object's copy. */
const copyUrl = async (bucket: Bucket, key: ObjectKey): Promise<string> =>
  `https://objects.invalid/${await copiesOf(bucket)}/${uriEncode(key)}`

/**
 * The `Objects` entrypoint of this Worker, through the edge cache that stands in front of it. Bodies
 * come as they are stored, encoded or not.
 */
export const askObjects = (request: Request): Promise<Response> =>
  exports.Objects.fetch(request, { encodeResponseBody: 'manual' })

/**
 * Drops the edge copy of an object. Throws `purge_failed`; the copy then lives for the bucket's
 * `edgeTtl` at most.
 */
export async function purgeCopy({ alias }: Bucket, key: ObjectKey): Promise<void> {
  const cause = await exports.Objects.purge(alias, key).catch(describe)
  if (cause !== null)
    throw new ApiError('purge_failed', 'The edge copy could not be dropped; try again.', { cause })
}

/**
 * The objects behind the links, without any check of who asks: the routes check a link before they
 * call this. In production Workers Caching stands in front and runs this on a miss alone
 * (wrangler.toml); where it is absent, under `wrangler dev` and in tests, the Cache API takes its
 * place.
 */
export class Objects extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    const range = request.headers.get(WANTED_RANGE)
    const method = request.method === 'HEAD' ? 'HEAD' : 'GET'
    try {
      const { bucket, key, url } = await this.#locate(new URL(request.url))
      const open = (fillBytes?: number) =>
        openObject(bucket, key, method, range, new Date(), fillBytes)
      if (this.ctx.cache !== undefined) return this.#forCache(await open(), bucket, key)
      const { edgeTtlSeconds: maxAgeSeconds } = bucket
      if (maxAgeSeconds === 0) return relay(await open())[0]
      return await this.#throughCacheApi({ url, range, maxAgeSeconds }, method, open)
    } catch (error) {
      return failure(error)
    }
  }

  /**
   * Drops the edge copies of an object, whatever alias they came by: in every location where Workers
   * Caching runs. Resolves with null, or with why it failed: what an entrypoint throws, the
   * runtime logs as uncaught.
   */
  async purge(alias: string, objectKey: string): Promise<string | null> {
    try {
      await this.#purge(alias, parseObjectKey(objectKey))
      return null
    } catch (error) {
      return describe(error)
    }
  }

  async #purge(alias: string, key: ObjectKey): Promise<void> {
    const config = this.#config()
    const bucket = findBucket(config, alias)
    if (this.ctx.cache !== undefined) return this.#purgeTag(bucket, key)
    const same = config.buckets.filter((other) => homeOf(other) === homeOf(bucket))
    const urls = new Set(await Promise.all(same.map((other) => copyUrl(other, key))))
    await Promise.all([...urls].map(dropCopy))
  }

  async #purgeTag(bucket: Bucket, key: ObjectKey): Promise<void> {
    const tags = [await cacheTag(bucket, key)]
    const purged = await within(
      PURGE_MILLISECONDS,
      Promise.resolve(this.ctx.cache?.purge({ tags })),
    )
    if (purged?.success !== true) throw new Error('The edge cache refused the purge.')
  }

  async #throughCacheApi(
    wanted: Wanted,
    method: 'GET' | 'HEAD',
    open: (fillBytes?: number) => Promise<Response>,
  ): Promise<Response> {
    const bypass = async (fillBytes?: number) =>
      withStatus(relay(await open(fillBytes))[0], 'BYPASS')
    const copy = await findCopy(wanted)
    if (copy === undefined) return bypass(0)
    if (copy !== null) return method === 'HEAD' ? new Response(null, copy) : copy
    if (method === 'HEAD') return bypass()

    const fill = await beginFill(wanted.url)
    const works: Promise<unknown>[] = []
    try {
      const opened = await open()
      if (opened.headers.get('Cache-Control') === 'no-store')
        return withStatus(relay(opened)[0], 'BYPASS')
      const served = await serveAndKeep(wanted, fill, opened, (work) => works.push(work))
      return served === null ? await bypass(0) : withStatus(served, 'MISS')
    } finally {
      this.ctx.waitUntil(Promise.allSettled(works).then(fill.end))
    }
  }

  /** What Workers Caching gets. */
  #forCache(opened: Response, bucket: Bucket, key: ObjectKey): Response {
    const [response, done] = relay(opened)
    const kept = opened.body !== null && opened.headers.get('Cache-Control') !== 'no-store'
    if (kept) this.ctx.waitUntil(done.then(() => this.#dropIfDeleted(bucket, key)))
    return response
  }

  /**
   * Purges a copy whose object was deleted while it was on its way: the purge of that delete may have
   * come before there was anything to drop.
   */
  async #dropIfDeleted(bucket: Bucket, key: ObjectKey): Promise<void> {
    if ((await headObject(bucket, key, new Date())) === null) await this.#purgeTag(bucket, key)
  }

  /**
   * What a request is for, and the name of its copy. Throws `unknown_bucket` where no bucket is
   * configured as the caller's is.
   */
  async #locate({ origin, pathname, searchParams }: URL) {
    const [, copies, key = ''] = pathname.split('/').map(decodeURIComponent)
    const edgeTtl = searchParams.get('edgeTtl')
    for (const bucket of this.#config().buckets)
      if ((await copiesOf(bucket)) === copies && String(bucket.edgeTtlSeconds) === edgeTtl)
        return { bucket, key: parseObjectKey(key), url: origin + pathname }
    throw new ApiError('unknown_bucket', 'No bucket is configured like this.')
  }

  #config(): Settings {
    const loaded = loadConfig(this.env)
    if (!loaded.ok) throw new ApiError('misconfigured', 'The Worker is misconfigured.')
    return loaded.config
  }
}

/**
 * `opened` with a body that ends in an error where the bucket stalls, and a promise that resolves
 * once all of it is through. The client's end ends the request to the bucket.
 */
function relay(opened: Response): [Response, Promise<unknown>] {
  if (opened.body === null) return [opened, Promise.resolve()]
  const { readable, writable } = pipeOf(opened.headers.get('content-length'))
  const done = pump(opened.body, { client: writable }).catch(() => undefined)
  return [new Response(readable, opened), done]
}

/** Says of `response` what Workers Caching would say of its own. */
function withStatus(response: Response, status: 'MISS' | 'BYPASS'): Response {
  const marked = new Response(response.body, response)
  marked.headers.set('CF-Cache-Status', status)
  return marked
}

/**
 * An error as it crosses to the caller, with the reason for the log: never kept, since a cache keeps
 * even a 404 that doesn't forbid it.
 */
function failure(error: unknown): Response {
  if (!(error instanceof ApiError)) throw error
  const { code, message, cause, retryAfterSeconds } = error
  const reason = cause === undefined ? undefined : describe(cause)
  const json = JSON.stringify({ code, message, reason, retryAfterSeconds })
  return new Response(null, {
    status: STATUS_BY_CODE[code],
    headers: { 'Cache-Control': 'no-store', [FAILURE]: encodeURIComponent(json) },
  })
}
