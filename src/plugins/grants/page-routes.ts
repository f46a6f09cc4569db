import { narrowBucket } from '../../access/limits.ts'
import { signLink } from '../../access/link-signature.ts'
import { purpose } from '../../access/purpose-key.ts'
import { seal, unseal } from '../../access/seal.ts'
import { storedKey } from '../../bucket/key-spelling.ts'
import { askToDownload } from '../../core/ask-app.ts'
import { objectNotFound } from '../../core/record.ts'
import { ApiError } from '../../errors/api-error.ts'
import { configure } from '../../http/admit.ts'
import type { AppContext } from '../../http/app-env.ts'
import { withCredentials } from '../../http/choose-bucket.ts'
import { readInOwnTime, timeOf } from '../../http/deadline.ts'
import { pageErrors, requireOwnPage, toLinkHost } from '../../http/html-page.ts'
import { askedUrl, linkBase } from '../../http/link-host.ts'
import { newApp } from '../../http/new-app.ts'
import { countNetwork } from '../../http/rate-limit.ts'
import { readText } from '../../http/validate.ts'
import { parseObjectKey } from '../../keys/object-key.ts'
import { deepFreeze } from '../../settings/rules.ts'
import {
  announce,
  isSecretId,
  publicIdOf,
  requirePassword,
  type Seen,
  type Visited,
  visitItem,
} from '../../state/item.ts'
import { callObject, countryOf } from '../../state/object.ts'
import { headObject } from '../../storage/object.ts'
import type { LinkSteps } from '../links/index.ts'
import {
  GRANTS,
  type Grant,
  grantObject,
  hasEnded,
  REPEAT_SECONDS,
  recentPages,
  usesLeft,
} from './grant.ts'
import { grantPage } from './page.ts'

const UNLOCK = purpose('unlock')

/** Lifetime of a link that a grant dispenses. During it, the same page gets the same link, and then a new one. */
const LINK_SECONDS = 600
/** How long a page may wait between the password and its button. */
const UNLOCKED_SECONDS = 3600
const MAX_FORM_BYTES = 4096

/** A grant that its visitor may use, if the password is right. */
interface OpenGrant extends Visited<Seen<Grant>> {
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

const errors = pageErrors({
  grant_ended: 'This link is no longer valid',
  object_not_found: 'This file no longer exists',
  link_invalid: "You can't open this link",
})

/** The pages of grants. The secret id in the path is the credential. */
export const grantPageRoutes = (steps: LinkSteps) =>
  newApp()
    .get('/g/:secret', errors, async (c) => {
      await configure(c)
      const elsewhere = toLinkHost(c)
      if (elsewhere !== null) return elsewhere
      const open = openGrant(c, steps, await findGrant(c), pageOf(c))
      if (!open.item.direct) return grantPage(c, open.item, { isRepeat: open.isRepeat })
      // A browser would keep a success, and show it when somebody opens the link.
      if (isPrefetch(c)) return c.body(null, 503)
      return c.req.method === 'HEAD' ? c.body(null, 200) : dispense(c, open, null, 302)
    })
    .post('/g/:secret', errors, async (c) => {
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
    .all('/g/*', errors, async (c) => {
      await configure(c)
      await countNetwork(c)
      throw GRANTS.ended('grant unknown')
    })

/** Counts the visitor, and returns the grant of the path. Throws what `visitItem` throws. */
async function findGrant(c: AppContext): Promise<Visited<Seen<Grant>>> {
  await countNetwork(c)
  // Unlike the parameter, the path is not decoded: only one spelling is valid.
  return visitItem(c, GRANTS, await publicIdOf(c.req.path.slice('/g/'.length)))
}

/**
 * Returns what the visitor with this page may use of a grant. Throws `grant_ended`, and what a
 * link with its restrictions throws for this visitor.
 */
function openGrant(
  c: AppContext,
  steps: LinkSteps,
  found: Visited<Seen<Grant>>,
  page: string | null,
): OpenGrant {
  const { item: grant, owner, bucket } = found
  const { maxExpiresIn } = narrowBucket(bucket, owner.limits)
  const linkSeconds = Math.min(LINK_SECONDS, maxExpiresIn.link)
  const now = timeOf(c)
  const isRepeat = recentPages(grant, now.getTime()).some(({ id }) => id === page)
  if (hasEnded(isRepeat ? { ...grant, uses: null } : grant, now.getTime()))
    throw GRANTS.ended('grant used up or expired')
  const restrictions = steps.restrictionsOf(owner, 'stream', grant.restrictions ?? {})
  steps.requireVisitor(c, restrictions, now)
  return { ...found, linkSeconds, isRepeat, restrictions }
}

/** Throws what `requirePassword` throws. The page of such an error has the form again. */
async function unlock(c: AppContext, open: OpenGrant, form: Form | null): Promise<void> {
  const { item: grant } = open
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
  if (form?.unlocked && (await isUnlocked(c, grant.id, form.unlocked))) return
  await requirePassword(c, GRANTS, open, form?.password)
}

/** Shows what is behind the password, with a button that takes the use. */
async function showUnlocked(
  c: AppContext,
  { item: grant, isRepeat }: OpenGrant,
): Promise<Response> {
  const exp = Math.floor(Date.now() / 1000) + UNLOCKED_SECONDS
  const unlocked = await seal(c.get('settings').signingSecrets, UNLOCK, { grant: grant.id, exp })
  return grantPage(c, grant, { isRepeat, unlocked })
}

/** Tells whether a page has entered the password of this grant within the last hour. */
async function isUnlocked(c: AppContext, id: string, text: string): Promise<boolean> {
  const opened = await unseal(c.get('settings').signingSecrets, UNLOCK, text, timeOf(c))
  return opened.ok && opened.claims.grant === id
}

/** Tells whether a browser fetches this before somebody opens it: the standard's header, and older ones. */
const isPrefetch = (c: AppContext): boolean =>
  ['Sec-Purpose', 'Purpose', 'X-Purpose', 'X-Moz'].some((name) =>
    /prefetch|prerender|preview/i.test(c.req.header(name) ?? ''),
  )

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
  { item: grant, owner, bucket, linkSeconds, restrictions }: OpenGrant,
  page: string | null,
  status: 302 | 303,
): Promise<Response> {
  const { alias } = bucket
  const key = parseObjectKey(grant.key)
  c.set('principal', deepFreeze(owner))
  await askToDownload(c, bucket, key, 'grant')
  const opened = await withCredentials(c, bucket)
  const head = await headObject(opened, storedKey(bucket, key), timeOf(c))
  if (head === null) throw objectNotFound()
  const taken = await callObject(c, () => grantObject(c, grant.id).take(Date.now(), page))
  if (taken === null) throw GRANTS.ended('grant used up, expired or revoked meanwhile')
  if (!taken.isRepeat)
    announce(c, owner, {
      type: 'used',
      file: { bucket: alias, key },
      grant: { id: grant.id, label: taken.grant.label, usesLeft: usesLeft(taken.grant) },
      country: countryOf(c.req.raw),
    })
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
