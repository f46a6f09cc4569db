import type { SigningSettings } from '../access/settings.ts'
import { ApiError, asApiError } from '../errors/api-error.ts'
import { inTime } from '../errors/deadline.ts'
import type { Warning } from '../errors/warnings.ts'
import type { AppContext, Instance } from '../http/app-env.ts'
import { timeOf } from '../http/deadline.ts'
import { ON_WORKERS } from '../http/runtime.ts'

/** A class of Durable Objects, as `ctx.exports` has those of the Worker itself. */
interface Namespace {
  getByName(name: string, options?: { readonly locationHint?: string | undefined }): object
}

type Method<A extends unknown[] = never[], R = unknown> = (...given: A) => R

/** An object as the Worker calls it: each method resolves with its result. */
export type Remote<T> = {
  readonly [K in keyof T as T[K] extends Method ? K : never]: T[K] extends Method<infer A, infer R>
    ? Method<A, Promise<Awaited<R>>>
    : never
}

const CALL_MILLISECONDS = 5000

/** Returns the object called `name` for a request. Throws what `stateObjectIn` throws. */
export const stateObject = <T extends object>(
  c: AppContext,
  className: string,
  name: string,
  locationHint?: string,
): Remote<T> => stateObjectIn<T>(c.executionCtx, c.get('settings'), className, name, locationHint)

/**
 * Returns the object called `name` of the class that the Worker exports as `className`. It is not
 * called yet. Instances with different names share the class, and no object. Throws `not_supported`
 * outside of Workers, and `misconfigured` without that class. `context` is the execution context.
 */
export function stateObjectIn<T extends object>(
  context: object,
  { signingSecrets }: SigningSettings,
  className: string,
  name: string,
  locationHint?: string,
): Remote<T> {
  const found = exported(context, className)
  const instance = signingSecrets[0].name
  if (isNamespace(found))
    return found.getByName(instance === '' ? name : `${instance}/${name}`, {
      locationHint,
    }) as Remote<T>
  if (!ON_WORKERS)
    throw new ApiError('not_supported', 'This needs Durable Objects, which only Workers have.')
  throw new ApiError(
    'misconfigured',
    `${className} is not a Durable Object class of this Worker. Export it, and declare it in wrangler.toml: docs/share.md#set-it-up.`,
    { reason: 'settings', cause: className },
  )
}

/** Returns the seam that warns unless the Worker exports `className` as a class of Durable Objects. */
export const warnWithout =
  (className: string, warning: Warning) =>
  (context: object): readonly Warning[] =>
    isNamespace(exported(context, className)) ? [] : [warning]

const exported = (context: object, className: string): unknown =>
  Reflect.get(Object(Reflect.get(context, 'exports') ?? undefined), className)

/** A class that is exported, but not declared in wrangler.toml, has no `getByName`. */
const isNamespace = (value: unknown): value is Namespace =>
  (typeof value === 'object' || typeof value === 'function') &&
  value !== null &&
  typeof Reflect.get(value, 'getByName') === 'function'

/** Resolves with the result of a request's call to an object. Throws what `callObjectAt` throws. */
export const callObject = <T>(c: AppContext, call: () => Promise<T>): Promise<T> =>
  callObjectAt(timeOf(c), call)

/**
 * Resolves with the result of a call to an object. Throws `unavailable` if it fails or takes too
 * long: then nothing is served. Without its class, throws what `stateObjectIn` throws.
 */
export async function callObjectAt<T>(now: Date, call: () => Promise<T>): Promise<T> {
  try {
    return await inTime(CALL_MILLISECONDS, now, call)
  } catch (cause) {
    if (asApiError(cause) !== null) throw cause
    throw notLookedUp(cause)
  }
}

/** Returns the error for an object that can't be asked. */
export const notLookedUp = (cause: unknown): ApiError =>
  new ApiError('unavailable', 'This could not be looked up. Try again.', {
    reason: 'state',
    cause,
    retryAfterSeconds: 5,
  })

/** Places for objects (Cloudflare's location hints), by the continent of a request. */
const HINTS: Readonly<Record<string, string>> = {
  AF: 'afr',
  AS: 'apac',
  EU: 'weur',
  NA: 'enam',
  OC: 'oc',
  SA: 'sam',
}

/** Returns where to create an object near the client, or undefined if that is unknown. */
export const hintFor = ({ cf }: Request): string | undefined => HINTS[String(cf?.continent)]

/** Returns the client's country (ISO 3166), as Cloudflare reports it, or null. */
export const countryOf = ({ cf }: Request): string | null =>
  typeof cf?.country === 'string' ? cf.country : null

/** What a class of Durable Objects needs of a presigner: its settings, its index and its plugins. */
export interface ObjectOwner<E> {
  readonly instance: (env: E) => Instance
}

/** Returns an execution context for the work of an object. Nothing can pass through: it has no request. */
export const objectContext = (ctx: DurableObjectState): Parameters<Instance['objects']>[0] => ({
  waitUntil: (promise: Promise<unknown>) => ctx.waitUntil(promise),
  passThroughOnException: () => undefined,
  props: {},
  exports: Reflect.get(ctx, 'exports'),
})
