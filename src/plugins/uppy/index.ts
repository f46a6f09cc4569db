import type { Plugin } from '../../plugin.ts'
import type { Multipart } from '../multipart/index.ts'
import { uppyRoutes } from './routes.ts'

/** Everything below `/s3`, which Uppy calls. */
export const uppy = ({ multipart }: { readonly multipart: Multipart }): Plugin => ({
  name: 'uppy',
  plugins: [multipart],
  open: uppyRoutes(multipart.steps),
})
