import type { Plugin } from '../../plugin.ts'
import { deliveryRoutes, linkRoutes } from './routes.ts'

/** Links for an `<img>` or an email, and their delivery below `/i`. */
export const links = (): Plugin => ({ name: 'links', open: deliveryRoutes, api: linkRoutes })
