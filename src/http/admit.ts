import type { MiddlewareHandler } from 'hono'
import { NO_LIMITS } from '../access/limits.ts'
import type { Principal } from '../access/principal.ts'
import { SCOPES } from '../access/scopes.ts'
import { type Refusal, reasonFor, refuse, type Verdict } from '../access/verdict.ts'
import { ApiError, asApiError, type Reason } from '../errors/api-error.ts'
import { describe } from '../errors/describe.ts'
import { type LoadedSettings, requireSettings } from '../settings/define.ts'
import { deepFreeze, LOCAL_HOSTS } from '../settings/rules.ts'
import { type Settings, takesOrigin } from '../settings/settings.ts'
import type { AppContext, AppEnv } from './app-env.ts'
import { askInTime, byDeadline } from './deadline.ts'
import { bearerIn } from './identify.ts'
import { ownBase } from './link-host.ts'
import { countNetwork, countPrincipal } from './rate-limit.ts'
import { requireSameUser } from './same-user.ts'
import { checkUrl } from './validate.ts'

const MESSAGES: Readonly<Record<Reason<'unauthenticated'>, string>> = {
  missing: 'Valid credentials are required.',
  malformed: 'This is not a token or an API key.',
  expired: 'These credentials have expired.',
  not_accepted: 'Valid credentials are required.',
}

const LOCAL_PRINCIPAL: Principal = {
  kind: 'localhost',
  id: 'localhost',
  scopes: SCOPES,
  prefix: '',
  expiresAt: Infinity,
  limits: NO_LIMITS,
  context: null,
}

/**
 * Runs before everything that needs credentials. Checks the URL's encoding and the settings, and
 * finds the principal: from a token of the presigner, the app itself, or a plugin's kind of
 * credential. A refused credential is never tried as another kind. Counts the request against the
 * principal, or its network without one. A request that makes the Worker fetch a key set first
 * counts against its network. The cause of `unauthenticated` is the exact reason, for the log.
 */
export const admit: MiddlewareHandler<AppEnv> = async function admit(c) {
  checkUrl(c.req.url)
  const configured = configure(c)
  // Here and below, awaits only a promise, since each `await` takes time.
  const settings = configured instanceof Promise ? await configured : configured
  let counted: Promise<void> | undefined
  const countOnce = async (): Promise<void> => {
    counted ??= countNetwork(c)
    await counted
  }
  const verdict = await judge(c, settings, countOnce)
  if (!verdict.ok) {
    await countOnce()
    throw unauthenticated(verdict)
  }
  const { principal } = verdict
  await countPrincipal(c, principal)
  const compared = requireSameUser(c, settings, principal)
  if (compared) await compared
  c.set('principal', verdict.isFrozen ? principal : deepFreeze(principal))
}

/** Returns the error for refused credentials. Only its cause, for the log, is exact. */
export function unauthenticated({ refusal, detail }: Verdict & { ok: false }): ApiError {
  const reason = reasonFor(refusal)
  const cause = detail === undefined ? refusal : `${refusal}: ${detail}`
  return new ApiError('unauthenticated', MESSAGES[reason], { reason, cause })
}

/** Returns the settings, and stores them in `c`. Throws `misconfigured`: see `/healthz`. */
export function configure(c: AppContext): Settings | Promise<Settings> {
  const { settings, ready } = c.env.instance
  const checked = untilDeadline(c, ready(settings))
  return checked instanceof Promise
    ? checked.then((loaded) => keepSettings(c, loaded))
    : keepSettings(c, checked)
}

/** Returns what a plugin answers. Waits for a promise until the deadline of the request. */
const untilDeadline = <T>(c: AppContext, given: T | Promise<T>): T | Promise<T> =>
  given instanceof Promise ? byDeadline(c, () => given) : given

function keepSettings(c: AppContext, loaded: LoadedSettings): Settings {
  const settings = requireSettings(loaded)
  c.set('settings', settings)
  return settings
}

/** Returns the verdict on the credentials. Not async, since each promise costs time. */
function judge(
  c: AppContext,
  settings: Settings,
  beforeFetch: () => Promise<void>,
): Verdict | Promise<Verdict> {
  const call = { c, settings, now: new Date(), beforeFetch }
  const { seams, own } = c.env.instance
  const bearer = bearerIn(c)
  const token = tokenIn(c, bearer)
  if (token !== undefined) {
    const kind = own.find(({ prefix }) => token.startsWith(prefix)) ?? own[0]
    return kind?.verify(token, call) ?? refuse('bearer credential of unknown kind')
  }
  const { authenticate } = c.env.host
  if (authenticate !== null) return judgeByApp(c, settings, authenticate, call.now)

  for (const one of seams.identify)
    if (bearer !== undefined && 'prefix' in one && bearer.startsWith(one.prefix)) {
      const verdict = one.verify(bearer, call)
      return one.isLocal ? verdict : untilDeadline(c, verdict)
    }
  for (const one of seams.identify) {
    const found = 'find' in one ? one.find(call) : undefined
    if (found === undefined) continue
    const verdict = untilDeadline(c, found)
    return 'ambient' in one ? ofOwnPage(c, settings, verdict) : verdict
  }
  const authorization = c.req.header('Authorization')
  if (authorization !== undefined) return refuse(unknownKind(authorization, bearer))

  if (settings.openOnLocalhost && LOCAL_HOSTS.includes(new URL(c.req.url).hostname))
    return { ok: true, principal: LOCAL_PRINCIPAL }
  return refuse('no credentials')
}

/** Returns what is wrong with an Authorization header that no check accepts. */
function unknownKind(authorization: string, bearer: string | undefined): Refusal {
  if (!/^bearer(?: |$)/i.test(authorization)) return 'authorization scheme not bearer'
  if (bearer === undefined) return 'bearer credential malformed'
  // Three parts, as in a JWT (RFC 7515, section 3.1).
  return /^[\w-]+\.[\w-]+\.[\w-]*$/.test(bearer)
    ? 'jwt not expected'
    : 'bearer credential of unknown kind'
}

/** Returns the presigner's own token in the path, which takes precedence, or in the header. */
function tokenIn(c: AppContext, bearer: string | undefined): string | undefined {
  // Hono takes long to find out that a path has no such parameter.
  const inPath = c.req.path.startsWith('/u/') ? c.req.param('token') : undefined
  // A percent-encoded spelling is no token, so that a filter can compare the path as text.
  if (inPath !== undefined) return `${c.req.path}/`.startsWith(`/u/${inPath}/`) ? inPath : ''
  for (const { prefix } of c.env.instance.own) if (bearer?.startsWith(prefix)) return bearer
  return undefined
}

/** Returns the verdict of the app, unless a foreign page sent the request. */
async function judgeByApp(
  c: AppContext,
  settings: Settings,
  authenticate: () => Promise<Principal | null>,
  now: Date,
): Promise<Verdict> {
  requireOwnPage(c, settings)
  try {
    const principal = await askInTime(c, 'authenticate', authenticate)
    if (principal === null) return refuse('refused by the app')
    const unknown = principal.limits.buckets?.find((alias) =>
      settings.buckets.every((bucket) => bucket.alias !== alias),
    )
    if (unknown !== undefined)
      throw new TypeError(`authenticate returned limits with the unknown bucket "${unknown}".`)
    if (principal.expiresAt <= now.getTime()) return refuse('session expired')
    return { ok: true, principal }
  } catch (error) {
    const known = asApiError(error)
    if (known?.code !== 'unauthenticated') throw error
    return refuse('refused by the app', describe(known.cause ?? known))
  }
}

/** Returns the verdict on an ambient credential. Waits for it first, since it may reject. */
async function ofOwnPage(
  c: AppContext,
  settings: Settings,
  verdict: Verdict | Promise<Verdict>,
): Promise<Verdict> {
  const judged = await verdict
  requireOwnPage(c, settings)
  return judged
}

/**
 * Marks a request whose credential may be a cookie, and refuses a foreign page if it may change
 * something, or opens a WebSocket, to which CORS doesn't apply.
 */
function requireOwnPage(c: AppContext, settings: Settings): void {
  c.set('isAmbient', true)
  const isRead = c.req.method === 'GET' || c.req.method === 'HEAD'
  if (!isRead || c.req.header('Upgrade')) refuseForeignPage(c, settings)
}

/**
 * Throws `forbidden` for a page of another origin that is not in `corsOrigins`, if a browser may
 * have added the credential by itself, such as a cookie. The origin of `linkBase` is the app's own,
 * unless it serves only links. Clients other than browsers send no origin.
 */
export function refuseForeignPage(c: AppContext, settings: Settings): void {
  if (!c.get('isAmbient')) return
  const origin = c.req.header('Origin')
  const site = c.req.header('Sec-Fetch-Site')
  if (origin === undefined && site === undefined) return
  if (site === 'same-origin' || origin === new URL(c.req.url).origin) return
  const base = ownBase(c, settings)
  if (base !== null && origin === new URL(base).origin) return
  // An origin with a star may not send cookies.
  const takes =
    c.req.header('Cookie') === undefined
      ? (from: string) => takesOrigin(settings, from)
      : (from: string) => settings.corsOrigins.includes(from)
  if (origin === undefined || !takes(origin))
    throw new ApiError('forbidden', "Pages of other origins can't do this.")
}
