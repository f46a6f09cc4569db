import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import type { ObjectsEntrypoint } from '../../src/plugins/links/cloudflare.ts'
import { Objects } from '../../src/worker.ts'
import { workersCaching } from './workers-caching.ts'

type Entrypoint<E> = new (context: ExecutionContext, env: E) => ObjectsEntrypoint<E>

/** What a test changes about an entrypoint behind Workers Caching. */
export interface BehindCaching<E> {
  readonly variables?: E
  /** Whether the cache refuses to purge. */
  readonly refusesPurges?: boolean
  readonly cutsMisses?: boolean
}

/** The entrypoint `Objects` behind a model of Workers Caching, as the routes call it. */
export function behindCaching<E extends object = Env>(
  entrypoint: Entrypoint<E> = Objects as unknown as Entrypoint<E>,
  { variables = env as unknown as E, refusesPurges = false, cutsMisses }: BehindCaching<E> = {},
) {
  const purged: (readonly string[])[] = []
  const works: Promise<unknown>[] = []
  const cached = workersCaching((request) => create().fetch(request), cutsMisses)
  const cache = {
    async purge(options: { readonly tags: readonly string[] }) {
      purged.push(options.tags)
      return refusesPurges ? { success: false, errors: [] } : cached.purge(options)
    },
  }
  const waitUntil = (work: Promise<unknown>) => void works.push(work)
  const stub = {
    fetch: cached.fetch,
    purge: (alias: string, keys: readonly string[]) => create().purge(alias, keys),
  }
  function create() {
    const context = Object.create(createExecutionContext())
    return new entrypoint(
      Object.assign(context, { cache, waitUntil, exports: { Objects: stub } }),
      variables,
    )
  }
  return {
    ...stub,
    /** Asks the entrypoint itself, as the cache does. */
    run: (request: Request) => create().fetch(request),
    /** The tags of each purge. */
    purged,
    /** The names of what the cache keeps. */
    kept: cached.keys,
    /** Resolves when everything that goes on after a response has ended. */
    async done() {
      for (let ended = 0; ended < works.length; ended = works.length)
        await Promise.allSettled(works)
    },
  }
}
