import type { Plugin } from '../../plugin.ts'
import { eraser } from '../../state/item-routes.ts'
import { warnWithout } from '../../state/object.ts'
import { DROP_BOXES } from './box.ts'
import { dropBoxPageRoutes, dropBoxRoutes } from './routes.ts'
import { boxTokens, noSender } from './sender.ts'

/** Pages on which anybody can drop files: `POST /drop-boxes`, and the pages below `/d`. */
export const dropBoxes = (): Plugin => ({
  name: 'dropBoxes',
  needs: ['files', 'multipart'],
  open: dropBoxPageRoutes,
  api: dropBoxRoutes,
  setup: () => ({
    identify: boxTokens,
    minter: noSender,
    erase: eraser(DROP_BOXES),
    warnings: warnWithout('DropBoxes', 'drop boxes need Durable Objects'),
  }),
})
