import * as z from 'zod/mini'
import { requirePrefix } from '../../access/principal.ts'
import { storedKey } from '../../bucket/key-spelling.ts'
import { askToDownload } from '../../core/ask-app.ts'
import { MAX_LINK_NAME_LENGTH } from '../../core/link.ts'
import { objectNotFound } from '../../core/record.ts'
import { invalidMember } from '../../errors/api-error.ts'
import { chooseBucket, withCredentials } from '../../http/choose-bucket.ts'
import { fileIndexOf, timeOf } from '../../http/deadline.ts'
import { bucket, instant, newPassword } from '../../http/fields.ts'
import { linkBase } from '../../http/link-host.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { validateJson, validateQuery } from '../../http/validate.ts'
import { nameInKey } from '../../keys/new-key.ts'
import { parseObjectKey } from '../../keys/object-key.ts'
import { newItem, requireDeadline } from '../../state/item.ts'
import {
  createItem,
  endItem,
  itemsQuery,
  listItem,
  listItems,
  notFound,
  ownItem,
  requireRights,
} from '../../state/item-routes.ts'
import { callObject } from '../../state/object.ts'
import { headObject } from '../../storage/object.ts'
import type { LinkSteps } from '../links/index.ts'
import { GRANTS, type Grant, type GrantChanges, grantObject, showGrant } from './grant.ts'

const MAX_USES = 1_000_000
const MAX_LABEL_LENGTH = 200

const uses = z.int().check(z.minimum(1), z.maximum(MAX_USES))

const label = z.string().check(
  z.minLength(1),
  z.maxLength(MAX_LABEL_LENGTH),
  z.refine(
    (text) => text.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text),
    'must be one line of well-formed Unicode',
  ),
)

/** Creates, lists, changes and revokes grants. */
export function grantRoutes({ restrictions }: LinkSteps) {
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
    restrictions: z.optional(restrictions),
  })
  const changesSchema = z.strictObject({
    uses: z.optional(z.nullable(uses)),
    label: z.optional(z.nullable(label)),
    deadline: z.optional(deadline),
  })

  return newApp()
    .post('/grants', validateJson(grantSchema), async (c) => {
      const principal = requireRights(c, GRANTS)
      const { key: given, bucket: alias, password, restrictions, ...asked } = c.req.valid('json')
      const key = parseObjectKey(given)
      requirePrefix(principal, key)
      const bucket = chooseBucket(c, alias, key)
      const { direct = false } = asked
      if (direct && password !== undefined)
        throw invalidMember('password', "can't be combined with direct")
      const place = { bucket: bucket.alias, key }
      const deadline = Date.parse(asked.deadline)
      const item = await newItem(c, GRANTS, principal, { ...place, deadline, password })
      const base = linkBase(c)
      await askToDownload(c, bucket, key, 'grant')
      const open = await withCredentials(c, bucket)
      const head = await headObject(open, storedKey(bucket, key), timeOf(c))
      if (head === null) throw objectNotFound()
      const record = await fileIndexOf(c).get(bucket.alias, key)
      const grant: Grant = {
        ...item,
        name: record?.name ?? nameInKey(key),
        size: head.size,
        label: asked.label ?? null,
        uses: asked.uses ?? null,
        used: 0,
        direct,
        download: asked.download ?? null,
        restrictions: Object.keys(restrictions ?? {}).length === 0 ? null : (restrictions ?? null),
        lastUsedAt: null,
        pages: [],
      }
      await createItem(c, GRANTS, grant)
      const location = `${c.env.host.mountPath}/grants/${grant.id}`
      const shown = showGrant({ ...grant, wrongPasswords: 0 }, base)
      return json(c, shown, 201, { Location: location })
    })
    .get('/grants', validateQuery(itemsQuery), async (c) => {
      const { items, more } = await listItems(c, GRANTS, c.req.valid('query'), showGrant)
      return json(c, { grants: items, ...more })
    })
    .get('/grants/:id', async (c) => {
      requireRights(c, GRANTS)
      return json(c, showGrant(await ownItem(c, GRANTS), linkBase(c)))
    })
    .delete('/grants/:id', (c) => endItem(c, GRANTS))
    .patch('/grants/:id', validateJson(changesSchema), async (c) => {
      const principal = requireRights(c, GRANTS)
      const { uses, label, deadline } = c.req.valid('json')
      const changes: GrantChanges = {
        ...(uses !== undefined && { uses }),
        ...(label !== undefined && { label }),
        ...(deadline !== undefined && { deadline: Date.parse(deadline) }),
      }
      if (changes.deadline !== undefined) requireDeadline(principal, changes.deadline)
      const base = linkBase(c)
      const item = await ownItem(c, GRANTS)
      // First the lists, so that after a failure they don't forget the grant too early.
      if (changes.deadline !== undefined)
        await listItem(c, GRANTS, { ...item, deadline: changes.deadline })
      const changed = await callObject(c, () => grantObject(c, item.id).change(changes))
      if (changed === null) throw notFound(GRANTS)
      return json(c, showGrant(changed, base))
    })
}
