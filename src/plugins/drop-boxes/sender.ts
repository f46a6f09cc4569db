import { type Limits, NO_LIMITS } from '../../access/limits.ts'
import type { Minter } from '../../access/minter.ts'
import type { Principal } from '../../access/principal.ts'
import { refuse, type Verdict } from '../../access/verdict.ts'
import { MAX_UPLOAD_AGE_SECONDS } from '../../bucket/limits.ts'
import { ApiError } from '../../errors/api-error.ts'
import { within } from '../../errors/deadline.ts'
import { describe } from '../../errors/describe.ts'
import type { AppContext, BearerKind, BegunUpload, Call, UploadSeams } from '../../http/app-env.ts'
import { chooseOpenBucket } from '../../http/choose-bucket.ts'
import { timeOf } from '../../http/deadline.ts'
import type { Change, ListedBytes, UploadStep } from '../../http/host.ts'
import { bearerIn } from '../../http/identify.ts'
import { addWarning } from '../../http/request-log.ts'
import { type Settings, takesOrigin } from '../../settings/settings.ts'
import { type Visited, visitItem } from '../../state/item.ts'
import { callObject, countryOf } from '../../state/object.ts'
import {
  type Ask,
  isOpen,
  MAX_URL_SECONDS,
  type Reserved,
  type Settled,
  type Stepped,
  takesRecords,
} from '../../state/reservation.ts'
import { objectExists } from '../../storage/s3.ts'
import {
  BOX_TOKEN_PREFIX,
  type BoxClaims,
  type BoxObject,
  boxObject,
  DROP_BOXES,
  openBoxToken,
  principalOf,
  type SeenBox,
  type StoredBox,
} from './box.ts'
import { abortUploads, tell } from './recheck.ts'

/** An event must not delay an upload by more. */
const EVENT_MILLISECONDS = 3000

export type VisitedBox = Visited<SeenBox>

/**
 * Returns a drop box that accepts files now, or with `isRecord` what was sent in time. Throws
 * `drop_box_closed`, also for what `visitItem` refuses.
 */
export async function openBox(
  c: AppContext,
  id: string | null,
  now: Date,
  isRecord = false,
): Promise<VisitedBox> {
  const visited = await visitItem(c, DROP_BOXES, id)
  const isReady = isRecord ? takesRecords : isOpen
  if (!isReady(visited.item, now.getTime())) throw closed()
  return visited
}

const closed = (): ApiError => DROP_BOXES.ended('drop box closed')

/** A request with the token of a page. */
interface Visit {
  readonly c: AppContext
  readonly claims: BoxClaims
  readonly object: BoxObject
  /** Null for an abort, which a closed box allows too. */
  readonly box: StoredBox | null
}

/**
 * What a sender may call. Whatever a later plugin adds is refused. Files come only in parts: a signed PUT could
 * arrive at any time, and more than once.
 */
const ALLOWED: readonly RegExp[] = [
  /^POST \/files$/,
  /^POST \/multipart(?:\/[^/]+\/(?:urls|complete))?$/,
  /^(?:GET|DELETE) \/multipart\/[^/]+$/,
  /^(?:GET|HEAD) \/limits$/,
]

/** What a sender who was in time may call after the deadline. */
const RECORDS = /^(?:POST \/files|POST \/multipart\/[^/]+\/complete|GET \/multipart\/[^/]+)$/

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
    const box = aborts ? null : (await openBox(c, id, now, RECORDS.test(called))).item
    const principal: Principal = {
      kind: 'token',
      id: principalOf(id),
      scopes: ['files:upload'],
      prefix: box?.key ?? '',
      expiresAt: exp * 1000,
      limits: box === null ? NO_LIMITS : limitsOf(box, now),
      context: null,
    }
    const visit = { c, claims, object: boxObject(c, id), box }
    c.set('uploadSeams', seamsOf(visit))
    c.set('writeOnce', { began: (upload) => began(visit, upload) })
    return { ok: true, principal }
  },
}

/** The URLs of a box end with it. */
function limitsOf(
  { bucket, maxBytes, allowedTypes, owner, deadline }: StoredBox,
  now: Date,
): Limits {
  const left = Math.max(1, Math.floor((deadline - now.getTime()) / 1000))
  const maxExpiresIn = Math.min(MAX_URL_SECONDS, left, owner.limits.maxExpiresIn ?? Infinity)
  return { buckets: [bucket], maxBytes, allowedTypes, maxExpiresIn }
}

/** What a sender is told about a refusal of the object of a box. */
const REFUSALS = {
  full: ['drop_box_full', 'There is no more room for this file in this drop box.'],
  arrived: ['object_exists', 'This file has arrived. Send another one as a new upload.'],
  ending: ['upload_ended', 'This upload is being given up. Start it again.'],
  gone: ['upload_not_found', 'This upload was given up. Start it again.'],
  unknown: ['forbidden', 'This file was not sent through this drop box.'],
} as const

const WAITS = {
  busy: 'You are sending too many files at once. Wait for one to arrive.',
  waiting: 'Others are sending now. Wait for them.',
  rechecking: 'This upload is being completed. Try again.',
} as const

function refusal(refused: (Reserved | Stepped | Settled) & { readonly ok: false }): ApiError {
  if (refused.why === 'closed') return closed()
  if ('seconds' in refused)
    return new ApiError('rate_limited', WAITS[refused.why], { retryAfterSeconds: refused.seconds })
  const [code, message] = REFUSALS[refused.why]
  return new ApiError(code, message)
}

/** Reserves a new upload. Aborts what an earlier start of the same key has begun. */
async function reserveIn(
  { c, claims, object }: Visit,
  { bucket, key, size }: Change & { type: 'upload' },
): Promise<void> {
  if (size === undefined)
    throw new ApiError('size_required', 'Send the size of the file, in bytes.')
  const { network, around, sender } = claims
  const ask: Ask = { key, size, network, around, sender, country: countryOf(c.req.raw) }
  const reserved = await callObject(c, () => object.reserve(ask, Date.now()))
  if (!reserved.ok) throw refusal(reserved)
  const { earlier } = reserved
  if (earlier === null) return
  try {
    const opened = await chooseOpenBucket(c, bucket, key)
    const head = await abortUploads(opened, key, earlier.s3UploadId, timeOf(c))
    if (head !== null) throw objectExists()
  } catch (error) {
    await callObject(c, () => object.undo(key, Date.now()))
    throw error
  }
}

/** Notes an upload in parts that has begun. Throws if it must be aborted. */
async function began({ c, object }: Visit, { key, s3UploadId }: BegunUpload): Promise<void> {
  const hasPlace = await callObject(c, () => object.began(key, s3UploadId))
  if (!hasPlace) throw refusal({ ok: false, why: 'gone' })
}

/** Aborts all uploads in parts of a key, and frees it. If that fails, the object does it later. */
async function abortIn({ c, object }: Visit, { bucket, key }: UploadStep): Promise<void> {
  const ending = await callObject(c, () => object.free(key, Date.now()))
  if (ending === null) return
  const opened = await chooseOpenBucket(c, bucket, key)
  const head = await abortUploads(opened, key, ending.s3UploadId, timeOf(c))
  // If it was complete already, the object counts it.
  if (head === null) await callObject(c, () => object.freed(key, Date.now()))
}

/** Lets an upload in parts go on, for longer if its parts arrive. */
async function goOn(
  { c, object }: Visit,
  { key }: UploadStep,
  listedBytes: ListedBytes,
): Promise<void> {
  const isLast = RECORDS.test(`${c.req.method} ${c.req.path}`)
  const step = await callObject(c, () => object.step(key, isLast, Date.now()))
  if (!step.ok) throw refusal(step)
  if (!step.counts) return
  const listed = await listedBytes()
  await callObject(c, () => object.renew(key, listed, Date.now()))
}

/** Nothing that outlives a request may name a sender: it would outlive the box. */
export const noSender: Minter = (id) => (id.startsWith(principalOf('')) ? null : undefined)

/** What a drop box adds to the uploads of a sender. */
function seamsOf(visit: Visit): UploadSeams {
  const { c, object, box } = visit
  return {
    async reserve(change) {
      if (change.type !== 'upload') throw notAnUpload()
      await reserveIn(visit, change)
      return () => callObject(c, () => object.undo(change.key, Date.now()))
    },
    step: (step, { listedBytes }) =>
      step.type === 'abort' ? abortIn(visit, step) : goOn(visit, step, listedBytes),
    async settle(change) {
      if (change.type === 'deleted') return
      if (box === null || change.type !== 'recorded') throw notAnUpload()
      const { file } = change
      const arrived = { ...file, at: Date.parse(file.createdAt) }
      const settled = await callObject(c, () => object.settle(arrived, Date.now()))
      if (!settled.ok) throw refusal(settled)
      if (!settled.isNew || c.env.instance.after === null) return
      try {
        await within(EVENT_MILLISECONDS, tell(box, file, settled, c.env.instance, c.executionCtx))
        await callObject(c, () => object.told(file.key))
      } catch (error) {
        // The object sends it later.
        addWarning(c, `event not sent: ${describe(error)}`)
      }
    },
  }
}

const notAnUpload = (): ApiError =>
  new ApiError('forbidden', 'A drop box takes only files, in parts: POST /multipart.')
