import * as z from 'zod/mini'
import { askedLimits } from '../../access/asked-limits.ts'
import { cursorsOf } from '../../access/cursor.ts'
import { narrowLimits } from '../../access/limits.ts'
import { requirePrefix } from '../../access/principal.ts'
import { ApiError } from '../../errors/api-error.ts'
import { configure } from '../../http/admit.ts'
import type { AppContext } from '../../http/app-env.ts'
import { chooseBucket } from '../../http/choose-bucket.ts'
import { timeOf } from '../../http/deadline.ts'
import { bucket, instant, newPassword } from '../../http/fields.ts'
import { pageErrors, requireOwnPage, toLinkHost } from '../../http/html-page.ts'
import { linkBase } from '../../http/link-host.ts'
import { newApp } from '../../http/new-app.ts'
import { countNetwork } from '../../http/rate-limit.ts'
import { json } from '../../http/responses.ts'
import { validateJson, validateQuery } from '../../http/validate.ts'
import { utf8Length } from '../../keys/encodings.ts'
import { keyPrefixError } from '../../keys/object-key.ts'
import { takesOrigin } from '../../settings/settings.ts'
import { networkNames, newItem, publicIdOf, requirePassword } from '../../state/item.ts'
import {
  createItem,
  endItem,
  itemsQuery,
  listItems,
  ownItem,
  pageQuery,
  requireRights,
} from '../../state/item-routes.ts'
import { callObject } from '../../state/object.ts'
import {
  boxObject,
  DROP_BOXES,
  MAX_BOX_FILE_BYTES,
  type StoredBox,
  sealBoxToken,
  showBox,
  TOKEN_SECONDS,
  termsOf,
} from './box.ts'
import { MAX_SENDER_BYTES } from './box-data.ts'
import { boxPage, SCRIPT_PATH, scriptOfPage } from './page.ts'
import { openBox, type VisitedBox } from './sender.ts'

const MAX_BOX_FILES = 10_000
/** So that generated keys fit. */
const MAX_PREFIX_BYTES = 512

/** Text of one line: no control characters, and no line or paragraph separators. */
const line = (max: number) =>
  z.string().check(
    z.maxLength(max),
    z.refine((text) => text.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text), {
      error: 'must be one line of text',
    }),
  )

const filledLine = (max: number) =>
  line(max).check(z.refine((text) => text.trim() !== '', { error: 'must not be empty' }))

/** Text with line breaks. */
const isText = (text: string): boolean => text.isWellFormed() && !/[^\P{Cc}\n\r\t]/u.test(text)

const text = () => z.string().check(z.refine(isText, { error: 'must be plain text' }))

/** Milliseconds since 1970, of a date in ISO 8601 and UTC. */
const createSchema = z.strictObject({
  prefix: z.string(),
  bucket,
  deadline: z.pipe(
    instant(),
    z.transform((date) => Date.parse(date)),
  ),
  maxFiles: z.int().check(z.minimum(1), z.maximum(MAX_BOX_FILES)),
  maxBytes: z.int().check(z.minimum(1), z.maximum(MAX_BOX_FILE_BYTES)),
  maxTotalBytes: z.int().check(z.minimum(1)),
  allowedTypes: askedLimits.allowedTypes,
  password: newPassword(),
  from: filledLine(100),
  title: filledLine(200),
  message: z.optional(text().check(z.maxLength(2000))),
})

const tokenSchema = z.strictObject({
  password: z.optional(z.string().check(z.maxLength(128))),
  sender: z.optional(
    z.strictObject({ name: z.optional(line(200)), note: z.optional(text()) }).check(
      z.refine(({ name = '', note = '' }) => utf8Length(name + note) <= MAX_SENDER_BYTES, {
        error: `must be at most ${MAX_SENDER_BYTES} bytes`,
      }),
    ),
  ),
})

/** Creates, lists and closes drop boxes, and lists what they received. */
export const dropBoxRoutes = newApp()
  .post('/drop-boxes', validateJson(createSchema), async (c) => {
    const request = c.req.valid('json')
    const principal = requireRights(c, DROP_BOXES)
    const { prefix, bucket: asked, password, message = null, ...terms } = request
    const prefixError = prefix === '' ? 'A drop box needs a prefix.' : keyPrefixError(prefix)
    if (prefixError !== null) throw new ApiError('invalid_key', prefixError)
    if (utf8Length(prefix) > MAX_PREFIX_BYTES)
      throw new ApiError('invalid_key', `A prefix may have at most ${MAX_PREFIX_BYTES} bytes here.`)
    requirePrefix(principal, prefix)
    const settings = c.get('settings')
    const { alias: bucket } = chooseBucket(c, asked, prefix)
    const { maxBytes, allowedTypes, deadline } = terms
    const narrowed = { buckets: [bucket], maxBytes, allowedTypes }
    const limits = narrowLimits(principal.limits, narrowed, settings)
    const item = await newItem(c, DROP_BOXES, principal, {
      bucket,
      key: prefix,
      deadline,
      password,
    })
    const box: StoredBox = {
      ...item,
      ...terms,
      message,
      closedAt: null,
      isErased: false,
      instance: settings.signingSecrets[0].name,
      allowedTypes: limits.allowedTypes,
      owner: { ...item.owner, prefix, limits: { ...limits } },
    }
    await createItem(c, DROP_BOXES, box)
    const location = `${c.env.host.mountPath}/drop-boxes/${box.id}`
    const seen = { ...box, wrongPasswords: 0, received: { files: 0, bytes: 0 } }
    return json(c, showBox(seen, linkBase(c)), 201, { Location: location })
  })
  .get('/drop-boxes', validateQuery(itemsQuery), async (c) => {
    const { items, more } = await listItems(c, DROP_BOXES, c.req.valid('query'), showBox)
    return json(c, { dropBoxes: items, ...more })
  })
  .get('/drop-boxes/:id', async (c) => {
    requireRights(c, DROP_BOXES)
    return json(c, showBox(await ownItem(c, DROP_BOXES), linkBase(c)))
  })
  .delete('/drop-boxes/:id', (c) => endItem(c, DROP_BOXES))
  .get('/drop-boxes/:id/files', validateQuery(pageQuery), async (c) => {
    requireRights(c, DROP_BOXES)
    const item = await ownItem(c, DROP_BOXES)
    const { limit, cursor } = c.req.valid('query')
    const cursors = cursorsOf(c.get('settings'), ['drop box', item.id], z.number())
    const start = (await cursors.open(cursor)) ?? null
    const { files, next } = await callObject(c, () => boxObject(c, item.id).files(limit, start))
    return json(c, {
      files: files.map(({ key, name, size, mimetype, at, sender, country }) => ({
        key,
        bucket: item.bucket,
        name,
        size,
        mimetype,
        receivedAt: new Date(at).toISOString(),
        sender,
        country,
      })),
      ...(await cursors.seal(next)),
    })
  })

const errors = pageErrors({ drop_box_closed: 'This page no longer accepts files' })

/** The pages of drop boxes. The secret id in the path is the credential. */
export const dropBoxPageRoutes = newApp()
  .get('/d/:secret', errors, async (c) => {
    // Its name has a dot, unlike a secret id.
    if (c.req.path === SCRIPT_PATH) return scriptOfPage()
    await configure(c)
    const elsewhere = toLinkHost(c)
    if (elsewhere !== null) return elsewhere
    const { item: box, bucket } = await visitedBox(c)
    // What is reserved may be the visitor's own upload, which continues after a reload.
    const { files, bytes } = box.received
    return boxPage(c, {
      ...termsOf(box),
      left: { files: box.maxFiles - files, bytes: box.maxTotalBytes - bytes },
      hasPassword: box.password !== null,
      connect: [bucket.publicAddress.origin],
    })
  })
  .post('/d/:secret/token', validateJson(tokenSchema), async (c) => {
    const settings = await configure(c)
    // The app may have its own page instead of this one.
    requireOwnPage(c, (origin) => takesOrigin(settings, origin))
    const visited = await visitedBox(c, true)
    const { item: box } = visited
    const { id, left } = box
    const request = c.req.valid('json')
    await requirePassword(c, DROP_BOXES, visited, request.password)
    const { name = '', note = '' } = request.sender ?? {}
    const sender = name + note === '' ? null : { name, note }
    const address = c.req.header('CF-Connecting-IP')
    const [network = '', around = network] = await networkNames(settings, id, address)
    const exp = Math.floor(Date.now() / 1000) + TOKEN_SECONDS
    const token = await sealBoxToken(settings, { id, network, around, sender }, exp)
    return json(c, {
      token,
      expiresAt: new Date(exp * 1000).toISOString(),
      endpoint: linkBase(c),
      bucket: box.bucket,
      ...termsOf(box),
      left,
    })
  })

/** Counts the visitor, and returns the open box of the path. Throws what `openBox` throws. */
async function visitedBox(c: AppContext, isRecord = false): Promise<VisitedBox> {
  await countNetwork(c)
  return openBox(c, await publicIdOf(c.req.param('secret') ?? ''), timeOf(c), isRecord)
}
