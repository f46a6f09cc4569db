// biome-ignore-start assist/source/organizeImports: in this order, the bundle compresses best
import { createPresigner, type Presigner } from '../index.ts'
import { listPlugins } from '../join-plugins.ts'
import type { PresignerOptions } from '../instance.ts'
import { type DefinedSettings, keepFor } from '../settings/define.ts'
import type { WorkerEnv } from './plugins.ts'
import { pageFile } from './page.ts'
import { loadVariables, withVariables, type WorkerSettings } from './variables.ts'
// biome-ignore-end assist/source/organizeImports: in this order, the bundle compresses best

/** The options of a presigner. Default of `rateLimiter`: the binding RATE_LIMITER. */
export type WorkerOptions<B extends WorkerEnv = WorkerEnv> = PresignerOptions<{
  Bindings: B
  Variables: object
}>

type WorkerPresigner<B extends WorkerEnv> = Presigner<{ Bindings: B; Variables: object }>

/** The default export of a Worker. */
export interface WorkerHandler<B extends WorkerEnv> {
  /** Serves the page at `/`, if ASSETS is bound, and the API. */
  fetch(...given: Parameters<WorkerPresigner<B>['fetch']>): Promise<Response>
  /** Runs the jobs of plugins. Throws for a queue that none handles: otherwise, its messages would be lost. */
  queue(...given: Parameters<WorkerPresigner<B>['queue']>): Promise<void>
  /** Runs what plugins do at the times of Cron Triggers. */
  scheduled(...given: Parameters<WorkerPresigner<B>['scheduled']>): Promise<void>
}

export interface EntryWorker<B extends WorkerEnv> {
  readonly presigner: WorkerPresigner<B>
  readonly handler: WorkerHandler<B>
  /** Returns the settings of an environment, such as for `createSigner`. */
  readonly settings: DefinedSettings<B, WorkerSettings>
}

/**
 * Creates a Worker that reads its settings from variables, secrets and bindings
 * (docs/configuration.md). Its plugins read theirs too.
 */
export function createWorker<B extends WorkerEnv = WorkerEnv>(
  options: WorkerOptions<B> = {},
): EntryWorker<B> {
  const settings = keepFor((env: B) => loadVariables(env))
  const presigner = createPresigner(settings, {
    rateLimiter: (env) => env.RATE_LIMITER,
    ...options,
    plugins: listPlugins(options.plugins ?? []).map(withVariables),
  })
  // Workers ignores what it resolves with, and its types allow no value.
  const { scheduled } = presigner as unknown as WorkerHandler<B>
  return {
    presigner,
    settings,
    handler: {
      // Most requests ask for no file of the page. They need no extra promise.
      fetch(request, env, context) {
        const file = pageFile(request, env, settings)
        return file === undefined
          ? presigner.fetch(request, env, context)
          : file.then((found) => found ?? presigner.fetch(request, env, context))
      },
      async queue(batch, env, context) {
        if (await presigner.queue(batch, env, context)) return
        throw new Error(`No plugin handles the queue ${batch.queue}.`)
      },
      scheduled,
    },
  }
}
