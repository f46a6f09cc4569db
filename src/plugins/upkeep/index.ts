import { newApp } from '../../http/new-app.ts'
import { ON_WORKERS } from '../../http/runtime.ts'
import type { Option, Plugin } from '../../plugin.ts'
import { warnWithout } from '../../state/object.ts'
import { runSchedule } from './driver.ts'
import { keptRoutes } from './kept-routes.ts'
import { NO_OPTIONS, UPKEEP, type UpkeepInput, upkeepRule } from './options.ts'
import { orphanRoutes } from './orphans.ts'
import { upkeepRoutes } from './routes.ts'

export type { UpkeepInput } from './options.ts'

export interface UpkeepOptions<B> {
  /** What upkeep does (docs/import-and-repair.md#repair). Default: it only reports. */
  readonly settings?: Option<UpkeepInput | undefined, B>
}

export interface Upkeep<in B = unknown> extends Plugin<B> {
  readonly name: 'upkeep'
}

/** Compares buckets and index, and repairs the index. */
export const upkeep = <B = unknown>(options: UpkeepOptions<B> = {}): Upkeep<B> => ({
  name: 'upkeep',
  needs: ['files'],
  api: newApp().route('/', upkeepRoutes).route('/', keptRoutes).route('/', orphanRoutes),
  setup(setup) {
    setup.only('upkeep', options, ['settings'])
    const rule = upkeepRule(setup.settings)
    const read = setup.read('upkeep.settings', options.settings, rule, 'UPKEEP')
    const upkeep = UPKEEP.keep(setup, read ?? NO_OPTIONS)
    return {
      scheduled: (_event, instance, context) =>
        runSchedule({ instance, context, upkeep }, () => new Date()),
      // Elsewhere, the index may keep what it needs.
      ...(ON_WORKERS && { warnings: warnWithout('Upkeep', 'upkeep needs Durable Objects') }),
    }
  },
})
