import { type Limits, mayUse, NO_LIMITS } from '../../access/limits.ts'
import type { Minter } from '../../access/minter.ts'
import type { Principal } from '../../access/principal.ts'
import { presentRights } from '../../access/stored-principal.ts'
import { refuse, type Verdict } from '../../access/verdict.ts'
import { MAX_UPLOAD_AGE_SECONDS } from '../../bucket/limits.ts'
import { ApiError } from '../../errors/api-error.ts'
import { within } from '../../errors/deadline.ts'
import { describe } from '../../errors/describe.ts'
import type { AppContext, BearerKind, Call, UploadSeams } from '../../http/app-env.ts'
import type { Change } from '../../http/host.ts'
import { bearerIn } from '../../http/identify.ts'
import { addWarning } from '../../http/request-log.ts'
import { type Settings, takesOrigin } from '../../settings/settings.ts'
import { callObject, countryOf, type Remote, stateObject } from '../../state/object.ts'
import {
  type Ask,
  BOX_SCOPES,
  type BoxState,
  isOpen,
  MAX_URL_SECONDS,
  principalOf,
  type Reserved,
  type StoredBox,
} from './box.ts'
import type { Ledger } from './ledger.ts'
import { tell } from './looks.ts'
import { BOX_TOKEN_PREFIX, type BoxClaims, openBoxToken } from './token.ts'

/** An event must not delay an upload by more. */
const EVENT_MILLISECONDS = 3000

export type BoxObject = Remote<Ledger>

/** Returns the object of the drop box with this public id. */
export const boxObject = (c: AppContext, id: string, locationHint?: string): BoxObject =>
  stateObject<Ledger>(c, 'DropBoxes', id, locationHint)

/** Returns the error for a box that is closed. Nobody learns why it is. */
export const closed = (): ApiError =>
  new ApiError('drop_box_closed', 'This drop box is closed. Ask who sent you here for a new one.')

const full = (): ApiError =>
  new ApiError('drop_box_full', 'There is no more room for this file in this drop box.')

export const busy = (message: string, retryAfterSeconds: number): ApiError =>
  new ApiError('rate_limited', message, { retryAfterSeconds })

/**
 * Returns a drop box that accepts files now. Throws `drop_box_closed`, also if its creator may no longer
 * do what the box lets others do, or its bucket is no longer configured.
 */
export async function openBox(
  c: AppContext,
  id: string,
  now: Date,
): Promise<BoxState & { readonly object: BoxObject }> {
  const object = boxObject(c, id)
  const state = await callObject(c, () => object.state())
  if (state === null || !isOpen(state.box, now.getTime())) throw closed()
  const { owner, bucket } = state.box
  const settings = c.get('settings')
  const minters = { ...settings, minters: c.env.instance.minters }
  const rights = presentRights(owner, minters, BOX_SCOPES)
  const isConfigured = settings.buckets.some(({ alias }) => alias === bucket)
  if (rights === null || !isConfigured || !mayUse(rights.limits, bucket)) throw closed()
  return { ...state, object }
}

/** A request with the token of a page. */
interface Visit {
  readonly c: AppContext
  readonly claims: BoxClaims
  readonly object: BoxObject
  /** Null for an abort, which a closed box allows too. */
  readonly box: StoredBox | null
}

/** What a sender may call. Whatever a later plugin adds is refused. */
const ALLOWED: readonly RegExp[] = [
  /^POST \/files(?:\/batch|\/upload-urls?)?$/,
  /^POST \/multipart(?:\/[^/]+\/(?:urls|complete))?$/,
  /^(?:GET|DELETE) \/multipart\/[^/]+$/,
  /^(?:GET|HEAD) \/limits$/,
]

/** Tells whether a page of `corsOrigins` asks whether it may send a request with a token. */
const isPreflight = (c: AppContext, settings: Settings): boolean =>
  c.req.method === 'OPTIONS' &&
  c.req.header('Access-Control-Request-Method') !== undefined &&
  /\bauthorization\b/i.test(c.req.header('Access-Control-Request-Headers') ?? '') &&
  takesOrigin(settings, c.req.header('Origin') ?? '')

/** Tells whether a request has a page's token, and none in its path, which would win. */
const isForLinkHost = (c: AppContext): boolean =>
  bearerIn(c)?.startsWith(BOX_TOKEN_PREFIX) === true && !c.req.path.startsWith('/u/')

/** The tokens of pages. Each request asks the object of its box. */
export const boxTokens: BearerKind = {
  prefix: BOX_TOKEN_PREFIX,
  isOwn: true,
  onLinkHost: (c, settings) => isForLinkHost(c) || isPreflight(c, settings),
  async verify(token: string, { c, settings, now, beforeFetch }: Call): Promise<Verdict> {
    const called = `${c.req.method} ${c.req.path}`
    // Otherwise, the parts would stay in the bucket. The upload id identifies its owner, bucket and key.
    const aborts = called.startsWith('DELETE /multipart/')
    const claims = await openBoxToken(settings, token, now, aborts ? MAX_UPLOAD_AGE_SECONDS : 0)
    if (typeof claims === 'string') return refuse(claims)
    if (!ALLOWED.some((one) => one.test(called))) throw notAnUpload()
    await beforeFetch()
    const { id, network, exp } = claims
    c.set('countAs', `${principalOf(id)} ${network}`)
    const { box, object } = aborts
      ? { box: null, object: boxObject(c, id) }
      : await openBox(c, id, now)
    const principal: Principal = {
      kind: 'token',
      id: principalOf(id),
      scopes: ['files:upload'],
      prefix: box?.prefix ?? '',
      expiresAt: exp * 1000,
      limits: box === null ? NO_LIMITS : limitsOf(box),
      context: null,
    }
    c.set('uploadSeams', seamsOf({ c, claims, object, box }))
    return { ok: true, principal }
  },
}

const limitsOf = ({ bucket, maxBytes, allowedTypes, owner }: StoredBox): Limits => ({
  buckets: [bucket],
  maxBytes,
  allowedTypes,
  maxExpiresIn: Math.min(MAX_URL_SECONDS, owner.limits.maxExpiresIn ?? MAX_URL_SECONDS),
})

/** Returns the answer to a reservation, or throws what it refuses. */
function requireReserved(reserved: Reserved): Reserved & { readonly ok: true } {
  if (reserved.ok) return reserved
  if (reserved.why === 'busy')
    throw busy('You are sending too many files at once. Wait for one to arrive.', reserved.seconds)
  throw reserved.why === 'closed' ? closed() : full()
}

const reserveIn = async (
  { c, claims, object }: Visit,
  { key, size }: Pick<Change & { type: 'upload' }, 'key' | 'size'>,
  parts: Pick<Ask, 'inParts' | 'isStart'>,
) => {
  if (size === undefined)
    throw new ApiError('size_required', 'Send the size of the file, in bytes.')
  const { network, session } = claims
  const ask: Ask = { key, size, ...parts, network, session, country: countryOf(c.req.raw) }
  return requireReserved(await callObject(c, () => object.reserve(ask, Date.now())))
}

/** Nothing that outlives a request may name a sender: it would outlive the box. */
export const noSender: Minter = (id) => (id.startsWith(principalOf('')) ? null : undefined)

/** What a drop box adds to the uploads of a sender. */
function seamsOf(visit: Visit): UploadSeams {
  const { c, object, box } = visit
  return {
    async reserve(change) {
      if (change.type !== 'upload') throw notAnUpload()
      const inParts = c.req.path.startsWith('/multipart')
      const { undo } = await reserveIn(visit, change, { inParts, isStart: inParts })
      return undo === null ? undefined : () => callObject(c, () => object.undo(change.key, undo))
    },
    async step(step) {
      if (step.type === 'abort') await callObject(c, () => object.abort(step.key, Date.now()))
      else await reserveIn(visit, step, { inParts: true, isStart: false })
    },
    async settle(change) {
      if (change.type === 'deleted') return undefined
      if (box === null || (change.type !== 'recorded' && change.type !== 'replaced'))
        throw notAnUpload()
      const { file } = change
      const arrived = { ...file, at: Date.parse(file.createdAt) }
      const settled = await callObject(c, () => object.settle(arrived, Date.now()))
      if (!settled.ok) {
        if (settled.why === 'closed') throw closed()
        if (settled.why === 'full') throw full()
        throw new ApiError('forbidden', 'This file was not sent through this drop box.')
      }
      const lost = () => callObject(c, () => object.lost(file.key, file.etag, true))
      if (!settled.isNew || c.env.instance.after === null) return lost
      try {
        await within(EVENT_MILLISECONDS, tell(box, file, settled, c.env.instance, c.executionCtx))
        await callObject(c, () => object.told(file.key, file.etag))
      } catch (error) {
        // The object sends it later.
        addWarning(c, `event not sent: ${describe(error)}`)
      }
      return lost
    },
  }
}

const notAnUpload = (): ApiError => new ApiError('forbidden', 'A drop box only takes files.')
