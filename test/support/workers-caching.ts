/** What the cache keeps of one response. */
interface Entry {
  readonly status: number
  readonly headers: Headers
  readonly body: ArrayBuffer
  readonly until: number
  readonly tags: readonly string[]
}

/** https://developers.cloudflare.com/workers/cache/configuration/#cache-control-semantics */
const HEURISTIC: Readonly<Partial<Record<number, number>>> = {
  ...{ 200: 7200, 203: 7200, 204: 7200, 300: 1200, 301: 1200 },
  ...{ 404: 180, 405: 60, 410: 180, 414: 60, 501: 60 },
}

/** Returns for how many seconds the cache keeps a response, 0 for not at all. */
function secondsOf({ status, headers }: Response): number {
  const control = headers.get('cache-control')
  // https://developers.cloudflare.com/workers/cache/limitations/#status-codes-that-are-never-cached
  if (status === 206 || (status >= 520 && status <= 526)) return 0
  // https://developers.cloudflare.com/workers/cache/configuration/#automatic-bypass-conditions
  if (headers.has('set-cookie') || /private|no-store/.test(control ?? '')) return 0
  if (headers.get('vary')?.includes('*')) return 0
  // https://developers.cloudflare.com/workers/cache/limitations/#response-size
  if (Number(headers.get('content-length')) > 512 * 1024 ** 2) return 0
  if (control === null) return HEURISTIC[status] ?? 0
  // .../configuration/#serve-stale-on-error-with-stale-if-error: else, it is also served later
  if (!/must-revalidate|s-maxage/.test(control)) return Infinity
  return Number(/max-age=(\d+)/.exec(control)?.[1] ?? 0)
}

/** https://developers.cloudflare.com/workers/cache/configuration/#cache-tag: others are dropped. */
const tagsIn = (headers: Headers): string[] =>
  (headers.get('cache-tag') ?? '')
    .split(',')
    .filter((tag) => /^[!-~]{1,1024}$/.test(tag))
    .map((tag) => tag.toLowerCase())

/** https://developers.cloudflare.com/workers/cache/configuration/#range-requests: it cuts the part. */
function served(entry: Entry, request: Request, cacheStatus: string): Response {
  const { status, body } = entry
  const headers = new Headers(entry.headers)
  headers.set('CF-Cache-Status', cacheStatus)
  const [, first = '', last = ''] =
    /^bytes=(\d*)-(\d*)$/.exec(request.headers.get('range') ?? '') ?? []
  const size = body.byteLength
  const from = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const to = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (request.method === 'HEAD') return new Response(null, { status, headers })
  if (first + last === '' || status !== 200) return new Response(body, { status, headers })
  headers.set('Content-Range', from > to ? `bytes */${size}` : `bytes ${from}-${to}/${size}`)
  if (from > to) return new Response(null, { status: 416, headers })
  headers.set('Content-Length', String(to - from + 1))
  return new Response(body.slice(from, to + 1), { status: 206, headers })
}

/**
 * Workers Caching in front of `run`, which is an entrypoint's `fetch`, as Cloudflare documents it. With
 * `cutsMisses`, it also cuts a part from a response that it has just stored, which the pages leave open.
 */
export function workersCaching(run: (request: Request) => Promise<Response>, cutsMisses = false) {
  const entries = new Map<string, Entry>()
  const filling = new Map<string, Promise<Entry | null>>()

  /** Returns the response for the client, and what is kept of it once all of it came. */
  function fill(key: string, answer: Response): [Response, Promise<Entry | null>] {
    const seconds = secondsOf(answer)
    const { status } = answer
    const headers = new Headers(answer.headers)
    // https://developers.cloudflare.com/workers/cache/configuration/#cache-tag: clients don't see it.
    headers.delete('cache-tag')
    headers.set('CF-Cache-Status', seconds > 0 ? 'MISS' : 'BYPASS')
    const [shown, kept] = (seconds > 0 && answer.body?.tee()) || [answer.body, null]
    const until = Date.now() + seconds * 1000
    const keep = async () => {
      const body = await new Response(kept).arrayBuffer()
      const entry = { status, headers, body, until, tags: tagsIn(answer.headers) }
      entries.set(key, entry)
      return entry
    }
    const stored = seconds > 0 ? keep().catch(() => null) : Promise.resolve(null)
    return [new Response(shown, { status, headers }), stored]
  }

  return {
    /** Returns the keys of what is kept, once nothing is on its way. */
    async keys(): Promise<string[]> {
      await Promise.all(filling.values())
      return [...entries.keys()]
    },
    async fetch(request: Request): Promise<Response> {
      // https://developers.cloudflare.com/workers/cache/cache-keys/#what-goes-into-the-cache-key: neither
      // the method nor the host nor a header.
      const { pathname, search } = new URL(request.url)
      const key = pathname + search
      const kept = entries.get(key)
      if (kept !== undefined && Date.now() < kept.until) return served(kept, request, 'HIT')
      // https://developers.cloudflare.com/workers/cache/#request-collapsing
      const other = filling.get(key)
      const joined = other && (await other)
      if (joined) return served(joined, request, 'HIT')
      const { promise, resolve } = Promise.withResolvers<Entry | null>()
      filling.set(key, promise)
      void promise.then(() => filling.delete(key))
      // https://developers.cloudflare.com/workers/cache/limitations/#http-methods: a HEAD becomes a GET.
      const sent = new Request(request.url, { headers: request.headers })
      sent.headers.delete('range')
      const [response, stored] = await run(sent).then(
        (answer) => fill(key, answer),
        (error: unknown) => {
          resolve(null)
          throw error
        },
      )
      void stored.then(resolve)
      if (request.method === 'HEAD') return new Response(null, response)
      const entry = cutsMisses ? await stored : null
      return entry === null ? response : served(entry, request, 'MISS')
    },
    /** https://developers.cloudflare.com/workers/cache/purge/#purge-by-tag: whatever their case. */
    async purge({ tags }: { readonly tags: readonly string[] }) {
      const lower = tags.map((tag) => tag.toLowerCase())
      for (const [key, entry] of entries)
        if (entry.tags.some((tag) => lower.includes(tag))) entries.delete(key)
      return { success: true, errors: [] }
    },
  }
}
