import { ON_WORKERS } from '../../http/runtime.ts'
import type { Plugin } from '../../plugin.ts'
import type { Links } from '../links/index.ts'
import { grantPageRoutes } from './page-routes.ts'
import { grantRoutes } from './routes.ts'

export interface GrantsOptions<B> {
  /** The links that grants dispense. */
  readonly links: Links<B>
}

/** Links that count and can be withdrawn: `POST /grants`, and their pages below `/g`. */
export const grants = <B = unknown>(options: GrantsOptions<B>): Plugin<B> => ({
  name: 'grants',
  plugins: [options.links],
  open: grantPageRoutes(options.links.steps),
  api: grantRoutes(options.links.steps),
  setup(setup) {
    setup.only('grants', options, ['links'])
    if (!ON_WORKERS) setup.warn('grants need Durable Objects')
    return {}
  },
})
