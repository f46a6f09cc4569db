import type { Plugin } from '../../plugin.ts'
import { tokenRoutes } from './routes.ts'

/** `POST /tokens`: short-lived tokens with some of the caller's rights. */
export const tokens = (): Plugin => ({ name: 'tokens', api: tokenRoutes })
