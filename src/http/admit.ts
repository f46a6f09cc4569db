import type { Context, MiddlewareHandler } from 'hono'
import { looksLikeApiKey, verifyApiKey } from '../access/api-key.ts'
import { verifyJwt } from '../access/jwt.ts'
import type { Principal } from '../access/principal.ts'
import { SCOPES } from '../access/scopes.ts'
import { looksLikeToken, verifyToken } from '../access/token.ts'
import type { Verdict } from '../access/verdict.ts'
// biome-ignore lint/style/noRestrictedImports: points up until the settings come in with the options
import { checkConfig } from '../cloudflare/settings/load.ts'
import { ApiError } from '../errors/api-error.ts'
import type { Settings } from '../settings/settings.ts'
import type { AppEnv } from './app-env.ts'
import { clientNetwork, countRequest } from './rate-limit.ts'
import { checkUrl } from './validate.ts'

const LOCAL_HOSTS = ['localhost', '127.0.0.1', '[::1]']

const LOCAL_PRINCIPAL: Principal = {
  id: 'localhost',
  scopes: SCOPES,
  prefix: '',
  expiresAt: Infinity,
}

/**
 * Before everything that needs credentials: a URL that means one thing, a sound configuration, and
 * who asks.
 */
export const admit: MiddlewareHandler<AppEnv> = async function admit(c, next) {
  checkUrl(c.req.url)
  c.set('principal', await authenticate(c, await configure(c)))
  await next()
}

/**
 * The configuration, also for `c.var.config`. Throws `misconfigured`, which `/healthz` explains.
 */
export async function configure(c: Context<AppEnv>): Promise<Settings> {
  const loaded = await checkConfig(c.env)
  if (!loaded.ok)
    throw new ApiError('misconfigured', 'The Worker is misconfigured: /healthz names the settings.')
  c.set('config', loaded.config)
  return loaded.config
}

/**
 * Finds out who asks: from the token in the path, the Authorization header, or the header that the
 * JWT settings name. The request counts against that principal, or against the client's network
 * where there is none; one that makes the Worker fetch a key set counts against its network first.
 * Throws `unauthenticated` (the exact reason in its cause), `auth_unavailable`
 * and `rate_limited`.
 */
export async function authenticate(c: Context<AppEnv>, config: Settings): Promise<Principal> {
  let counted: Promise<void> | undefined
  /** Counts this request against its network, once however often it is called. */
  const countNetwork = (): Promise<void> => {
    const network = clientNetwork(c.req.header('CF-Connecting-IP') ?? 'unknown')
    counted ??= countRequest(c, `network ${network}`)
    return counted
  }
  const verdict = await judge(c, config, countNetwork)
  if (!verdict.ok) {
    await countNetwork()
    throw new ApiError('unauthenticated', 'Valid credentials are needed.', {
      cause: verdict.reason,
    })
  }
  await countRequest(c, `principal ${verdict.principal.id}`)
  return verdict.principal
}

async function judge(
  c: Context<AppEnv>,
  config: Settings,
  beforeFetch: () => Promise<void>,
): Promise<Verdict> {
  const now = new Date()
  const pathToken = c.req.param('token')
  if (pathToken !== undefined) return verifyToken(pathToken, config, now)

  const authorization = c.req.header('Authorization')
  const bearer = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  if (bearer !== undefined && looksLikeApiKey(bearer)) return verifyApiKey(bearer, config.apiKeys)
  if (bearer !== undefined && looksLikeToken(bearer)) return verifyToken(bearer, config, now)
  if (config.jwt !== null) {
    const inAuthorization = config.jwt.header.toLowerCase() === 'authorization'
    const jwt = inAuthorization ? bearer : c.req.header(config.jwt.header)
    if (jwt !== undefined)
      return verifyJwt(jwt, config.jwt, now, {
        beforeFetch,
        waitUntil: (work) => c.executionCtx.waitUntil(work),
      })
  }
  if (authorization !== undefined) return { ok: false, reason: 'authorization not understood' }

  if (config.openOnLocalhost && LOCAL_HOSTS.includes(new URL(c.req.url).hostname))
    return { ok: true, principal: LOCAL_PRINCIPAL }
  return { ok: false, reason: 'no credentials' }
}
