import * as z from 'zod/mini'
import { hashPassword } from '../../access/password.ts'
import { type Principal, requirePrefix, requireScope } from '../../access/principal.ts'
import { storedPrincipal } from '../../access/stored-principal.ts'
import { storedKey } from '../../bucket/key-spelling.ts'
import { askToDownload } from '../../core/ask-app.ts'
import { MAX_LINK_NAME_LENGTH } from '../../core/link.ts'
import { objectNotFound } from '../../core/record.ts'
import { ApiError, invalidMember } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { chooseBucket, withCredentials } from '../../http/choose-bucket.ts'
import { fileIndexOf, timeOf } from '../../http/deadline.ts'
import { bucket, digits, instant, newPassword, usually } from '../../http/fields.ts'
import { linkBase } from '../../http/link-host.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { validateJson, validateQuery } from '../../http/validate.ts'
import { nameInKey } from '../../keys/new-key.ts'
import { parseObjectKey } from '../../keys/object-key.ts'
import { listCursors, listName, readItems } from '../../state/list.ts'
import { callObject, hintFor, type Remote, stateObject } from '../../state/object.ts'
import { isPublicId, newSecretId, publicIdOf } from '../../state/secret-id.ts'
import { headObject } from '../../storage/object.ts'
import type { LinkSteps } from '../links/index.ts'
import type { Grants } from './cloudflare.ts'
import {
  forgottenAt,
  GRANT_SCOPES,
  type Grant,
  type GrantChanges,
  grantBody,
  mayManage,
} from './grant.ts'

const MAX_USES = 1_000_000
const MAX_DEADLINE_SECONDS = 366 * 86_400
const MAX_LABEL_LENGTH = 200
const MAX_PAGE = 100

const uses = z.int().check(z.minimum(1), z.maximum(MAX_USES))

const label = z.string().check(
  z.minLength(1),
  z.maxLength(MAX_LABEL_LENGTH),
  z.refine(
    (text) => text.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text),
    'must be one line of well-formed Unicode',
  ),
)

const listQuery = z.strictObject({
  limit: z.pipe(usually(digits, 50), z.int().check(z.minimum(1), z.maximum(MAX_PAGE))),
  cursor: z.optional(z.string()),
})

/** Creates, lists, changes and withdraws grants. */
export function grantRoutes({ restricted }: LinkSteps) {
  const deadline = instant()
  const grantSchema = z.strictObject({
    key: z.string(),
    bucket,
    deadline,
    uses: z.optional(uses),
    password: newPassword(),
    label: z.optional(label),
    direct: z.optional(z.boolean()),
    download: z.optional(
      z.string().check(
        z.minLength(1),
        z.maxLength(MAX_LINK_NAME_LENGTH),
        z.refine((name) => name.isWellFormed(), 'must be well-formed Unicode'),
      ),
    ),
    restrictions: z.optional(
      z.strictObject(restricted).check(
        z.refine(({ countries, notCountries }) => !(countries && notCountries), {
          path: ['notCountries'],
          error: 'must not be combined with countries',
        }),
      ),
    ),
  })
  const changesSchema = z.strictObject({
    uses: z.optional(z.nullable(uses)),
    label: z.optional(z.nullable(label)),
    deadline: z.optional(deadline),
  })

  return newApp()
    .post('/grants', validateJson(grantSchema), async (c) => {
      const principal = requireRights(c)
      const { key: given, bucket: alias, password, restrictions, ...asked } = c.req.valid('json')
      const key = parseObjectKey(given)
      requirePrefix(principal, key)
      const bucket = chooseBucket(c, alias, key)
      const { direct = false } = asked
      if (direct && password !== undefined)
        throw invalidMember('password', "can't be combined with direct")
      const deadline = deadlineIn(principal, asked.deadline)
      const base = linkBase(c)
      await askToDownload(c, bucket, key, 'grant')
      const open = await withCredentials(c, bucket)
      const head = await headObject(open, storedKey(bucket, key), timeOf(c))
      if (head === null) throw objectNotFound()
      const record = await fileIndexOf(c).get(bucket.alias, key)
      const secret = newSecretId()
      const grant: Grant = {
        version: 1,
        secret,
        minter: storedPrincipal(principal),
        bucket: bucket.alias,
        key,
        name: record?.name ?? nameInKey(key),
        size: head.size,
        label: asked.label ?? null,
        uses: asked.uses ?? null,
        used: 0,
        deadline,
        password: password === undefined ? null : await hashPassword(c.get('settings'), password),
        direct,
        download: asked.download ?? null,
        restrictions: Object.keys(restrictions ?? {}).length === 0 ? null : (restrictions ?? null),
        createdAt: Date.now(),
        lastUsedAt: null,
        pages: [],
      }
      const id = (await publicIdOf(secret)) ?? ''
      await keepGrant(c, id, grant)
      const location = `${c.env.host.mountPath}/grants/${id}`
      return json(c, grantBody(id, base, grant), 201, { Location: location })
    })
    .get('/grants', validateQuery(listQuery), async (c) => {
      const { limit, cursor } = c.req.valid('query')
      const principal = requireRights(c)
      const cursors = listCursors(c.get('settings'), 'grants', principal.id)
      const start = (await cursors.open(cursor)) ?? null
      const base = linkBase(c)
      const { items, next } = await callObject(c, () => listIn(c).listed(limit, start))
      const read = await readItems(items, async (id) => {
        const grant = await callObject(c, () => grantObject(c, id).read())
        return grant !== null && mayManage(principal, grant) ? [grantBody(id, base, grant)] : []
      })
      return json(c, {
        grants: read.items,
        ...read.failed,
        ...(await cursors.seal(next)),
      })
    })
    .get('/grants/:id', async (c) => {
      requireRights(c)
      const { id, grant } = await ownGrant(c)
      if (grant === null) throw notFound()
      return json(c, grantBody(id, linkBase(c), grant))
    })
    .patch('/grants/:id', validateJson(changesSchema), async (c) => {
      const principal = requireRights(c)
      const { uses, label, deadline } = c.req.valid('json')
      const changes: GrantChanges = {
        ...(uses !== undefined && { uses }),
        ...(label !== undefined && { label }),
        ...(deadline !== undefined && { deadline: deadlineIn(principal, deadline) }),
      }
      const base = linkBase(c)
      const { id, grant } = await ownGrant(c)
      // First the list, so that after a failure it doesn't forget the grant too early.
      if (grant && changes.deadline !== undefined)
        await listGrant(c, id, { ...grant, deadline: changes.deadline })
      const changed = grant && (await callObject(c, () => grantObject(c, id).change(changes)))
      if (changed === null) throw notFound()
      return json(c, grantBody(id, base, changed))
    })
    .delete('/grants/:id', async (c) => {
      requireScope(c.get('principal'), 'grants:create')
      const { id, grant } = await ownGrant(c)
      if (grant !== null) await callObject(c, () => grantObject(c, id).withdraw())
      // Also for a repeat, so that the list no longer has it in any case.
      await callObject(c, () => listIn(c).unlist([id]))
      return c.body(null, 204)
    })
}

/** Returns the principal. Throws `forbidden` without the rights that a grant needs. */
function requireRights(c: AppContext): Principal {
  const principal = c.get('principal')
  for (const scope of GRANT_SCOPES) requireScope(principal, scope)
  return principal
}

const grantObject = (c: AppContext, id: string, hint?: string): Remote<Grants> =>
  stateObject<Grants>(c, 'Grants', id, hint)

/** Returns the object that lists the grants of this request's principal. */
const listIn = (c: AppContext): Remote<Grants> =>
  grantObject(c, listName(c.get('principal').id), hintFor(c.req.raw))

const listGrant = (c: AppContext, id: string, grant: Grant): Promise<void> =>
  callObject(c, () => listIn(c).list({ id, at: grant.createdAt }, forgottenAt(grant)))

/** Creates the object of a grant, and then its row in the list, near the client. */
async function keepGrant(c: AppContext, id: string, grant: Grant): Promise<void> {
  const object = grantObject(c, id, hintFor(c.req.raw))
  try {
    await callObject(c, () => object.create(grant))
    await listGrant(c, id, grant)
  } catch (error) {
    // Nobody has its URL. If it can't be removed now, its alarm does that.
    c.executionCtx.waitUntil(object.withdraw().catch(() => undefined))
    throw error
  }
}

/**
 * Returns the id in the path and its grant, or null for an unknown one. Throws `not_found` for that of
 * somebody else, and for what is no id.
 */
async function ownGrant(c: AppContext): Promise<{ id: string; grant: Grant | null }> {
  const id = c.req.param('id') ?? ''
  if (!isPublicId(id)) throw notFound()
  const grant = await callObject(c, () => grantObject(c, id).read())
  if (grant !== null && !mayManage(c.get('principal'), grant)) throw notFound()
  if (grant !== null) c.set('bucket', grant.bucket)
  return { id, grant }
}

const notFound = (): ApiError => new ApiError('not_found', 'There is no such grant.')

/** Returns a deadline in milliseconds since 1970. Throws `invalid_expiry`. */
function deadlineIn({ limits }: Principal, text: string): number {
  const deadline = Date.parse(text)
  const max = Math.min(MAX_DEADLINE_SECONDS, limits.maxExpiresIn ?? Infinity)
  const left = deadline - Date.now()
  if (left > 0 && left <= max * 1000) return deadline
  throw new ApiError('invalid_expiry', `deadline must be within ${max} seconds from now.`)
}
