import type { Plugin } from '../../plugin.ts'
import { eraser } from '../../state/item-routes.ts'
import { warnWithout } from '../../state/object.ts'
import type { Links } from '../links/index.ts'
import { GRANTS } from './kind.ts'
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
    return {
      erase: eraser(GRANTS),
      warnings: warnWithout('Grants', 'grants need Durable Objects'),
    }
  },
})
