import { convertV4MiniflareOptions, Miniflare, type V4WorkerOptions } from 'miniflare'
import { compatibilityDate } from './build.ts'
import { childrenNamed } from './process.ts'
import type { RunningServer } from './workerd.ts'

export interface MiniflareWorker {
  readonly name: string
  readonly script: string
  readonly bindings?: Readonly<Record<string, unknown>>
  /** Id of the KV namespace by the name of its binding. */
  readonly kvNamespaces?: Readonly<Record<string, string>>
  /** Name of the binding of Cloudflare Images, in its local version. */
  readonly images?: string
  /** Classes of Durable Objects that it exports. */
  readonly classes?: readonly string[]
}

export interface RunningMiniflare {
  /** The server of each Worker. One process runs all of them. */
  readonly servers: Readonly<Record<string, RunningServer>>
  close(): Promise<void>
}

/**
 * Runs Workers under Miniflare, with its local KV, cache and rate limit. Each listens on its own
 * socket, without Miniflare's proxy.
 */
export async function startMiniflare(
  workers: readonly MiniflareWorker[],
): Promise<RunningMiniflare> {
  const date = await compatibilityDate()
  const before = new Set(childrenNamed('workerd'))
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      telemetry: { enabled: false },
      handleStructuredLogs: () => undefined,
      workers: workers.map((worker) => options(worker, date)),
    }),
  )
  await miniflare.ready
  const pid = childrenNamed('workerd').find((one) => !before.has(one))
  if (pid === undefined) throw new Error('Miniflare started no workerd.')
  const servers = await Promise.all(
    workers.map(async ({ name }) => {
      const { port } = await miniflare.unsafeGetDirectURL(name)
      return [name, { port: Number(port), pid, close: async () => undefined }] as const
    }),
  )
  return { servers: Object.fromEntries(servers), close: () => miniflare.dispose() }
}

const options = (
  { name, script, bindings, kvNamespaces, images, classes = [] }: MiniflareWorker,
  date: string,
): V4WorkerOptions =>
  ({
    name,
    script,
    modules: true,
    compatibilityDate: date,
    bindings: { ...bindings },
    kvNamespaces: { ...kvNamespaces },
    ...(images && { images: { binding: images } }),
    // Miniflare has no form without a binding. The Worker finds them in `ctx.exports`.
    durableObjects: Object.fromEntries(
      classes.map((className) => [className, { className, useSQLite: true }]),
    ),
    ratelimits: { RATE_LIMITER: { namespace_id: '8787', simple: { limit: 1e9, period: 60 } } },
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
  }) as V4WorkerOptions
