import { createApp, listPlugins } from '../../src/app.ts'
import { apiKeys } from '../../src/plugins/api-keys/index.ts'
import { files } from '../../src/plugins/files/index.ts'
import { jwt } from '../../src/plugins/jwt/index.ts'
import { links } from '../../src/plugins/links/index.ts'
import { multipart } from '../../src/plugins/multipart/index.ts'
import { notifications } from '../../src/plugins/notifications/index.ts'
import { tokens } from '../../src/plugins/tokens/index.ts'
import { uppy } from '../../src/plugins/uppy/index.ts'
import { PLUGINS } from '../../src/worker/plugins.ts'

/** The plugins for presigners whose app doesn't authenticate. */
export const credentials = () => [jwt(), apiKeys()]

/** Every other plugin, in another order than in the Worker, since the order must not matter. */
export const everyPlugin = () => [
  notifications(),
  uppy({ multipart: multipart() }),
  tokens(),
  links(),
  files(),
]

/** The Worker's routes. */
export const app = createApp(listPlugins(PLUGINS))
