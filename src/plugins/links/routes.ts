import * as z from 'zod/mini'
import {
  LINK_FORMATS,
  type LinkPolicy,
  type LinkTarget,
  type LinkVerdict,
  signLink,
  type Variant,
  verifyLink,
} from '../../access/link-signature.ts'
import { type Principal, requireKey, requireScope } from '../../access/principal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { DEFAULT_IMAGE_SIZES, MAX_IMAGE_SIZES } from '../../bucket/image-size.ts'
import { storedKey } from '../../bucket/key-spelling.ts'
import { MAX_KEYS } from '../../bucket/limits.ts'
import { askToDownload } from '../../core/ask-app.ts'
import { linkExpiry, MAX_LINK_NAME_LENGTH, type Restricted } from '../../core/link.ts'
import { purgeCopies } from '../../core/purge.ts'
import { ApiError, invalidMember } from '../../errors/api-error.ts'
import { describe } from '../../errors/describe.ts'
import { configure } from '../../http/admit.ts'
import type { AppContext } from '../../http/app-env.ts'
import { chooseBucket, signedBucket, withCredentials } from '../../http/choose-bucket.ts'
import { timeOf } from '../../http/deadline.ts'
import {
  bucket,
  expiresIn,
  forEachKey,
  keyList,
  MAX_FILES,
  MAX_KEYS_BODY_BYTES,
  usually,
} from '../../http/fields.ts'
import { askedUrl, linkBase } from '../../http/link-host.ts'
import { newApp } from '../../http/new-app.ts'
import { addWarning } from '../../http/request-log.ts'
import { json } from '../../http/responses.ts'
import { keyParam, validateJson, validateQuery } from '../../http/validate.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { Settings } from '../../settings/settings.ts'
import { keepsCopiesOf } from './direct-objects.ts'
import { LINKS } from './options.ts'
import { redirectTarget } from './redirect.ts'
import {
  refusedLink,
  requireAllowed,
  restricted,
  restrictionsText,
  validFrom,
} from './restrictions.ts'
import { serveFallback, serveLink } from './serve-link.ts'

const delivery = usually(z.enum(['stream', 'redirect']), 'stream')

/** Resized copies of an image. */
const variant = {
  width: z.optional(z.int()),
  widths: z.optional(z.array(z.int()).check(z.minLength(1), z.maxLength(MAX_IMAGE_SIZES))),
  format: z.optional(z.enum(LINK_FORMATS)),
  fallback: z.optional(z.enum(['original'])),
}

/** Maximum number of links in one response, so that it fits into the memory of a Worker. */
const MAX_LINKS = 4 * MAX_KEYS

const linkSchema = z.strictObject({
  ...variant,
  ...restricted,
  expiresIn,
  download: z.optional(
    z.string().check(
      z.minLength(1),
      z.maxLength(MAX_LINK_NAME_LENGTH),
      z.refine((name) => name.isWellFormed(), 'must be well-formed Unicode'),
    ),
  ),
  delivery,
})

const linksSchema = z.strictObject({
  ...variant,
  ...restricted,
  keys: keyList,
  expiresIn,
  delivery,
  bucket,
})

const purgeSchema = z.strictObject({
  keys: z.array(z.string()).check(z.minLength(1), z.maxLength(MAX_FILES)),
  bucket,
})

/** Creates links for an `<img>` or an email, and purges their copies. */
export const linkRoutes = newApp()
  .post(
    '/files/:key/link',
    validateQuery(z.strictObject({ bucket })),
    validateJson(linkSchema),
    async (c) => {
      const principal = c.get('principal')
      const settings = c.get('settings')
      const { expiresIn, delivery, download = null, ...image } = c.req.valid('json')
      const key = keyParam(c)
      requireKey(principal, 'links:create', key)
      const restrictions = restrictionsOf(principal, delivery, image)
      const bucket = chooseBucket(c, c.req.valid('query').bucket, key)
      const variant = variantOf(c, bucket, delivery, image)
      const base = linkBase(c)
      const expires = expiryOf(bucket, expiresIn, image)
      await askToDownload(c, bucket, key, 'link')
      const policy = { bucket: bucket.alias, key, expires, delivery, download, restrictions }
      const links = await createLinks(base, settings, policy, variant)
      return json(c, { ...links, expiresAt: new Date(expires * 1000).toISOString() })
    },
  )
  .post('/links', validateJson(linksSchema, MAX_KEYS_BODY_BYTES), async (c) => {
    const principal = c.get('principal')
    const settings = c.get('settings')
    const { keys, expiresIn, delivery, bucket: alias, ...image } = c.req.valid('json')
    requireScope(principal, 'links:create')
    const restrictions = restrictionsOf(principal, delivery, image)
    if (keys.length * (image.widths?.length ?? 1) > MAX_LINKS)
      throw invalidMember('widths', `must make at most ${MAX_LINKS} links with these keys`)
    const bucket = chooseBucket(c, alias, null)
    const expires = expiryOf(bucket, expiresIn, image)
    const base = linkBase(c)
    const variant = variantOf(c, bucket, delivery, image)
    const links = await forEachKey(bucket, keys, async (key) => {
      requireKey(principal, 'links:create', key)
      await askToDownload(c, bucket, key, 'link')
      const one = { bucket: bucket.alias, key, expires, delivery, download: null, restrictions }
      return { key, ...(await createLinks(base, settings, one, variant)) }
    })
    return json(c, { links, expiresAt: new Date(expires * 1000).toISOString() })
  })
  .post('/files/purge', validateJson(purgeSchema, MAX_KEYS_BODY_BYTES), async (c) => {
    const { keys, bucket: alias } = c.req.valid('json')
    const principal = c.get('principal')
    requireScope(principal, 'files:purge')
    const bucket = chooseBucket(c, alias, null)
    if (!c.env.instance.objects(c.executionCtx).keepsCopies)
      throw new ApiError('not_supported', 'Links have no edge copies here.')
    const accepted = new Set<ObjectKey>()
    const purged = await forEachKey(bucket, keys, async (key) => {
      requireKey(principal, 'files:purge', key)
      accepted.add(key)
      return { key }
    })
    if (accepted.size > 0) await purgeCopies(c, bucket, [...accepted])
    return json(c, { purged })
  })

/** Returns a variant's link, or those of several as `srcset`, with the widest one as `link`. */
async function createLinks(
  base: string,
  settings: SigningSettings,
  policy: Omit<LinkPolicy, 'variant'>,
  variant: Variant | readonly Variant[] | undefined,
): Promise<{ readonly link: string; readonly srcset?: string }> {
  const linkTo = async (one: Variant | null) =>
    base + (await signLink({ ...policy, variant: one }, settings))
  if (variant === undefined || !isSeveral(variant)) return { link: await linkTo(variant ?? null) }
  const sorted = variant.toSorted((a, b) => a.width - b.width)
  const links = await Promise.all(sorted.map(linkTo))
  const srcset = links.map((link, i) => `${link} ${sorted[i]?.width}w`).join(', ')
  return { link: links.at(-1) ?? '', srcset }
}

const isSeveral = (variant: Variant | readonly Variant[]): variant is readonly Variant[] =>
  Array.isArray(variant)

type AskedImage = Pick<z.infer<typeof linkSchema>, keyof typeof variant>

/**
 * Returns the requested variants. Throws `invalid_request` for an unknown width, or if images can't
 * be resized, and `forbidden` if a link may show the original and the principal may not read it.
 */
function variantOf(
  c: AppContext,
  bucket: ConfiguredBucket,
  delivery: LinkPolicy['delivery'],
  { width, widths, format, fallback }: AskedImage,
): Variant | readonly Variant[] | undefined {
  const isOriginal = width === undefined && widths === undefined
  if (isOriginal || fallback !== undefined) requireScope(c.get('principal'), 'files:read')
  if (isOriginal) {
    if (format === undefined && fallback === undefined) return undefined
    throw invalidMember(format === undefined ? 'fallback' : 'format', 'needs a width')
  }
  if (width !== undefined && widths !== undefined)
    throw invalidMember('widths', 'must not be combined with width')
  if (delivery === 'redirect')
    throw invalidMember('delivery', 'must be "stream" for a resized image')
  if (widths !== undefined && new Set(widths).size < widths.length)
    throw invalidMember('widths', 'must not repeat a width')
  const images = LINKS.of(c.env.instance)?.images
  if (fallback === undefined && !canResize(c, bucket))
    throw invalidMember(
      'width',
      'needs the Images binding and an edge copy. Ask for fallback "original", or add the binding',
    )
  const known = (images?.sizes ?? DEFAULT_IMAGE_SIZES).map((size) => size.width)
  const toVariant = (one: number, path: string): Variant => {
    if (!known.includes(one)) throw invalidMember(path, `must be one of ${known.join(', ')}`)
    return { width: one, format: format ?? 'auto', fallback: fallback !== undefined }
  }
  return width === undefined
    ? widths?.map((one, i) => toVariant(one, `widths.${i}`))
    : toVariant(width, 'width')
}

/** Tells whether images of `bucket` can be resized, and are kept, since each call is billed. */
function canResize(c: AppContext, bucket: ConfiguredBucket): boolean {
  const objects = c.env.instance.objects(c.executionCtx)
  return objects.resizesImages === true && keepsCopiesOf(bucket, objects)
}

/**
 * Returns the restrictions of a link. Throws `forbidden` for a redirect if lifetimes are limited: its
 * target outlives the link. Throws `invalid_request` for a redirect with restrictions, which its
 * target doesn't have, and for two lists of countries.
 */
export function restrictionsOf(
  { limits }: Principal,
  delivery: LinkPolicy['delivery'],
  asked: Restricted,
): string | undefined {
  if (delivery === 'redirect' && limits.maxExpiresIn !== null)
    throw new ApiError(
      'forbidden',
      'The target of a redirect could outlive your maxExpiresIn. Use the delivery "stream".',
    )
  const restrictions = restrictionsText(asked)
  if (delivery === 'redirect' && restrictions !== undefined)
    throw invalidMember('delivery', 'must be "stream" for a link with restrictions')
  if (asked.countries && asked.notCountries)
    throw invalidMember('notCountries', 'must not be combined with countries')
  return restrictions
}

/**
 * Returns when a link expires, in seconds since 1970: with `notBefore`, exactly `expiresIn` after it.
 * Throws `invalid_expiry`, also if that is in the past, or later than for any other link.
 */
export function expiryOf(
  bucket: ConfiguredBucket,
  expiresIn: number | undefined,
  asked: Restricted,
): number {
  const now = new Date()
  const start = validFrom(asked)
  if (start === undefined) return linkExpiry(bucket, expiresIn, now)
  const max = bucket.maxExpiresIn.link
  const expires = start + (expiresIn ?? Math.min(bucket.defaultExpiresIn.link, max))
  const left = expires - now.getTime() / 1000
  if (expires > start && left > 0 && left <= max) return expires
  throw new ApiError('invalid_expiry', `The link must end within ${max} seconds from now.`)
}

/** Serves links. The link itself is the credential. */
export const deliveryRoutes = newApp()
  .get('/i/:bucket/:key', (c) =>
    deliver(c, (target, settings, now) => {
      const { bucket, key } = c.req.param()
      return verifyLink(target, bucket, key, settings, now)
    }),
  )
  .all('/i/*', refuseLink)

/** Refuses a request that is no link, such as one with another method. */
export async function refuseLink(c: AppContext): Promise<never> {
  await configure(c)
  throw new ApiError('link_invalid', 'This link is not valid.')
}

/** Throws the error of a link whose `restrictions`, if any, don't allow this request. */
export function requireVisitor(c: AppContext, restrictions: string | undefined, now: Date): void {
  if (restrictions === undefined) return
  requireAllowed(restrictions, c.req.raw, LINKS.of(c.env.instance)?.addressOf, now)
}

/** Delivers the object of the link that `verify` accepts. */
export async function deliver(
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
  if (linkHostOnly && linkBase !== null && host !== new URL(linkBase).host) {
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
