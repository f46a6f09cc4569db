import { WorkerEntrypoint } from 'cloudflare:workers'
import { findBucket } from '../config/find-bucket.ts'
import { type Bucket, type Config, loadConfig } from '../config/load.ts'
import { ApiError, STATUS_BY_CODE } from '../errors/api-error.ts'
import { type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import { uriEncode } from '../keys/uri-encode.ts'
import { announceFill, awaitCopy, dropCopy, matchCopy, serveAndKeep } from './edge-cache.ts'
import { cacheTag, openObject } from './open-object.ts'

/** The header that repeats `Range`, which Workers Caching takes away before it asks. */
const WANTED_RANGE = 'X-Wanted-Range'

/** The header that repeats the code of an error, for the answer to a HEAD. */
export const ERROR_CODE = 'X-Error-Code'

/**
 * A request to `Objects` for an object, or one range of it. It holds nothing of the client's own
 * request: what the edge keeps is the same for everyone.
 */
export function objectRequest(
  method: 'GET' | 'HEAD',
  bucket: Bucket,
  key: ObjectKey,
  range: string | null,
): Request {
  const headers: HeadersInit = range === null ? {} : { Range: range, [WANTED_RANGE]: range }
  return new Request(copyUrl(bucket.alias, key), { method, headers })
}

/** URL of a copy: its path is the key of the edge cache. */
const copyUrl = (bucket: string, key: ObjectKey): string =>
  `https://objects.invalid/${bucket}/${uriEncode(key)}`

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
      const { bucket, key } = this.#locate(new URL(request.url))
      const open = (fillBytes?: number) =>
        openObject(bucket, key, method, range, new Date(), fillBytes)
      if (this.ctx.cache !== undefined) return await open()
      return await this.#throughCacheApi(request, range, open)
    } catch (error) {
      return failure(error)
    }
  }

  /**
   * Drops the edge copy of an object, in every location where Workers Caching runs. Purges are few
   * there, so none is spent on a bucket with `edgeTtl` 0. Throws Error where it failed.
   */
  async purge(alias: string, objectKey: string): Promise<void> {
    const key = parseObjectKey(objectKey)
    if (this.ctx.cache === undefined) return dropCopy(copyUrl(alias, key))
    if (findBucket(this.#config(), alias).edgeTtlSeconds === 0) return
    const { success } = await this.ctx.cache.purge({ tags: [await cacheTag(alias, key)] })
    if (!success) throw new Error('The edge cache refused the purge.')
  }

  async #throughCacheApi(
    { url, method }: Request,
    range: string | null,
    open: (fillBytes?: number) => Promise<Response>,
  ): Promise<Response> {
    const copy = (await matchCopy(url, range)) ?? (await awaitCopy(url, range))
    if (copy !== undefined) return method === 'HEAD' ? new Response(null, copy) : copy
    if (method === 'HEAD') return withStatus(await open(), 'BYPASS')

    const filled = announceFill(url)
    const works: Promise<unknown>[] = []
    try {
      const opened = await open()
      if (opened.headers.get('Cache-Control') === 'no-store') return withStatus(opened, 'BYPASS')
      const served = await serveAndKeep(url, opened, range, (work) => works.push(work))
      return served === undefined ? withStatus(await open(0), 'BYPASS') : withStatus(served, 'MISS')
    } finally {
      this.ctx.waitUntil(Promise.allSettled(works).then(filled))
    }
  }

  #locate({ pathname }: URL): { bucket: Bucket; key: ObjectKey } {
    const [, alias = '', key = ''] = pathname.split('/').map(decodeURIComponent)
    return { bucket: findBucket(this.#config(), alias), key: parseObjectKey(key) }
  }

  #config(): Config {
    const loaded = loadConfig(this.env)
    if (!loaded.ok) throw new ApiError('misconfigured', 'The Worker is misconfigured.')
    return loaded.config
  }
}

/** Says of `response` what Workers Caching would say of its own. */
function withStatus(response: Response, status: 'MISS' | 'BYPASS'): Response {
  const marked = new Response(response.body, response)
  marked.headers.set('CF-Cache-Status', status)
  return marked
}

/**
 * An error as it crosses to the caller: never kept, since a cache keeps even a 404 that doesn't
 * forbid it.
 */
function failure(error: unknown): Response {
  if (!(error instanceof ApiError)) throw error
  const { code, message } = error
  return Response.json(
    { code, message },
    { status: STATUS_BY_CODE[code], headers: { 'Cache-Control': 'no-store', [ERROR_CODE]: code } },
  )
}
