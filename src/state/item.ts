import { mayUse } from '../access/limits.ts'
import { hashGuess, hashPassword, type PasswordHash } from '../access/password.ts'
import type { Principal } from '../access/principal.ts'
import { purpose, purposeKey } from '../access/purpose-key.ts'
import type { Scope } from '../access/scopes.ts'
import type { SigningSettings } from '../access/settings.ts'
import { presentRights, type StoredPrincipal, storedPrincipal } from '../access/stored-principal.ts'
import type { ConfiguredBucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import { describe } from '../errors/describe.ts'
import { logWarning } from '../errors/warnings.ts'
import type { AppContext } from '../http/app-env.ts'
import { afterOf } from '../http/deadline.ts'
import { networksOf } from '../http/rate-limit.ts'
import { base64url, sha256, utf8 } from '../keys/encodings.ts'
import { actorOf, type ShareChange, type ShareName } from '../records/file-event.ts'
import type { StateObject } from './cloudflare.ts'
import { callObject, countryOf, type Remote } from './object.ts'

const MAX_DEADLINE_SECONDS = 366 * 86_400
/** 128 random bits in base64url. Whoever has them may use what they name. */
const SECRET_ID = /^[\w-]{21}[AQgw]$/
/** The owner gets an event after 10 wrong passwords, and after 100, 1000 and so on. */
const EVENT_COUNTS = /^10+$/

/** What a grant and a drop box have in common, as their objects keep it. Times are in milliseconds since 1970. */
export interface Item {
  readonly version: 1
  /** The public id, which is also the name of the object. */
  readonly id: string
  /** The secret id, which is in the URL of the page. */
  readonly secret: string
  /** Its creator. */
  readonly owner: StoredPrincipal
  /** Alias of the bucket. */
  readonly bucket: string
  /** The key of its file, or the prefix of its files. */
  readonly key: string
  readonly deadline: number
  /** How long it is kept after its deadline. */
  readonly keptSeconds: number
  readonly password: PasswordHash | null
  readonly createdAt: number
}

/** What an object says about its item. */
export type Seen<T extends Item = Item> = T & {
  /** How many guesses of the password were wrong. */
  readonly wrongPasswords: number
}

/** The object of an item, as the Worker calls it. `S` is what it says about the item. */
export interface ItemObject<S extends Seen>
  extends Remote<
    Pick<StateObject<Item>, 'end' | 'erase' | 'guess' | 'list' | 'unlist' | 'listed'>
  > {
  create(item: Item): Promise<void>
  readonly read: () => Promise<S | null>
}

/** Grants, or drop boxes: how they are called, and what is different about them. */
export interface ItemKind<S extends Seen> {
  readonly object: (c: AppContext, name: string, locationHint?: string) => ItemObject<S>
  readonly noun: string
  /** Scopes of who creates an item, also later, when somebody uses it. The first one is enough to end it. */
  readonly scopes: readonly [Scope, ...Scope[]]
  /** How long an item is kept after its deadline. */
  readonly keptSeconds: number
  /** What events call it. */
  readonly about: (item: S) => { readonly grant: ShareName } | { readonly dropBox: ShareName }
  /** The error of an item that nobody can use. Only its cause, for the log, says why. */
  readonly ended: (cause: string) => ApiError
}

export const newSecretId = (): string => base64url(crypto.getRandomValues(new Uint8Array(16)))

export const isSecretId = (text: string): boolean => SECRET_ID.test(text)

/**
 * Returns the public id, in the API, in events and in records: the first 128 bits of the SHA-256 of a secret
 * id. It is also the name of the Durable Object. Returns null for no secret id.
 */
export const publicIdOf = async (secretId: string): Promise<string | null> =>
  isSecretId(secretId) ? (await sha256(secretId)).slice(0, 32) : null

export const isPublicId = (text: string): boolean => /^[0-9a-f]{32}$/.test(text)

/**
 * Returns names for the client's network and the larger ones around it, which only the object with this public
 * id knows, since addresses are not kept. For names that a rotation of the secrets must not change, pass the
 * `kid` of one.
 */
export async function networkNames(
  { signingSecrets }: SigningSettings,
  id: string,
  connectingIp: string | undefined,
  kid?: string,
): Promise<string[]> {
  const secret = signingSecrets.find((one) => one.kid === kid) ?? signingSecrets[0]
  const key = await purposeKey(secret, purpose('network'))
  const names = networksOf(connectingIp).map(async (network) => {
    const signature = await crypto.subtle.sign('HMAC', key, utf8(`${id} ${network}`))
    return base64url(new Uint8Array(signature).subarray(0, 12))
  })
  return Promise.all(names)
}

/** Returns what a new item has in common with others. Throws `invalid_expiry`. */
export async function newItem(
  c: AppContext,
  { keptSeconds }: { readonly keptSeconds: number },
  principal: Principal,
  {
    password,
    ...asked
  }: Pick<Item, 'bucket' | 'key' | 'deadline'> & { readonly password: string | undefined },
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
export interface Visited<S extends Seen> {
  readonly item: S
  /** Its creator, with the rights that are left. */
  readonly owner: Principal
  readonly bucket: ConfiguredBucket
}

/**
 * Returns the item with this public id. Throws what `kind.ended` returns for an unknown one, if its creator
 * may no longer do what it lets others do, and if nobody can check its password any more.
 */
export async function visitItem<S extends Seen>(
  c: AppContext,
  kind: ItemKind<S>,
  id: string | null,
): Promise<Visited<S>> {
  const ended = (cause: string) => kind.ended(`${kind.noun} ${cause}`)
  const item = id === null ? null : await callObject(c, () => kind.object(c, id).read())
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
  return { item, owner, bucket }
}

/**
 * Checks a visitor's password, if there is one. Throws `password_wrong`, and `rate_limited` for a network
 * that has to wait.
 */
export async function requirePassword<S extends Seen>(
  c: AppContext,
  kind: ItemKind<S>,
  { item, owner }: Pick<Visited<S>, 'item' | 'owner'>,
  given: string | null | undefined,
): Promise<void> {
  const { id, password, bucket, key } = item
  if (password === null) return
  // No guess: a page finds out whether there is a password.
  if (!given) throw new ApiError('password_wrong', 'Enter the password.')
  const settings = c.get('settings')
  const hash = await hashGuess(settings, password, given)
  if (hash === null) throw kind.ended(`${kind.noun} password of a removed secret`)
  const address = c.req.header('CF-Connecting-IP')
  const networks = await networkNames(settings, id, address, password.kid)
  const object = kind.object(c, id)
  const { isRight, waitSeconds, wrong } = await callObject(c, () =>
    object.guess(networks, hash, Date.now()),
  )
  if (isRight) return
  if (waitSeconds > 0)
    throw new ApiError(
      'rate_limited',
      `Too many wrong passwords. Try again in ${waitSeconds} ${waitSeconds === 1 ? 'second' : 'seconds'}.`,
      { retryAfterSeconds: waitSeconds },
    )
  if (EVENT_COUNTS.test(`${wrong}`)) {
    const guessed = { type: 'guessed', file: { bucket, key }, wrongPasswords: wrong } as const
    announce(c, owner, { ...guessed, ...kind.about(item), country: countryOf(c.req.raw) })
  }
  throw new ApiError('password_wrong', 'The password is wrong.')
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
