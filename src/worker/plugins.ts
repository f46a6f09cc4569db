import { apiKeys } from '../plugins/api-keys/index.ts'
import { files } from '../plugins/files/index.ts'
import { jwt } from '../plugins/jwt/index.ts'
import { links } from '../plugins/links/index.ts'
import { multipart } from '../plugins/multipart/index.ts'
import { notifications } from '../plugins/notifications/index.ts'
import { tokens } from '../plugins/tokens/index.ts'
import { uppy } from '../plugins/uppy/index.ts'

/** The plugins of the Worker: all of them. */
export const PLUGINS = [
  files(),
  links(),
  uppy({ multipart: multipart() }),
  tokens(),
  apiKeys(),
  jwt(),
  notifications(),
]
