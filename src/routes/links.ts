import * as z from 'zod/mini'
import { verifyLink } from '../access/link-signature.ts'
import { requireKey, requireScope } from '../access/principal.ts'
import { storedKey } from '../bucket/key-spelling.ts'
// biome-ignore lint/style/noRestrictedImports: points up until the source of bytes comes in with the options
import { askObjects } from '../cloudflare/objects.ts'
import { createLink, linkExpiry } from '../delivery/link.ts'
import { redirectTarget } from '../delivery/redirect.ts'
import { serveLink } from '../delivery/serve-link.ts'
import { ApiError } from '../errors/api-error.ts'
import { configure } from '../http/admit.ts'
import { chooseBucket } from '../http/choose-bucket.ts'
import { bucket, expiresIn, forEachKey, keyList, MAX_KEYS_BODY_BYTES } from '../http/fields.ts'
import { asksLinkHost } from '../http/link-host.ts'
import { newApp } from '../http/new-app.ts'
import { keyParam, validateJson, validateQuery } from '../http/validate.ts'

const delivery = z._default(z.enum(['stream', 'redirect']), 'stream')

const linkSchema = z.strictObject({
  expiresIn,
  download: z.optional(
    z.string().check(
      z.minLength(1),
      z.maxLength(255),
      z.refine((name) => name.isWellFormed(), 'must be well-formed Unicode'),
    ),
  ),
  delivery,
})

const linksSchema = z.strictObject({
  keys: keyList,
  expiresIn,
  delivery,
  bucket,
})

/** Links that go into an `<img>` or an email, made for those who may. */
export const linkRoutes = newApp()
  .post(
    '/files/:key/link',
    validateQuery(z.strictObject({ bucket })),
    validateJson(linkSchema),
    async (c) => {
      const principal = c.get('principal')
      const config = c.get('config')
      const { expiresIn, delivery, download = null } = c.req.valid('json')
      const key = keyParam(c)
      requireKey(principal, 'links:create', key)
      const bucket = chooseBucket(c, c.req.valid('query').bucket, key)
      const expires = linkExpiry(bucket, expiresIn, new Date())
      const { origin } = new URL(c.req.url)
      const link = await createLink(config, origin, bucket, key, { delivery, download }, expires)
      return c.json({ link, expiresAt: new Date(expires * 1000).toISOString() })
    },
  )
  .post('/links', validateJson(linksSchema, MAX_KEYS_BODY_BYTES), async (c) => {
    const principal = c.get('principal')
    const config = c.get('config')
    const { keys, expiresIn, delivery, bucket: alias } = c.req.valid('json')
    requireScope(principal, 'links:create')
    const bucket = chooseBucket(c, alias, null)
    const expires = linkExpiry(bucket, expiresIn, new Date())
    const { origin } = new URL(c.req.url)
    const links = await forEachKey(bucket, keys, async (key) => {
      requireKey(principal, 'links:create', key)
      const policy = { delivery, download: null }
      return { key, link: await createLink(config, origin, bucket, key, policy, expires) }
    })
    return c.json({ links, expiresAt: new Date(expires * 1000).toISOString() })
  })

/** What a link leads to. The link itself is the credential. */
export const deliveryRoutes = newApp()
  .get('/i/:bucket/:key', async (c) => {
    const config = await configure(c)
    const now = new Date()
    const { bucket: alias, key } = c.req.param()
    const verdict = await verifyLink(new URL(c.req.url), alias, key, config, now)
    if (!verdict.ok)
      throw new ApiError(
        verdict.expired ? 'link_expired' : 'link_invalid',
        verdict.expired ? 'This link has expired.' : 'This is not a link of ours.',
        { cause: verdict.reason },
      )
    const bucket = chooseBucket(c, verdict.policy.bucket, null)
    if (config.linkOrigin !== null && !asksLinkHost(config, c.req.url)) {
      const { pathname, search } = new URL(c.req.url)
      c.header('Cross-Origin-Resource-Policy', bucket.crossOriginResourcePolicy)
      return c.redirect(config.linkOrigin + pathname + search, 308)
    }
    const policy = { ...verdict.policy, key: storedKey(bucket, verdict.policy.key) }
    if (policy.delivery === 'redirect') {
      const { url, maxAgeSeconds } = await redirectTarget(policy, bucket, now)
      c.header('Cache-Control', `private, max-age=${maxAgeSeconds}`)
      return c.redirect(url, 302)
    }
    const response = await serveLink(c.req.raw, policy, bucket, askObjects, now)
    c.set('cacheStatus', response.headers.get('Cache-Status') ?? '')
    return response
  })
  .all('/i/*', async (c) => {
    await configure(c)
    throw new ApiError('link_invalid', 'This is not a link of ours.')
  })
