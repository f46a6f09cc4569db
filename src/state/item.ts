import { mayUse } from '../access/limits.ts'
import { hashPassword } from '../access/password.ts'
import type { Principal } from '../access/principal.ts'
import type { Scope } from '../access/scopes.ts'
import { presentRights, storedPrincipal } from '../access/stored-principal.ts'
import type { ConfiguredBucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import { describe } from '../errors/describe.ts'
import { logWarning } from '../errors/warnings.ts'
import type { AppContext } from '../http/app-env.ts'
import { afterOf } from '../http/deadline.ts'
import { actorOf, type ShareChange, type ShareName } from '../records/file-event.ts'
import type { StateObject } from './cloudflare.ts'
import type { Item, Seen } from './list.ts'
import { callObject, type Remote } from './object.ts'
import { newSecretId, publicIdOf } from './secret-id.ts'

const MAX_DEADLINE_SECONDS = 366 * 86_400

/** The object of an item, as the Worker calls it. `S` is what it says about it. */
export type ItemObject<T extends Item, S> = Remote<
  Pick<StateObject<T>, 'create' | 'end' | 'erase' | 'guess' | 'list' | 'unlist' | 'listed'>
> & { readonly read: () => Promise<S | null> }

/** Grants, or drop boxes: how they are called, and what is different about them. */
export interface ItemKind<T extends Item, S extends Seen<T>, O extends ItemObject<T, S>> {
  readonly object: (c: AppContext, name: string, locationHint?: string) => O
  readonly noun: string
  /** Scopes of who creates an item, also later, when somebody uses it. The first one is enough to end it. */
  readonly scopes: readonly [Scope, ...Scope[]]
  /** How long an item is kept after its deadline. */
  readonly keptSeconds: number
  /** What events call it. */
  readonly about: (item: T) => { readonly grant: ShareName } | { readonly dropBox: ShareName }
  /** The error of an item that nobody can use. Only its cause, for the log, says why. */
  readonly ended: (cause: string) => ApiError
}

/** What a request says about a new item. */
type Asked = Pick<Item, 'bucket' | 'key' | 'deadline'> & { readonly password: string | undefined }

/** Returns what a new item has in common with others. Throws `invalid_expiry`. */
export async function newItem(
  c: AppContext,
  { keptSeconds }: { readonly keptSeconds: number },
  principal: Principal,
  { password, ...asked }: Asked,
): Promise<Item> {
  requireDeadline(principal, asked.deadline)
  const secret = newSecretId()
  return {
    version: 1,
    id: (await publicIdOf(secret)) ?? '',
    secret,
    owner: storedPrincipal(principal),
    ...asked,
    keptSeconds,
    password: password === undefined ? null : await hashPassword(c.get('settings'), password),
    createdAt: Date.now(),
  }
}

/** Throws `invalid_expiry` for a deadline in the past, or too far ahead for the caller. */
export function requireDeadline({ limits }: Principal, deadline: number): void {
  const max = Math.min(MAX_DEADLINE_SECONDS, limits.maxExpiresIn ?? Infinity)
  const left = deadline - Date.now()
  if (left <= 0 || left > max * 1000)
    throw new ApiError('invalid_expiry', `deadline must be within ${max} seconds from now.`)
}

/** An item that a visitor may use, if the password is right. */
export interface Visited<S extends Item, O> {
  readonly item: S
  readonly object: O
  /** Its creator, with the rights that are left. */
  readonly owner: Principal
  readonly bucket: ConfiguredBucket
}

/**
 * Returns the item with this public id. Throws what `kind.ended` returns for an unknown one, if its creator
 * may no longer do what it lets others do, and if nobody can check its password any more.
 */
export async function visitItem<T extends Item, S extends Seen<T>, O extends ItemObject<T, S>>(
  c: AppContext,
  kind: ItemKind<T, S, O>,
  id: string | null,
): Promise<Visited<S, O>> {
  const ended = (cause: string) => kind.ended(`${kind.noun} ${cause}`)
  if (id === null) throw ended('unknown')
  const object = kind.object(c, id)
  const item = await callObject(c, () => object.read())
  if (item === null) throw ended('unknown')
  const { buckets, signingSecrets, openOnLocalhost } = c.get('settings')
  const bucket = buckets.find(({ alias }) => alias === item.bucket)
  if (bucket === undefined) throw ended('bucket not configured')
  c.set('bucket', bucket.alias)
  const { minter: minters } = c.env.instance.seams
  const owner = presentRights(item.owner, { minters, openOnLocalhost }, kind.scopes)
  if (owner === null || !mayUse(owner.limits, bucket.alias))
    throw ended('minter has lost its rights')
  const { password } = item
  if (password !== null && signingSecrets.every(({ kid }) => kid !== password.kid))
    throw ended('password of a removed secret')
  return { item, object, owner, bucket }
}

/** Sends an event of an item. The visitor doesn't wait for it. */
export function announce(
  c: AppContext,
  owner: Pick<Principal, 'id' | 'context'>,
  change: ShareChange,
): void {
  const after = afterOf(c)
  if (after === null) return
  const told = after({ ...change, ...actorOf(owner) }, null, new Date(), c.executionCtx)
  const requestId = c.get('requestId')
  c.executionCtx.waitUntil(
    told.catch((error: unknown) =>
      logWarning('event not sent', { requestId, reason: describe(error) }),
    ),
  )
}
