import { bearerIn } from '../../http/identify.ts'
import { fetchIsPublic } from '../../http/runtime.ts'
import type { Option, Plugin } from '../../plugin.ts'
import { verifyJwt } from './jwt.ts'
import { type JwtInput, type JwtSettings, jwtRule } from './options.ts'
import { withKey } from './public-key.ts'

export interface JwtOptions<B> {
  /** The issuer, and what its JWTs may do (docs/configuration.md). With undefined, none is accepted. */
  readonly accept: Option<JwtInput | undefined, B>
}

/** JWTs of one issuer. */
export function jwt<B = unknown>(options: JwtOptions<B>): Plugin<B> {
  /** On Node, each request has its own environment. They share the issuer's keys, of up to 1000. */
  const known = new Map<string, JwtSettings>()
  return {
    name: 'jwt',
    setup(setup) {
      setup.only('jwt', options, ['accept'])
      const rule = jwtRule(setup.settings)
      const read = setup.read('jwt.accept', options.accept, rule, 'JWT')
      const text = JSON.stringify(read)
      const jwt = known.get(text) ?? read
      if (known.size === 1000) known.clear()
      if (jwt !== null) known.set(text, jwt)
      if (jwt?.jwksUrl && !fetchIsPublic()) setup.warn('fetch is not strictly public')
      // The claims in the template are unknown, but they leave its start as it is.
      const granted = jwt && { ...jwt, prefix: jwt.prefix.split('{', 1)[0] ?? '' }
      return {
        ...(jwt?.publicJwk && {
          ready: (loaded) => withKey(loaded, jwt, options.accept ? 'jwt.accept' : 'JWT'),
        }),
        identify: {
          header: jwt?.header,
          find({ c, now, beforeFetch }) {
            if (jwt === null) return undefined
            const inAuthorization = jwt.header.toLowerCase() === 'authorization'
            const token = inAuthorization ? bearerIn(c) : c.req.header(jwt.header)
            if (token === undefined) return undefined
            const waitUntil = (work: Promise<unknown>) => c.executionCtx.waitUntil(work)
            return verifyJwt(token, jwt, now, { beforeFetch, waitUntil })
          },
        },
        minter: (id) => (id.startsWith('jwt:') ? granted : undefined),
      }
    },
  }
}
