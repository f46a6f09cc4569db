import { MAX_UPLOAD_AGE_SECONDS } from '../../bucket/limits.ts'
import type { Plugin } from '../../plugin.ts'
import { tokenRoutes } from './routes.ts'
import { TOKEN_PREFIX, verifyToken } from './token.ts'

/** `POST /tokens`, and the short-lived tokens that it makes, with some of the caller's rights. */
export const tokens = (): Plugin => ({
  name: 'tokens',
  api: tokenRoutes,
  setup: () => ({
    identify: {
      prefix: TOKEN_PREFIX,
      isOwn: true,
      verify(token, { c, settings, now }) {
        // The upload id identifies the owner, so to abort an upload in parts, an expired token is
        // enough. Otherwise, the parts would stay in the bucket.
        const aborts = c.req.method === 'DELETE' && c.req.param('uploadId') !== undefined
        const given = { ...settings, minters: c.env.instance.seams.minter }
        return verifyToken(token, given, now, aborts ? MAX_UPLOAD_AGE_SECONDS : 0)
      },
    },
  }),
})
