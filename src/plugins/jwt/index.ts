import { bearerIn } from '../../http/identify.ts'
import { fetchIsPublic } from '../../http/runtime.ts'
import type { Plugin } from '../../plugin.ts'
import { verifyJwt } from './jwt.ts'
import { withKeys } from './with-keys.ts'

/** The JWTs of the issuer in the settings, in the header that these name. */
export const jwt = (): Plugin => ({
  name: 'jwt',
  setup({ settings, warn }) {
    if (settings?.jwt?.jwksUrl && !fetchIsPublic()) warn('fetch is not strictly public')
    return {
      ready: withKeys,
      identify: {
        find({ c, settings: { jwt }, now, beforeFetch }) {
          if (jwt === null) return undefined
          const inAuthorization = jwt.header.toLowerCase() === 'authorization'
          const token = inAuthorization ? bearerIn(c) : c.req.header(jwt.header)
          if (token === undefined) return undefined
          const waitUntil = (work: Promise<unknown>) => c.executionCtx.waitUntil(work)
          return verifyJwt(token, jwt, now, { beforeFetch, waitUntil })
        },
      },
    }
  },
})
