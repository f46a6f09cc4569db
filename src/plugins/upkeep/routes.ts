import * as z from 'zod/mini'
import { mayUse } from '../../access/limits.ts'
import { requirePrefix, requireScope } from '../../access/principal.ts'
import type { Scope } from '../../access/scopes.ts'
import { sixAtOnce } from '../../bucket/at-once.ts'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { findBucket } from '../../bucket/find-bucket.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { chooseBucket } from '../../http/choose-bucket.ts'
import { timeOf } from '../../http/deadline.ts'
import { bucket } from '../../http/fields.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { validateJson } from '../../http/validate.ts'
import { parseKeyStart } from '../../keys/object-key.ts'
import { begin, type Driver, type Home, homeOf, modeOf, walkedBuckets, walkName } from './driver.ts'
import { NO_OPTIONS, ownerAsError, ownerError, ownerTemplate, UPKEEP } from './options.ts'
import { goOn, type Import, MODES, type Mode, type Order, type WalkState } from './state.ts'

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

const walkSchema = z.strictObject({
  bucket,
  mode: z.optional(z.enum(MODES)),
  import: z.optional(importSchema),
  pass: z.optional(z.string()),
  restart: z.optional(z.boolean()),
})

const bucketSchema = z.strictObject({ bucket })

/** What upkeep has found, and a person's orders to walk. */
export const upkeepRoutes = newApp()
  .get('/upkeep', async (c) => {
    const driver = driverFor(c, 'upkeep:read')
    const { upkeep, settings } = driver
    const buckets = await sixAtOnce(usableBuckets(c, driver), async (alias) => {
      const home = homeOf(driver, findBucket(settings, alias), timeOf(c))
      return { bucket: alias, ...(await statusOf(home, alias)) }
    })
    return json(c, { mode: upkeep.mode, plan: upkeep.plan, buckets })
  })
  .post('/upkeep/walk', validateJson(walkSchema), async (c) => {
    const driver = driverFor(c, 'upkeep:run')
    const { bucket: alias, mode, import: given, pass, restart = false } = c.req.valid('json')
    const chosen = wholeBucket(c, alias ?? usableBuckets(c, driver)[0])
    const isImport = given !== undefined
    const order: Order = {
      mode: isImport ? (mode ?? 'record') : requireMode(mode, modeOf(driver.upkeep, chosen.alias)),
      import: isImport ? importOf(given) : null,
      isWaited: true,
    }
    const now = timeOf(c)
    const home = homeOf(driver, chosen, now)
    const name = walkName(chosen, order)
    const state = (await home.store.states([name])).get(name)
    if (pass === undefined && (restart || !isUnder(order, state)))
      await begin(home, chosen, order, now, state)
    await home.wake(now)
    return json(c, {
      bucket: chosen.alias,
      buckets: usableBuckets(c, driver),
      ...(await statusOf(home, name)),
    })
  })
  .post('/upkeep/go-on', validateJson(bucketSchema), async (c) => {
    const driver = driverFor(c, 'upkeep:run')
    const chosen = wholeBucket(c, c.req.valid('json').bucket)
    const home = homeOf(driver, chosen, timeOf(c))
    const state = (await home.store.states([chosen.alias])).get(chosen.alias)
    if (state?.stopped) {
      await home.store.put(chosen.alias, goOn(state, timeOf(c)))
      await home.wake(timeOf(c))
    }
    return c.body(null, 204)
  })

/** Tells whether a walk is at work with this order, or stopped at it. A stop that is held is of an earlier one. */
const isUnder = (order: Order, state: WalkState | undefined): boolean =>
  state !== undefined &&
  (state.phase !== 'idle' || (state.stopped !== null && state.held === null)) &&
  state.order.mode === order.mode &&
  JSON.stringify(state.order.import) === JSON.stringify(order.import)

/** Returns how far a walk has come, with nulls before the first one. */
async function statusOf({ store }: Home, name: string) {
  const { state, nextAt, collected, failing } = await store.status(name)
  return {
    mode: state?.order.mode ?? null,
    phase: state?.phase ?? null,
    startedAt: state?.startedAt ?? null,
    counts: state?.counts ?? null,
    collected,
    failing,
    nextAt: nextAt === null ? null : new Date(nextAt).toISOString(),
    failures: state?.failures ?? 0,
    failure: state?.failure ?? null,
    stopped: state?.stopped ?? null,
    last: state?.last ?? null,
  }
}

/**
 * Returns who walks. Throws `forbidden` without the scope, and for a principal with a prefix: a walk is
 * about whole buckets.
 */
export function driverFor(c: AppContext, scope: Scope): Driver {
  const principal = c.get('principal')
  requireScope(principal, scope)
  requirePrefix(principal, '')
  const { instance } = c.env
  return {
    instance,
    settings: c.get('settings'),
    context: c.executionCtx,
    upkeep: UPKEEP.of(instance) ?? NO_OPTIONS,
  }
}

/** Returns the bucket without the principal's limits. Throws what `chooseBucket` throws. */
export const wholeBucket = (c: AppContext, alias: string | undefined): ConfiguredBucket =>
  findBucket(c.get('settings'), chooseBucket(c, alias, null).alias)

/** Returns the aliases that upkeep walks through and the principal may use. */
const usableBuckets = (c: AppContext, { settings, upkeep }: Driver): string[] =>
  walkedBuckets(settings, upkeep)
    .map(({ alias }) => alias)
    .filter((alias) => mayUse(c.get('principal').limits, alias))

/** Returns what to import. Throws `invalid_key`. */
const importOf = ({ prefix, owner, ownerAs }: z.output<typeof importSchema>): Import => ({
  prefix: parseKeyStart(prefix),
  owner: ownerTemplate(owner, ownerAs),
})

/** Returns the mode of a walk. Throws `forbidden` for more than the settings allow. */
function requireMode(asked: Mode | undefined, allowed: Mode): Mode {
  const wanted = asked ?? allowed
  if (MODES.indexOf(wanted) <= MODES.indexOf(allowed)) return wanted
  throw new ApiError(
    'forbidden',
    `The settings of upkeep allow only ${allowed} for this bucket. Change UPKEEP.mode first.`,
  )
}
