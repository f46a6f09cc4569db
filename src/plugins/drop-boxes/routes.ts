import * as z from 'zod/mini'
import { askedLimits } from '../../access/asked-limits.ts'
import { cursorsOf } from '../../access/cursor.ts'
import { mayUse, narrowLimits } from '../../access/limits.ts'
import { hashPassword } from '../../access/password.ts'
import { type Principal, requirePrefix, requireScope } from '../../access/principal.ts'
import { storedPrincipal } from '../../access/stored-principal.ts'
import { findBucket } from '../../bucket/find-bucket.ts'
import { ApiError } from '../../errors/api-error.ts'
import { configure } from '../../http/admit.ts'
import type { AppContext } from '../../http/app-env.ts'
import { chooseBucket } from '../../http/choose-bucket.ts'
import { timeOf } from '../../http/deadline.ts'
import { bucket, digits, instant, newPassword, usually } from '../../http/fields.ts'
import { pageErrors, requireOwnPage, toLinkHost } from '../../http/html-page.ts'
import { linkBase } from '../../http/link-host.ts'
import { newApp } from '../../http/new-app.ts'
import { countNetwork, networkOf } from '../../http/rate-limit.ts'
import { json } from '../../http/responses.ts'
import { validateJson, validateQuery } from '../../http/validate.ts'
import { utf8Length } from '../../keys/encodings.ts'
import { keyPrefixError } from '../../keys/object-key.ts'
import { takesOrigin } from '../../settings/settings.ts'
import { listCursors, listName, readItems } from '../../state/list.ts'
import { callObject, hintFor } from '../../state/object.ts'
import { requirePassword } from '../../state/password.ts'
import { isPublicId, networkName, newSecretId, publicIdOf } from '../../state/secret-id.ts'
import {
  BOX_SCOPES,
  type BoxState,
  KEPT_SECONDS,
  MAX_BOX_FILE_BYTES,
  type Received,
  SCHEMA,
  type StoredBox,
  TOKEN_SECONDS,
} from './box.ts'
import { MAX_SENDER_BYTES } from './box-data.ts'
import { boxPage, SCRIPT_PATH, scriptOfPage } from './page.ts'
import { type BoxObject, boxObject, closed, openBox } from './sender.ts'
import { sealBoxToken } from './token.ts'

const MAX_DEADLINE_SECONDS = 366 * 86_400
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

const listSchema = z.strictObject({
  limit: z.pipe(usually(digits, 50), z.int().check(z.minimum(1), z.maximum(100))),
  cursor: z.optional(z.string()),
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

/** Returns the list of one creator's boxes. */
const listOf = (c: AppContext, { id }: Principal): BoxObject =>
  boxObject(c, listName(id), hintFor(c.req.raw))

/** Creates, lists and closes drop boxes, and lists what they received. */
export const dropBoxRoutes = newApp()
  .post('/drop-boxes', validateJson(createSchema), async (c) => {
    const request = c.req.valid('json')
    const principal = creator(c)
    const { prefix, deadline, maxBytes, allowedTypes } = request
    const prefixError = prefix === '' ? 'A drop box needs a prefix.' : keyPrefixError(prefix)
    if (prefixError !== null) throw new ApiError('invalid_key', prefixError)
    if (utf8Length(prefix) > MAX_PREFIX_BYTES)
      throw new ApiError('invalid_key', `A prefix may have at most ${MAX_PREFIX_BYTES} bytes here.`)
    requirePrefix(principal, prefix)
    const { alias } = chooseBucket(c, request.bucket, prefix)
    const limits = narrowLimits(
      principal.limits,
      { buckets: [alias], maxBytes, allowedTypes },
      c.get('settings'),
    )
    const now = timeOf(c)
    requireDeadline(deadline, principal, now)
    const secret = newSecretId()
    const id = (await publicIdOf(secret)) ?? ''
    const { password, message = null, bucket: _, ...terms } = request
    const box: StoredBox = {
      ...{ schema: SCHEMA, id, secret, ...terms, message, bucket: alias },
      instance: c.get('settings').signingSecrets[0].name,
      allowedTypes: limits.allowedTypes,
      password: password === undefined ? null : await hashPassword(c.get('settings'), password),
      createdAt: now.getTime(),
      owner: { ...storedPrincipal(principal), prefix, limits: { ...limits } },
      closedAt: null,
    }
    const object = boxObject(c, id, hintFor(c.req.raw))
    await callObject(c, () => object.create(box))
    // Listed last, so that no list has a box that doesn't exist.
    const ends = deadline + KEPT_SECONDS * 1000
    try {
      await callObject(c, () => listOf(c, principal).list({ id, at: box.createdAt }, ends))
    } catch (error) {
      // Nobody has its URL. If it can't be closed now, it ends at its deadline.
      const ending = callObject(c, () => object.close(Date.now()))
      c.executionCtx.waitUntil(ending.catch(() => undefined))
      throw error
    }
    return json(c, shown(c, { box, received: NOTHING, wrongPasswords: 0 }), 201, {
      Location: `${c.env.host.mountPath}/drop-boxes/${id}`,
    })
  })
  .get('/drop-boxes', validateQuery(listSchema), async (c) => {
    const principal = creator(c)
    const { limit, cursor } = c.req.valid('query')
    const cursors = listCursors(c.get('settings'), 'drop boxes', principal.id)
    const start = (await cursors.open(cursor)) ?? null
    const { items, next } = await callObject(c, () => listOf(c, principal).listed(limit, start))
    const read = await readItems(items, async (id) => {
      const state = await callObject(c, () => boxObject(c, id).state())
      return isOpenTo(state, principal) ? [shown(c, state)] : []
    })
    return json(c, {
      dropBoxes: read.items,
      ...read.failed,
      ...(await cursors.seal(next)),
    })
  })
  .get('/drop-boxes/:id', async (c) => json(c, shown(c, await ownBox(c))))
  .get('/drop-boxes/:id/files', validateQuery(listSchema), async (c) => {
    const { box, object } = await ownBox(c)
    const { limit, cursor } = c.req.valid('query')
    const cursors = cursorsOf(c.get('settings'), ['drop box', box.id], z.number())
    const start = (await cursors.open(cursor)) ?? null
    const { files, next } = await callObject(c, () => object.files(limit, start))
    const shownFiles = files.map(
      ({ key, name, size, mimetype, at, sender, country }: Received) => ({
        ...{ key, bucket: box.bucket, name, size, mimetype },
        ...{ receivedAt: new Date(at).toISOString(), sender, country },
      }),
    )
    return json(c, {
      files: shownFiles,
      ...(await cursors.seal(next)),
    })
  })
  .delete('/drop-boxes/:id', async (c) => {
    const principal = creator(c)
    const { id, object } = namedBox(c)
    const state = await callObject(c, () => object.state())
    if (state !== null) {
      if (!isOf(state, principal)) throw notFound()
      await callObject(c, () => object.close(Date.now()))
    }
    await callObject(c, () => listOf(c, principal).unlist([id]))
    return c.body(null, 204)
  })

const NOTHING = { files: 0, bytes: 0 }

/** Returns the caller. Throws `forbidden` unless they may create drop boxes. */
function creator(c: AppContext): Principal {
  const principal = c.get('principal')
  // Who has the URL of a box can upload.
  for (const scope of BOX_SCOPES) requireScope(principal, scope)
  return principal
}

/** Throws `invalid_expiry` for a deadline in the past, or too far ahead for the caller. */
function requireDeadline(deadline: number, { limits }: Principal, now: Date): void {
  const most = Math.min(MAX_DEADLINE_SECONDS, limits.maxExpiresIn ?? MAX_DEADLINE_SECONDS)
  const seconds = (deadline - now.getTime()) / 1000
  if (seconds <= 0 || seconds > most)
    throw new ApiError('invalid_expiry', `deadline must be in the next ${most} seconds.`)
}

const notFound = (): ApiError => new ApiError('not_found', 'You have no such drop box.')

/** Tells whether the caller has created a box. A token of the same principal may be narrower. */
const isOf = ({ box }: Pick<BoxState, 'box'>, { id, prefix, limits }: Principal): boolean =>
  box.owner.id === id && box.prefix.startsWith(prefix) && mayUse(limits, box.bucket)

/** Tells whether the caller has created a box and not closed it. */
const isOpenTo = (state: BoxState | null, principal: Principal): state is BoxState =>
  state !== null && state.box.closedAt === null && isOf(state, principal)

/** Returns the object of the box in the path. Throws `not_found` for a malformed id. */
function namedBox(c: AppContext): { readonly id: string; readonly object: BoxObject } {
  const id = c.req.param('id') ?? ''
  if (!isPublicId(id)) throw notFound()
  return { id, object: boxObject(c, id) }
}

/** Returns the box in the path, which the caller has created. Throws `not_found`. */
async function ownBox(c: AppContext): Promise<BoxState & { readonly object: BoxObject }> {
  const principal = creator(c)
  const { object } = namedBox(c)
  const state = await callObject(c, () => object.state())
  if (!isOpenTo(state, principal)) throw notFound()
  return { ...state, object }
}

/** Returns a box as its creator sees it. */
const shown = (c: AppContext, { box, received, wrongPasswords }: Omit<BoxState, 'left'>) => {
  const { id, secret, bucket, prefix, from, title, message, deadline, createdAt } = box
  const { maxFiles, maxBytes, maxTotalBytes, allowedTypes, password } = box
  return {
    ...{ id, url: `${linkBase(c)}/d/${secret}`, bucket, prefix, from, title, message },
    deadline: new Date(deadline).toISOString(),
    ...{ maxFiles, maxBytes, maxTotalBytes, allowedTypes, hasPassword: password !== null },
    wrongPasswords,
    createdAt: new Date(createdAt).toISOString(),
    received,
  }
}

/** The pages of drop boxes. The secret id in the path is the credential. */
export const dropBoxPageRoutes = newApp()
  .get('/d/:secret', pageErrors, async (c) => {
    // Its name has a dot, unlike a secret id.
    if (c.req.path === SCRIPT_PATH) return scriptOfPage()
    await configure(c)
    const elsewhere = toLinkHost(c)
    if (elsewhere !== null) return elsewhere
    const { box, received } = await visitedBox(c)
    const { from, title, message, maxFiles, maxBytes, maxTotalBytes, allowedTypes } = box
    // What is reserved may be the visitor's own upload, which continues after a reload.
    const left = { files: maxFiles - received.files, bytes: maxTotalBytes - received.bytes }
    const { publicAddress } = findBucket(c.get('settings'), box.bucket)
    return boxPage(c, {
      ...{ from, title, message, deadline: new Date(box.deadline).toISOString() },
      ...{ maxFiles, maxBytes, maxTotalBytes, allowedTypes, left },
      hasPassword: box.password !== null,
      connect: [publicAddress.origin],
    })
  })
  .post('/d/:secret/token', validateJson(tokenSchema), async (c) => {
    const settings = await configure(c)
    // The app may have its own page in place of this one.
    requireOwnPage(c, (origin) => takesOrigin(settings, origin))
    const { box, left, object } = await visitedBox(c, true)
    const request = c.req.valid('json')
    const { id, password } = box
    await requirePassword(c, { id, password, object }, request.password, closed)
    const { name = '', note = '' } = request.sender ?? {}
    const sender = name + note === '' ? null : { name, note }
    const network = await networkName(settings, id, networkOf(c.req.header('CF-Connecting-IP')))
    const exp = Math.floor(Date.now() / 1000) + TOKEN_SECONDS
    const token = await sealBoxToken(settings, { id, network, sender }, exp)
    const { from, title, message, maxFiles, maxBytes, maxTotalBytes, allowedTypes } = box
    return json(c, {
      ...{ token, expiresAt: new Date(exp * 1000).toISOString() },
      ...{ endpoint: linkBase(c), bucket: box.bucket, from, title, message },
      deadline: new Date(box.deadline).toISOString(),
      ...{ maxFiles, maxBytes, maxTotalBytes, allowedTypes, left },
    })
  })

/** Returns the open box of the page in the path. Throws `drop_box_closed`, also for an unknown one. */
async function visitedBox(
  c: AppContext,
  isRecord = false,
): Promise<BoxState & { readonly object: BoxObject }> {
  await countNetwork(c)
  const id = await publicIdOf(c.req.param('secret') ?? '')
  if (id === null) throw closed()
  return openBox(c, id, timeOf(c), isRecord)
}
