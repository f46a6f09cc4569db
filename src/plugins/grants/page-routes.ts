import { mayUse, narrowBucket } from '../../access/limits.ts'
import { signLink } from '../../access/link-signature.ts'
import type { Principal } from '../../access/principal.ts'
import { seal, unseal } from '../../access/seal.ts'
import { presentRights } from '../../access/stored-principal.ts'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { storedKey } from '../../bucket/key-spelling.ts'
import { askToDownload } from '../../core/ask-app.ts'
import { objectNotFound } from '../../core/record.ts'
import { ApiError } from '../../errors/api-error.ts'
import { describe } from '../../errors/describe.ts'
import { logWarning } from '../../errors/warnings.ts'
import { configure } from '../../http/admit.ts'
import type { AppContext } from '../../http/app-env.ts'
import { withCredentials } from '../../http/choose-bucket.ts'
import { afterOf, readInOwnTime, timeOf } from '../../http/deadline.ts'
import { pageErrors, requireOwnPage, toLinkHost } from '../../http/html-page.ts'
import { askedUrl, linkBase } from '../../http/link-host.ts'
import { newApp } from '../../http/new-app.ts'
import { countNetwork } from '../../http/rate-limit.ts'
import { readText } from '../../http/validate.ts'
import { parseObjectKey } from '../../keys/object-key.ts'
import { actorOf } from '../../records/file-event.ts'
import { deepFreeze } from '../../settings/rules.ts'
import { callObject, countryOf, type Remote, stateObject } from '../../state/object.ts'
import { requirePassword } from '../../state/password.ts'
import { isSecretId, publicIdOf } from '../../state/secret-id.ts'
import { headObject } from '../../storage/object.ts'
import type { LinkSteps } from '../links/index.ts'
import type { Grants } from './cloudflare.ts'
import {
  GRANT_SCOPES,
  type Grant,
  hasEnded,
  REPEAT_SECONDS,
  recentPages,
  usesLeft,
} from './grant.ts'
import { grantPage } from './page.ts'

/** Lifetime of a link that a grant dispenses. During it, the same page gets the same link, and then a new one. */
const LINK_SECONDS = 600
/** How long a page may wait between the password and its button. */
const UNLOCKED_SECONDS = 3600
const MAX_FORM_BYTES = 4096

interface FoundGrant {
  readonly id: string
  readonly grant: Grant
  readonly object: Remote<Grants>
}

/** A grant that its visitor may use, if the password is right. */
interface OpenGrant extends FoundGrant {
  /** Its creator, with the rights that are left. */
  readonly principal: Principal
  readonly bucket: ConfiguredBucket
  /** Lifetime of its links. */
  readonly linkSeconds: number
  /** Whether this page has taken a use within the last 24 hours. */
  readonly isRepeat: boolean
  /** In the form of a link's query. */
  readonly restrictions: string | undefined
}

/** What a page sends. */
interface Form {
  readonly password: string | null
  /** Which page it is, or null for another client. */
  readonly page: string | null
  /** Whether the page asks what is behind the password, and takes no use yet. */
  readonly asks: boolean
  /** The proof of a password that was right. */
  readonly unlocked: string | null
}

/** The pages of grants. The secret id in the path is the credential. */
export const grantPageRoutes = (steps: LinkSteps) =>
  newApp()
    .get('/g/:secret', pageErrors, async (c) => {
      await configure(c)
      const elsewhere = toLinkHost(c)
      if (elsewhere !== null) return elsewhere
      const open = openGrant(c, steps, await findGrant(c), pageOf(c))
      if (!open.grant.direct) return grantPage(c, open.grant, { isRepeat: open.isRepeat })
      // A success would be kept and shown when somebody really opens it.
      if (/^prefetch/i.test(c.req.header('Sec-Purpose') ?? c.req.header('Purpose') ?? ''))
        return c.body(null, 503)
      return c.req.method === 'HEAD' ? c.body(null, 200) : dispense(c, open, null, 302)
    })
    .post('/g/:secret', pageErrors, async (c) => {
      await configure(c)
      const elsewhere = toLinkHost(c)
      if (elsewhere !== null) return elsewhere
      requireOwnPage(c)
      const found = await findGrant(c)
      const form = await readForm(c)
      const page = pageOf(c) ?? form?.page ?? null
      const open = openGrant(c, steps, found, page)
      await unlock(c, open, form)
      if (form?.asks) return showUnlocked(c, open)
      return dispense(c, open, page, 303)
    })
    .all('/g/*', pageErrors, async (c) => {
      await configure(c)
      await countNetwork(c)
      throw ended('grant unknown')
    })

/** Returns the error of a grant that nobody can use. Only its cause, for the log, says why. */
const ended = (cause: string): ApiError =>
  new ApiError(
    'grant_ended',
    'It was used up, has expired or was withdrawn. Ask the sender for another one.',
    { cause },
  )

/** Returns the grant of the path. Throws `grant_ended` for an unknown one, and `rate_limited`. */
async function findGrant(c: AppContext): Promise<FoundGrant> {
  await countNetwork(c)
  // Unlike the parameter, the path is not decoded: only one spelling is valid.
  const id = await publicIdOf(c.req.path.slice('/g/'.length))
  if (id === null) throw ended('grant unknown')
  const object = stateObject<Grants>(c, 'Grants', id)
  const grant = await callObject(c, () => object.read())
  if (grant === null) throw ended('grant unknown')
  return { id, grant, object }
}

/**
 * Returns what the visitor with this page may use of a grant. Throws `grant_ended`, and what a
 * link with its restrictions throws for this visitor.
 */
function openGrant(
  c: AppContext,
  steps: LinkSteps,
  found: FoundGrant,
  page: string | null,
): OpenGrant {
  const { grant } = found
  const settings = c.get('settings')
  const bucket = settings.buckets.find(({ alias }) => alias === grant.bucket)
  if (bucket === undefined) throw ended('grant bucket not configured')
  c.set('bucket', bucket.alias)
  const { minters } = c.env.instance
  const { openOnLocalhost } = settings
  const principal = presentRights(grant.minter, { minters, openOnLocalhost }, GRANT_SCOPES)
  if (principal === null || !mayUse(principal.limits, bucket.alias))
    throw ended('grant minter has lost its rights')
  const { maxExpiresIn } = narrowBucket(bucket, principal.limits)
  const linkSeconds = Math.min(LINK_SECONDS, maxExpiresIn.link)
  const now = timeOf(c)
  const time = now.getTime()
  const isRepeat = recentPages(grant, time).some(({ id }) => id === page)
  if (hasEnded(isRepeat ? { ...grant, uses: null } : grant, time))
    throw ended('grant used up or expired')
  const { password } = grant
  if (password !== null && settings.signingSecrets.every(({ kid }) => kid !== password.kid))
    throw ended('grant password of a removed secret')
  const restrictions = steps.restrictionsOf(principal, 'stream', grant.restrictions ?? {})
  steps.requireVisitor(c, restrictions, now)
  return { ...found, principal, bucket, linkSeconds, isRepeat, restrictions }
}

/** Throws what `requirePassword` throws. The page of such an error has the form again. */
async function unlock(c: AppContext, open: OpenGrant, form: Form | null): Promise<void> {
  const { id, grant, object } = open
  if (grant.password !== null && form === null)
    throw new ApiError(
      'unsupported_media_type',
      'Send a form with Content-Type: application/x-www-form-urlencoded.',
    )
  const page = c.get('errorResponse')
  if (page !== undefined)
    c.set('errorResponse', (error, status, headers) =>
      error.code === 'password_wrong' || error.code === 'rate_limited'
        ? grantPage(c, grant, { isRepeat: open.isRepeat, error: error.message }, status, headers)
        : page(error, status, headers),
    )
  if (form?.unlocked && (await isUnlocked(c, id, form.unlocked))) return
  const locked = { id, password: grant.password, object }
  await requirePassword(c, locked, form?.password, () =>
    ended('grant password of a removed secret'),
  )
}

/** Shows what is behind the password, with a button that takes the use. */
async function showUnlocked(c: AppContext, { id, grant, isRepeat }: OpenGrant): Promise<Response> {
  const exp = Math.floor(Date.now() / 1000) + UNLOCKED_SECONDS
  const unlocked = await seal(c.get('settings').signingSecrets, 'unlock', { grant: id, exp })
  return grantPage(c, grant, { isRepeat, unlocked })
}

/** Tells whether a page has entered the password of this grant within the last hour. */
async function isUnlocked(c: AppContext, id: string, text: string): Promise<boolean> {
  const opened = await unseal(c.get('settings').signingSecrets, 'unlock', text, timeOf(c))
  return opened.ok && opened.claims.grant === id
}

/** Returns which page took a use here, from its cookie, or null. */
const pageOf = (c: AppContext): string | null => {
  const [, page = ''] = /(?:^|;\s*)page=([\w-]+)/.exec(c.req.header('Cookie') ?? '') ?? []
  return isSecretId(page) ? page : null
}

/** Lets the page that took a use fetch its link again, also after a reload. No other path gets the cookie. */
function keepPage(c: AppContext, page: string): void {
  const { pathname, protocol } = new URL(askedUrl(c))
  const secure = protocol === 'https:' ? '; Secure' : ''
  const attributes = `Path=${pathname}; Max-Age=${REPEAT_SECONDS}; HttpOnly; SameSite=Lax${secure}`
  c.header('Set-Cookie', `page=${page}; ${attributes}`)
}

/**
 * Returns the form, or null for another type of body. Throws `body_too_large`, and `invalid_request`
 * for a form that is not UTF-8.
 */
async function readForm(c: AppContext): Promise<Form | null> {
  const type = c.req.header('Content-Type') ?? ''
  if (!/^application\/x-www-form-urlencoded\s*(?:;|$)/i.test(type)) return null
  const text = await readInOwnTime(c, readText(c.req.raw, MAX_FORM_BYTES)).catch(
    (error: unknown) => {
      if (!(error instanceof TypeError)) throw error
      throw new ApiError('invalid_request', 'The form is not UTF-8.')
    },
  )
  const fields = new URLSearchParams(text)
  const page = fields.get('page')
  return {
    password: fields.get('password'),
    page: page !== null && isSecretId(page) ? page : null,
    asks: fields.has('show'),
    unlocked: fields.get('unlocked'),
  }
}

/**
 * Takes a use, and redirects to a link. Looks at everything before: a use that was taken is never given
 * back, even if this Worker ends before its response. A page that sends its form again, such as for a
 * double click, gets the same link, or a new one after that has expired.
 */
async function dispense(
  c: AppContext,
  { id, grant, object, principal, bucket, linkSeconds, restrictions }: OpenGrant,
  page: string | null,
  status: 302 | 303,
): Promise<Response> {
  const { alias } = bucket
  const key = parseObjectKey(grant.key)
  c.set('principal', deepFreeze(principal))
  await askToDownload(c, bucket, key, 'grant')
  const opened = await withCredentials(c, bucket)
  const head = await headObject(opened, storedKey(bucket, key), timeOf(c))
  if (head === null) throw objectNotFound()
  const taken = await callObject(c, () => object.take(Date.now(), page))
  if (taken === null) throw ended('grant used up, expired or withdrawn meanwhile')
  if (!taken.isRepeat) announce(c, principal, { id, grant: taken.grant })
  const first = Math.ceil(taken.at / 1000) + linkSeconds
  const now = Math.ceil(Date.now() / 1000)
  const expires = now < first ? first : now + linkSeconds
  if (page !== null) keepPage(c, page)
  const download = grant.download ?? (grant.direct ? null : grant.name)
  const policy = {
    bucket: alias,
    key,
    expires,
    delivery: 'stream',
    download,
    restrictions,
  } as const
  const path = await signLink(policy, c.get('settings'))
  c.header('Cross-Origin-Resource-Policy', bucket.crossOriginResourcePolicy)
  return c.redirect(linkBase(c) + path, status)
}

/** Sends the event `grant.used`. The visitor doesn't wait for it, and gets the file in any case. */
function announce(
  c: AppContext,
  principal: Principal,
  { id, grant }: Pick<OpenGrant, 'id' | 'grant'>,
): void {
  const after = afterOf(c)
  if (after === null) return
  const { bucket, key, label } = grant
  const told = after(
    {
      type: 'used',
      file: { bucket, key },
      grant: { id, label, usesLeft: usesLeft(grant) },
      country: countryOf(c.req.raw),
      ...actorOf(principal),
    },
    null,
    new Date(),
    c.executionCtx,
  )
  const requestId = c.get('requestId')
  c.executionCtx.waitUntil(
    told.catch((error: unknown) =>
      logWarning('event not sent', { requestId, reason: describe(error) }),
    ),
  )
}
