import type { Plugin } from '../../plugin.ts'
import { eraser } from '../../state/item-routes.ts'
import { warnWithout } from '../../state/object.ts'
import type { Files } from '../files/index.ts'
import type { Multipart } from '../multipart/index.ts'
import { DROP_BOXES } from './kind.ts'
import { dropBoxPageRoutes, dropBoxRoutes } from './routes.ts'
import { boxTokens, noSender } from './sender.ts'

export interface DropBoxesOptions<B> {
  /** Records what senders upload. */
  readonly files: Files<B>
  /** Uploads of senders in parts. */
  readonly multipart: Multipart
}

/** Pages on which anybody can drop files: `POST /drop-boxes`, and the pages below `/d`. */
export const dropBoxes = <B = unknown>(options: DropBoxesOptions<B>): Plugin<B> => ({
  name: 'dropBoxes',
  plugins: [options.files, options.multipart],
  open: dropBoxPageRoutes,
  api: dropBoxRoutes,
  setup(setup) {
    setup.only('dropBoxes', options, ['files', 'multipart'])
    return {
      identify: boxTokens,
      minter: noSender,
      erase: eraser(DROP_BOXES),
      warnings: warnWithout('DropBoxes', 'drop boxes need Durable Objects'),
    }
  },
})
