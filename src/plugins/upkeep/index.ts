import { DROPPED } from '../../core/dropped.ts'
import { ON_WORKERS } from '../../http/runtime.ts'
import type { Option, Plugin } from '../../plugin.ts'
import { warnWithout } from '../../state/object.ts'
import type { Files } from '../files/index.ts'
import { NO_OPTIONS, type UpkeepInput, upkeepRule } from './options.ts'
import { forgetDropped, UPKEEP, upkeepRoutes } from './routes.ts'
import { runUpkeep } from './run.ts'

export type { UpkeepInput } from './options.ts'

export interface UpkeepOptions<B> {
  /** The plugin that keeps the records. */
  readonly files: Files<B>
  /** What upkeep does (docs/upkeep.md). Default: it only reports. */
  readonly settings?: Option<UpkeepInput | undefined, B>
}

export interface Upkeep<in B = unknown> extends Plugin<B> {
  readonly name: 'upkeep'
}

/**
 * Compares buckets and index, and repairs the index. `path` is that of `settings` in issues: the Worker has
 * its own.
 */
export const upkeep = <B = unknown>(
  options: UpkeepOptions<B>,
  path = 'upkeep.settings',
): Upkeep<B> => ({
  name: 'upkeep',
  plugins: [options.files],
  api: upkeepRoutes,
  setup(setup) {
    setup.only('upkeep', options, ['files', 'settings'])
    const read = setup.read(path, options.settings, upkeepRule(setup.settings))
    const upkeep = UPKEEP.keep(setup, read ?? NO_OPTIONS)
    DROPPED.keep(setup, forgetDropped)
    return {
      scheduled: (_event, instance, context) =>
        runUpkeep({ instance, context, upkeep }, () => new Date()),
      // Elsewhere, the command does it.
      ...(ON_WORKERS && { warnings: warnWithout('Upkeep', 'upkeep needs Durable Objects') }),
    }
  },
})
