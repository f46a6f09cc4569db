import * as z from 'zod/mini'
import { mayUse } from '../../access/limits.ts'
import { type Principal, requirePrefix, requireScope } from '../../access/principal.ts'
import type { Scope } from '../../access/scopes.ts'
import { sixAtOnce } from '../../bucket/at-once.ts'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { findBucket } from '../../bucket/find-bucket.ts'
import { requireSpelling } from '../../bucket/key-spelling.ts'
import { MAX_KEYS } from '../../bucket/limits.ts'
import { placeOf } from '../../core/announce.ts'
import type { ForgetDropped } from '../../core/dropped.ts'
import { ApiError, asApiError } from '../../errors/api-error.ts'
import { type AppContext, Kept } from '../../http/app-env.ts'
import { chooseBucket, withCredentials } from '../../http/choose-bucket.ts'
import { timeOf } from '../../http/deadline.ts'
import {
  bucket,
  digits,
  itemError,
  type RefusedKey,
  refusedKey,
  usually,
} from '../../http/fields.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { validateJson, validateQuery } from '../../http/validate.ts'
import { type ObjectKey, parseKeyStart, parseObjectKey } from '../../keys/object-key.ts'
import { callObject, stateObject } from '../../state/object.ts'
import type { Upkeep } from './cloudflare.ts'
import { openDropped, openWalk, sealDropped, sealWalk, type WalkScope } from './cursor.ts'
import {
  NO_OPTIONS,
  ownerAsError,
  ownerError,
  ownerTemplate,
  type UpkeepSettings,
} from './options.ts'
import { goOn, lookAgainAt, startWalk } from './pass.ts'
import { restoreRecords } from './restore.ts'
import { roomFor } from './run.ts'
import { type Import, MODES, type Mode, type WalkState } from './state.ts'
import { stepWalk } from './walk.ts'
import { type WalkObject, walkName } from './walk-object.ts'
import { type Walker, walkedBuckets, walkThrough } from './walks.ts'

/** What the plugin has read of its options. */
export const UPKEEP = new Kept<UpkeepSettings>()

/** A cursor holds a state of up to 256 KiB in base64. */
const MAX_STEP_BODY_BYTES = 400 * 1024
/** Six at once, so a step ends within the deadline of its request. */
const MAX_STEP_REQUESTS = 300
/** Each needs two requests to the bucket. Cloudflare's free plan allows 50. */
const MAX_RESTORED = 20

/** Returns the schema of a text that `findError` accepts. */
const checked = (findError: (text: string) => string | null) =>
  z.string().check(
    z.superRefine((text, { issues }) => {
      const message = findError(text)
      if (message !== null) issues.push({ code: 'custom', input: text, message })
    }),
  )

const importSchema = z
  .strictObject({
    prefix: z.string(),
    owner: z.optional(checked(ownerError)),
    ownerAs: z.optional(checked(ownerAsError)),
  })
  .check(
    z.refine(({ owner, ownerAs }) => ownerAs === undefined || owner !== undefined, {
      path: ['ownerAs'],
      error: 'needs owner',
    }),
  )

const stepSchema = z.strictObject({
  bucket,
  cursor: z.optional(z.string()),
  mode: z.optional(z.enum(MODES)),
  import: z.optional(importSchema),
  goOn: z.optional(z.boolean()),
  // Some servers list from the last key on, again: a page of one object would never end.
  limit: z.optional(z.int().check(z.minimum(2), z.maximum(MAX_KEYS))),
})

const bucketSchema = z.strictObject({ bucket })

const droppedSchema = z.strictObject({
  limit: z.pipe(usually(digits, 100), z.int().check(z.minimum(1), z.maximum(MAX_KEYS))),
  cursor: z.optional(z.string()),
  bucket,
})

const restoreSchema = z.strictObject({
  keys: z.array(z.string()).check(z.minLength(1), z.maxLength(MAX_RESTORED)),
  bucket,
})

/** What upkeep has found, a walk step by step, and records that it has dropped. */
export const upkeepRoutes = newApp()
  .get('/upkeep', async (c) => {
    const { upkeep } = walkerFor(c, 'upkeep:read')
    const buckets = await sixAtOnce(usableBuckets(c, upkeep), async (alias) => {
      const { walk, dropped } = await callObject(c, () => walkObject(c, alias).status())
      return { bucket: alias, ...(walk ?? NOTHING_YET), dropped }
    })
    return json(c, { mode: upkeep.mode, plan: upkeep.plan, buckets })
  })
  .post('/upkeep/steps', validateJson(stepSchema, MAX_STEP_BODY_BYTES), async (c) => {
    const walker = walkerFor(c, 'upkeep:run')
    const { bucket: alias, cursor, import: given, limit, ...asked } = c.req.valid('json')
    const { settings, upkeep } = walker
    const chosen = wholeBucket(c, alias ?? usableBuckets(c, upkeep)[0])
    const scope = {
      bucket: chosen.alias,
      import: given === undefined ? null : importOf(given),
      mode: modeFor(asked.mode, upkeep, chosen.alias, given !== undefined),
    }
    const object = objectIfAny(c, chosen.alias)
    const now = timeOf(c)
    const room = roomFor(walker)
    const order = {
      ...scope,
      pageSize: Math.min(room.pageSize, limit ?? MAX_KEYS),
      maxRequests: Math.min(room.maxRequests, MAX_STEP_REQUESTS),
      operations: { left: room.operations },
      keep:
        object &&
        ((records: Parameters<WalkObject['keep']>[0], at: Date) =>
          callObject(c, () => object.keep(records, at.getTime()))),
    }
    const opened = cursor === undefined ? null : await openWalk(settings, scope, cursor, now)
    const walk = await walkThrough(walker, chosen, order, now)
    const start = opened ?? startWalk(walk, now, await lastWalk(c, object, scope))
    const first = asked.goOn ? goOn(start) : start
    const { state, isDone, toDrop, failure, ended } = await stepWalk(walk, first, now)
    const again = lookAgainAt(state)
    return json(c, {
      ...{ bucket: chosen.alias, buckets: usableBuckets(c, upkeep), mode: scope.mode },
      ...{ phase: state.phase, isDone, stopped: state.stopped, toDrop },
      counts: ended?.counts ?? state.counts,
      ...{
        suspects: state.suspects.length,
        last: state.last,
        failure: failure && itemError(failure),
      },
      ...(again !== null && { waitUntil: new Date(again).toISOString() }),
      cursor: await sealWalk(settings, scope, state, now),
    })
  })
  .post('/upkeep/go-on', validateJson(bucketSchema), async (c) => {
    walkerFor(c, 'upkeep:run')
    const { alias } = wholeBucket(c, c.req.valid('json').bucket)
    await callObject(c, () => walkObject(c, alias).goOn())
    return c.body(null, 204)
  })
  .get('/upkeep/dropped', validateQuery(droppedSchema), async (c) => {
    const { bucket: alias, limit, cursor } = c.req.valid('query')
    const { prefix, scope } = listScope(c, alias)
    const settings = c.get('settings')
    const start = await openDropped(settings, scope, cursor, timeOf(c))
    const object = walkObject(c, scope.bucket)
    const { items, next } = await callObject(c, () => object.dropped(prefix, limit, start))
    return json(c, {
      records: items.map(({ record, at }) => ({
        ...record,
        droppedAt: new Date(at).toISOString(),
      })),
      ...(next && { cursor: await sealDropped(settings, scope, next) }),
    })
  })
  .post('/upkeep/restore', validateJson(restoreSchema), async (c) => {
    const { bucket: alias, keys: given } = c.req.valid('json')
    const principal = c.get('principal')
    requireScope(principal, 'index:write')
    const chosen = chooseBucket(c, alias, null)
    const { keys, refused } = ownKeys(principal, chosen, given)
    const object = walkObject(c, chosen.alias)
    const open = await withCredentials(c, chosen)
    const dropped = await callObject(c, () => object.droppedOf(keys))
    const restored = await restoreRecords(placeOf(c, open), dropped, keys, (names) =>
      callObject(c, () => object.forget(names)),
    )
    return json(c, { records: [...restored, ...refused] })
  })

/** A bucket that no run has visited. */
const NOTHING_YET = {
  ...{ phase: null, startedAt: null, counts: null, suspects: 0, stopped: null, last: null },
} as const

/**
 * Returns who walks. Throws `forbidden` without the scope, and for a principal with a prefix: a walk is
 * about whole buckets.
 */
function walkerFor(c: AppContext, scope: Scope): Walker {
  const principal = c.get('principal')
  requireScope(principal, scope)
  requirePrefix(principal, '')
  const { instance } = c.env
  return {
    ...{ instance, settings: c.get('settings'), context: c.executionCtx },
    upkeep: UPKEEP.of(instance) ?? NO_OPTIONS,
  }
}

/** Returns the bucket without the principal's limits. Throws what `chooseBucket` throws. */
const wholeBucket = (c: AppContext, alias: string | undefined): ConfiguredBucket =>
  findBucket(c.get('settings'), chooseBucket(c, alias, null).alias)

/** Returns the aliases that upkeep walks through and the principal may use. */
const usableBuckets = (c: AppContext, upkeep: UpkeepSettings): string[] =>
  walkedBuckets(c.get('settings'), upkeep)
    .map(({ alias }) => alias)
    .filter((alias) => mayUse(c.get('principal').limits, alias))

const walkObject = (c: AppContext, alias: string): WalkObject =>
  stateObject<Upkeep>(c, 'Upkeep', walkName(alias))

/** Returns the object of a bucket's walk, or null where there are no Durable Objects, as on Node. */
function objectIfAny(c: AppContext, alias: string): WalkObject | null {
  try {
    return walkObject(c, alias)
  } catch (error) {
    if (/^(?:not_supported|misconfigured)$/.test(asApiError(error)?.code ?? '')) return null
    throw error
  }
}

/** Resolves with 0 outside of Workers, where none is kept. Throws `unavailable`. */
export const forgetDropped: ForgetDropped = async (c, bucket, prefix, before) => {
  const object = objectIfAny(c, bucket)
  return object === null ? 0 : callObject(c, () => object.forgetBelow(prefix, before))
}

/** Returns what the scheduled walk knows of the bucket. An import is about a part of it. */
const lastWalk = async (
  c: AppContext,
  object: WalkObject | null,
  scope: WalkScope,
): Promise<WalkState | null> =>
  object === null || scope.import !== null ? null : callObject(c, () => object.state())

/** Returns what to import. Throws `invalid_key`. */
const importOf = ({ prefix, owner, ownerAs }: z.output<typeof importSchema>): Import => ({
  prefix: parseKeyStart(prefix),
  ...(ownerTemplate(owner, ownerAs) ?? { owner: null, ownerAs: '' }),
})

/** Returns the mode of a step. Nobody may do more than the settings allow, but an import is an order of its own. Throws `forbidden`. */
function modeFor(
  asked: Mode | undefined,
  { mode, buckets }: UpkeepSettings,
  alias: string,
  isImport: boolean,
): Mode {
  if (isImport) return asked ?? 'record'
  const allowed = buckets?.includes(alias) === false ? 'report' : mode
  const wanted = asked ?? allowed
  if (MODES.indexOf(wanted) <= MODES.indexOf(allowed)) return wanted
  throw new ApiError(
    'forbidden',
    `The settings of upkeep allow only ${allowed} for this bucket. Change UPKEEP.mode first.`,
  )
}

/** Returns the list of dropped records that a request asks for. Throws `forbidden`. */
function listScope(c: AppContext, alias: string | undefined) {
  const principal = c.get('principal')
  requireScope(principal, 'index:write')
  const { prefix } = principal
  return { prefix, scope: { bucket: chooseBucket(c, alias, prefix).alias, prefix } }
}

/** Returns the distinct keys that the principal may restore, and why it may not restore the others. */
function ownKeys(
  principal: Principal,
  chosen: ConfiguredBucket,
  given: readonly string[],
): { keys: ObjectKey[]; refused: RefusedKey[] } {
  const keys = new Set<ObjectKey>()
  const refused: RefusedKey[] = []
  for (const text of new Set(given))
    try {
      const key = parseObjectKey(text)
      requirePrefix(principal, key)
      requireSpelling(chosen, key)
      keys.add(key)
    } catch (error) {
      refused.push(refusedKey(text, error))
    }
  return { keys: [...keys], refused }
}
