import * as z from 'zod/mini'
import {
  LINK_FORMATS,
  type LinkPolicy,
  signLink,
  type Variant,
} from '../../access/link-signature.ts'
import { requireKey, requirePrefix, requireScope } from '../../access/principal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { DEFAULT_IMAGE_SIZES, MAX_IMAGE_SIZES } from '../../bucket/image-size.ts'
import { MAX_KEYS } from '../../bucket/limits.ts'
import { askToDownload } from '../../core/ask-app.ts'
import { MAX_LINK_NAME_LENGTH } from '../../core/link.ts'
import { purgeCopies } from '../../core/purge.ts'
import { ApiError, invalidMember } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { chooseBucket } from '../../http/choose-bucket.ts'
import {
  bucket,
  expiresIn,
  forEachKey,
  keyList,
  MAX_FILES,
  MAX_KEYS_BODY_BYTES,
  usually,
} from '../../http/fields.ts'
import { linkBase } from '../../http/link-host.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { keyParam, validateJson, validateQuery } from '../../http/validate.ts'
import { keyPrefixError, type ObjectKey, parseObjectKey } from '../../keys/object-key.ts'
import { keepsCopiesOf } from './direct-objects.ts'
import { signFolder } from './folder.ts'
import { LINKS } from './options.ts'
import { expiryOf, oneListOfCountries, restricted, restrictionsOf } from './restrictions.ts'

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

const linkSchema = z
  .strictObject({
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
  .check(oneListOfCountries)

const linksSchema = z
  .strictObject({ ...variant, ...restricted, keys: keyList, expiresIn, delivery, bucket })
  .check(oneListOfCountries)

/** For players and galleries with relative addresses. */
const folderSchema = z
  .strictObject({ ...restricted, prefix: z.string(), expiresIn, bucket })
  .check(oneListOfCountries)

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
  .post('/links/folder', validateJson(folderSchema), async (c) => {
    const principal = c.get('principal')
    const { prefix: given, expiresIn, bucket: alias, ...asked } = c.req.valid('json')
    requireScope(principal, 'links:create')
    requireScope(principal, 'files:read')
    const error = given.includes('\\') ? 'A folder must not contain "\\".' : keyPrefixError(given)
    if (error !== null) throw new ApiError('invalid_key', error)
    const prefix = parseObjectKey(given)
    requirePrefix(principal, prefix)
    const bucket = chooseBucket(c, alias, prefix)
    const restrictions = restrictionsOf(principal, 'stream', asked)
    const base = linkBase(c)
    const expires = expiryOf(bucket, expiresIn, asked)
    await askToDownload(c, bucket, prefix, 'folder')
    const folder = { bucket: bucket.alias, prefix, expires, restrictions }
    const path = await signFolder(folder, c.get('settings'))
    return json(c, { base: base + path, expiresAt: new Date(expires * 1000).toISOString() })
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

/** Tells whether images of `bucket` can be resized, and are kept: each view would be a call otherwise. */
function canResize(c: AppContext, bucket: ConfiguredBucket): boolean {
  const objects = c.env.instance.objects(c.executionCtx)
  return objects.resizesImages === true && keepsCopiesOf(bucket, objects)
}
