import type { Plugin } from '../../plugin.ts'
import { eraser } from '../../state/item-routes.ts'
import { warnWithout } from '../../state/object.ts'
import type { Links } from '../links/index.ts'
import { GRANTS } from './grant.ts'
import { grantPageRoutes } from './page-routes.ts'
import { grantRoutes } from './routes.ts'

/** Links that count and can be revoked: `POST /grants`, and their pages below `/g`. */
export const grants = (): Plugin<unknown, { readonly links: Links }> => ({
  name: 'grants',
  needs: ['links'],
  open: ({ links }) => grantPageRoutes(links.steps),
  api: ({ links }) => grantRoutes(links.steps),
  setup: () => ({
    erase: eraser(GRANTS),
    warnings: warnWithout('Grants', 'grants need Durable Objects'),
  }),
})
