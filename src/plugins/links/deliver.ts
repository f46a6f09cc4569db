import type { LinkPolicy } from '../../access/link-signature.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { storedKey } from '../../bucket/key-spelling.ts'
import { downloadSigner } from '../../core/download-url.ts'
import { ApiError } from '../../errors/api-error.ts'
import { describe } from '../../errors/describe.ts'
import { configure } from '../../http/admit.ts'
import type { AppContext } from '../../http/app-env.ts'
import { signedBucket, withCredentials } from '../../http/choose-bucket.ts'
import { timeOf } from '../../http/deadline.ts'
import { askedUrl } from '../../http/link-host.ts'
import { newApp } from '../../http/new-app.ts'
import { addWarning } from '../../http/request-log.ts'
import { isThisComputer } from '../../settings/rules.ts'
import type { Settings } from '../../settings/settings.ts'
import { verifyInFolder } from './folder.ts'
import { LINKS } from './options.ts'
import { refusedLink } from './refusal.ts'
import { requireVisitor } from './restrictions.ts'
import { serveFallback, serveLink } from './serve-link.ts'
import { type LinkTarget, type LinkVerdict, verifyLink } from './verify-link.ts'

/** Serves links, and every file of a folder link. The signature or the token is the credential. */
export const deliveryRoutes = newApp()
  .get('/i/:bucket/:key', (c) =>
    deliver(c, (target, settings, now) => {
      const { bucket, key } = c.req.param()
      return verifyLink(target, bucket, key, settings, now)
    }),
  )
  .get('/f/:token/:key', (c) =>
    deliver(c, ({ path }, settings, now) => {
      const { token, key } = c.req.param()
      // `search` is also empty for a URL that ends with a question mark.
      const spelled = c.req.url.includes('?') ? '' : path
      return verifyInFolder(spelled, token, key, settings, now)
    }),
  )
  .all('/i/*', refuseLink)
  .all('/f/*', refuseLink)

/** Refuses a request that is no link, such as one with another method. */
async function refuseLink(c: AppContext): Promise<never> {
  await configure(c)
  throw new ApiError('link_invalid', 'This link is not valid.', { reason: 'signature' })
}

/** Delivers the object of the link that `verify` accepts. */
async function deliver(
  c: AppContext,
  verify: (target: LinkTarget, settings: Settings, now: Date) => Promise<LinkVerdict>,
): Promise<Response> {
  const settings = await configure(c)
  const now = timeOf(c)
  const { host, pathname, search, searchParams } = new URL(askedUrl(c))
  const path = pathname.slice(c.env.host.mountPath.length)
  const verdict = await verify({ path, search, searchParams }, settings, now)
  if (!verdict.ok) throw refusedLink(verdict.refusal)
  requireVisitor(c, verdict.policy.restrictions, now)
  const bucket = signedBucket(c, verdict.policy.bucket)
  const { linkBase, linkHostOnly } = settings
  const links = linkHostOnly && linkBase !== null ? new URL(linkBase) : null
  // `wrangler dev` says the same host for all requests, so nobody would get there.
  if (links !== null && host !== links.host && !isThisComputer(links.hostname)) {
    c.header('Cross-Origin-Resource-Policy', bucket.crossOriginResourcePolicy)
    return c.redirect(linkBase + path + search, 308)
  }
  const policy = { ...verdict.policy, key: storedKey(bucket, verdict.policy.key) }
  if (policy.delivery === 'redirect') {
    const { url, maxAgeSeconds } = await redirectTarget(
      policy,
      await withCredentials(c, bucket),
      now,
    )
    c.header('Cache-Control', `private, max-age=${maxAgeSeconds}`)
    return c.redirect(url, 302)
  }
  const { images = null, ownsOrigin } = LINKS.of(c.env.instance) ?? {}
  const place = {
    bucket,
    objects: c.env.instance.objects(c.executionCtx),
    images,
    sharesOrigin: !(ownsOrigin || linkHostOnly),
    requestId: c.get('requestId'),
  }
  let response: Response
  try {
    response = await serveLink(c.req.raw, policy, place, now)
  } catch (error) {
    response = await serveFallback(c.req.raw, policy, place, error, now)
    addWarning(c, `image not resized: ${describe(error)}`)
  }
  c.set('cacheStatus', response.headers.get('Cache-Status') ?? '')
  return response
}

/** Minimum lifetime of the target in seconds. The maximum is twice as long. */
const TARGET_SECONDS = 300

export interface RedirectTarget {
  /** A signed GET URL, the same for all clients within a time window. */
  readonly url: string
  /** Seconds in the browser's cache: half of the target's, and no longer than the link. */
  readonly maxAgeSeconds: number
}

/** Returns the target of a link with delivery "redirect". Throws `misconfigured`. */
export async function redirectTarget(
  { key, download, expires }: LinkPolicy,
  bucket: Bucket,
  now: Date,
): Promise<RedirectTarget> {
  const { urlOf, expiresIn } = downloadSigner(
    bucket,
    {
      use: 'view',
      stable: true,
      defaultSeconds: TARGET_SECONDS,
      download: download ?? undefined,
    },
    now,
  )
  const leftOfLink = Math.max(0, expires - Math.ceil(now.getTime() / 1000))
  return { url: await urlOf(key), maxAgeSeconds: Math.min(Math.floor(expiresIn / 2), leftOfLink) }
}
