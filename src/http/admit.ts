import type { MiddlewareHandler } from 'hono'
import { looksLikeApiKey, verifyApiKey } from '../access/api-key.ts'
import { verifyJwt } from '../access/jwt.ts'
import type { Principal } from '../access/principal.ts'
import { SCOPES } from '../access/scopes.ts'
import { looksLikeToken, verifyToken } from '../access/token.ts'
import type { Verdict } from '../access/verdict.ts'
import { ApiError } from '../errors/api-error.ts'
import { describe } from '../errors/describe.ts'
import type { LoadedSettings } from '../settings/define.ts'
import type { Settings } from '../settings/settings.ts'
import { withKeys } from '../settings/with-keys.ts'
import type { AppContext, AppEnv } from './app-env.ts'
import { countRequest, networkOf } from './rate-limit.ts'
import { checkUrl } from './validate.ts'

const LOCAL_HOSTS = ['localhost', '127.0.0.1', '[::1]']

const LOCAL_PRINCIPAL: Principal = {
  id: 'localhost',
  scopes: SCOPES,
  prefix: '',
  expiresAt: Infinity,
}

/**
 * Before everything that needs credentials: a URL that means one thing, valid settings, and who
 * asks: by the token in the path, the Authorization header, or the header that the JWT settings name;
 * where the presigner is mounted in an app, by a token or that app. The request counts against that
 * principal, or against the client's network if it has none; one that makes the Worker fetch a
 * key set counts against its network first. Throws `unauthenticated` (the exact reason in its cause),
 * `forbidden` for a request that another origin's page made with the app's cookies,
 * `auth_unavailable` and `rate_limited`.
 */
export const admit: MiddlewareHandler<AppEnv> = async function admit(c) {
  checkUrl(c.req.url)
  const settings = await configure(c)
  let counted: Promise<void> | undefined
  /** Counts this request against its network, once however often it is called. */
  const countNetwork = async (): Promise<void> => {
    const network = networkOf(c.req.header('CF-Connecting-IP'))
    counted ??= countRequest(c, `network ${network}`)
    await counted
  }
  const verdict = await judge(c, settings, countNetwork)
  if (!verdict.ok) {
    await countNetwork()
    throw new ApiError('unauthenticated', 'Valid credentials are required.', {
      cause: verdict.reason,
    })
  }
  await countRequest(c, `principal ${verdict.principal.id}`)
  c.set('principal', verdict.principal)
}

/** The settings, also for `c.get('settings')`. Throws `misconfigured`, which `/healthz` explains. */
export function configure(c: AppContext): Settings | Promise<Settings> {
  const checked = withKeys(c.env.instance.settings)
  return checked instanceof Promise
    ? checked.then((loaded) => keepSettings(c, loaded))
    : keepSettings(c, checked)
}

function keepSettings(c: AppContext, loaded: LoadedSettings): Settings {
  if (!loaded.ok)
    throw new ApiError('misconfigured', 'The Worker is misconfigured: /healthz names the settings.')
  c.set('settings', loaded.settings)
  return loaded.settings
}

/** Without a promise of its own: most credentials need one, and each costs every request. */
function judge(
  c: AppContext,
  settings: Settings,
  beforeFetch: () => Promise<void>,
): Verdict | Promise<Verdict> {
  const now = new Date()
  const token = tokenOf(c)
  if (token !== undefined) return verifyToken(token, settings, now)
  const { authenticate } = c.env.host
  if (authenticate !== null) return judgeByApp(c, settings, authenticate, now)

  const authorization = c.req.header('Authorization')
  const bearer = bearerOf(authorization)
  if (bearer !== undefined && looksLikeApiKey(bearer)) return verifyApiKey(bearer, settings.apiKeys)
  if (settings.jwt !== null) {
    const inAuthorization = settings.jwt.header.toLowerCase() === 'authorization'
    const jwt = inAuthorization ? bearer : c.req.header(settings.jwt.header)
    if (jwt !== undefined)
      return verifyJwt(jwt, settings.jwt, now, {
        beforeFetch,
        waitUntil: (work) => c.executionCtx.waitUntil(work),
      })
  }
  if (authorization !== undefined) return { ok: false, reason: 'authorization not understood' }

  if (settings.openOnLocalhost && LOCAL_HOSTS.includes(new URL(c.req.url).hostname))
    return { ok: true, principal: LOCAL_PRINCIPAL }
  return { ok: false, reason: 'no credentials' }
}

const bearerOf = (authorization: string | undefined): string | undefined =>
  /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]

/** What is in the place of a token: in the path, which takes precedence, or in the header. */
function tokenOf(c: AppContext): string | undefined {
  const inPath = c.req.param('token')
  if (inPath !== undefined) return inPath
  const bearer = bearerOf(c.req.header('Authorization'))
  return bearer !== undefined && looksLikeToken(bearer) ? bearer : undefined
}

/** The principal that the app names, if a page may ask in its name. */
async function judgeByApp(
  c: AppContext,
  settings: Settings,
  authenticate: () => Promise<Principal | null>,
  now: Date,
): Promise<Verdict> {
  if (c.req.method !== 'GET' && c.req.method !== 'HEAD') refuseForeignPage(c, settings)
  try {
    const principal = await authenticate()
    if (principal === null) return { ok: false, reason: 'unknown to the app' }
    if (principal.expiresAt <= now.getTime()) return { ok: false, reason: 'session expired' }
    return { ok: true, principal }
  } catch (error) {
    if (!(error instanceof ApiError && error.code === 'unauthenticated')) throw error
    return { ok: false, reason: describe(error.cause ?? error) }
  }
}

/**
 * Throws `forbidden` for a request from a page of another origin, unless `corsOrigins` has it, where
 * the app says who asks: its credential may be a cookie, which a browser adds to whatever another
 * site's page sends. A token is no such credential. Clients that are no browsers say no origin.
 */
export function refuseForeignPage(c: AppContext, { corsOrigins }: Settings): void {
  if (c.env.host.authenticate === null || tokenOf(c) !== undefined) return
  const origin = c.req.header('Origin')
  const site = c.req.header('Sec-Fetch-Site')
  if (origin === undefined && site === undefined) return
  if (site === 'same-origin' || origin === new URL(c.req.url).origin) return
  if (origin === undefined || !corsOrigins.includes(origin))
    throw new ApiError('forbidden', 'A page of another origin may not do this.')
}
