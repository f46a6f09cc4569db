import type { Next } from 'hono'
import * as z from 'zod/mini'
import { NO_LIMITS } from '../../access/limits.ts'
import { stillGranted } from '../../access/minter.ts'
import { requireUpload } from '../../access/principal.ts'
import { MAX_PARTS, MAX_PARTS_BODY_BYTES } from '../../bucket/limits.ts'
import { placeOf } from '../../core/announce.ts'
import { requireVacant } from '../../core/chosen-key.ts'
import { purgeReplaced } from '../../core/purge.ts'
import { recordUpload } from '../../core/record.ts'
import { requireBytes } from '../../core/size-limit.ts'
import { ApiError } from '../../errors/api-error.ts'
import { configure, unauthenticated } from '../../http/admit.ts'
import type { AppContext } from '../../http/app-env.ts'
import { chooseOpenBucket } from '../../http/choose-bucket.ts'
import { readInOwnTime, removeDeadline, timeOf } from '../../http/deadline.ts'
import { ownBase, requireBase } from '../../http/link-host.ts'
import { newApp } from '../../http/new-app.ts'
import { countNetwork, countPrincipal } from '../../http/rate-limit.ts'
import { checkUrl, readText } from '../../http/validate.ts'
import { type ObjectKey, parseObjectKey } from '../../keys/object-key.ts'
import { deepFreeze } from '../../settings/rules.ts'
import type { Settings } from '../../settings/settings.ts'
import { objectUrl } from '../../signing/object-url.ts'
import { putObject } from '../../storage/object.ts'
import { childrenOf, escapeXml, readXml, textOf } from '../../storage/xml.ts'
import type { MultipartSteps, Part } from '../multipart/index.ts'
import { uppyDialect } from './dialect.ts'
import { readForm } from './form-body.ts'
import { openComplete, openFormPolicy, openStart, type SignedStep, sealStep } from './sealed.ts'

const PATHS = { form: '/s3/form', create: '/s3/uploads', complete: '/s3/uploads/complete' } as const

type Fields = Readonly<Record<string, string>>

/** Returns the URL that accepts forms for a bucket whose server doesn't support them. */
export const formUrl = (c: AppContext): string => ownUrl(c, PATHS.form)

/** Returns the URL for one step of an upload in parts, valid for `seconds`. */
export async function stepUrl(
  c: AppContext,
  step: SignedStep,
  seconds: number,
  now: Date,
): Promise<string> {
  const path = 'file' in step ? PATHS.create : PATHS.complete
  return `${ownUrl(c, path)}?step=${await sealStep(c.get('settings'), step, seconds, now)}`
}

const ownUrl = (c: AppContext, path: string): string =>
  requireBase(ownBase(c, c.get('settings'))) + path

/**
 * S3 operations that the Worker runs for S3 clients. The bucket's server lacks them, or would not
 * enforce the size of an upload. The policy or the URL is the credential. The responses are the
 * same as S3's, except the errors of a form, which Uppy reads as JSON.
 */
export const s3Routes = ({ beginMultipart, finishUpload, openUploadId }: MultipartSteps) =>
  newApp()
    .use(PATHS.form, uppyDialect)
    .post(PATHS.form, async (c) => {
      removeDeadline(c)
      const { settings, now } = await begin(c)
      const { fields, file, policy } = await orCounted(c, async () => {
        const form = await readForm(c.req.raw)
        const sealed = form.fields.get('policy') ?? ''
        return { ...form, policy: await openFormPolicy(settings, sealed, now) }
      })
      const key = parseObjectKey(policy.fields.key)
      await admitOwner(c, policy, key, now)
      requireUpload(c.get('principal'), key, policy)
      requireFields(fields, policy.fields)
      const bucket = await chooseOpenBucket(c, policy.bucket, key)
      requireBytes(file.size, bucket, policy.maxBytes)

      const { overwrite } = policy
      await requireVacant(bucket, key, overwrite, bucket.conditionalPut, now)
      const condition =
        overwrite === false && bucket.conditionalPut ? { 'If-None-Match': '*' } : undefined
      const headers = { ...objectHeaders(policy.fields), ...condition, ...bucket.uploadHeaders }
      const etag = await putObject(bucket, key, file, headers, now)
      const isExpected = (head: { readonly etag: string }) => head.etag === etag
      const request = { key, name: policy.name, owner: policy.owner, isExpected }
      const recorded = await recordUpload(placeOf(c, bucket), request)
      if (recorded.replaces || overwrite === true) await purgeReplaced(c, bucket, [key])
      const Location = objectUrl(bucket.publicAddress, key).href
      const body = { Location, Bucket: bucket.name, Key: key, ETag: etag }
      return xml('PostResponse', body, 201, { ETag: etag, Location })
    })
    .use(PATHS.create, s3Errors)
    .post(PATHS.create, async (c) => {
      const { settings, now, step, bucket, key } = await beginStep(c, openStart)
      requireUpload(c.get('principal'), key, step.file)
      const upload = { key, owner: step.owner }
      // The client chooses the parts, independent of the size.
      const request = { ...step.file, partSize: null }
      const { uploadId } = await beginMultipart(settings, bucket, upload, request, now)
      const body = { Bucket: bucket.name, Key: key, UploadId: uploadId }
      return xml('InitiateMultipartUploadResult', body)
    })
    .use(PATHS.complete, s3Errors)
    .post(PATHS.complete, async (c) => {
      const { settings, now, step, bucket, key } = await beginStep(c, openComplete)
      const parts = await readInOwnTime(c, readParts(c.req.raw))
      const scope = { bucket: bucket.alias, key, owner: step.owner }
      const upload = await openUploadId(settings, scope, step.uploadId, now)
      requireUpload(c.get('principal'), key, upload)
      const { record } = await finishUpload(c, bucket, upload, parts, undefined)
      const Location = objectUrl(bucket.publicAddress, key).href
      const body = { Location, Bucket: bucket.name, Key: key, ETag: record.etag }
      return xml('CompleteMultipartUploadResult', body)
    })

async function begin(c: AppContext): Promise<{ readonly settings: Settings; readonly now: Date }> {
  checkUrl(c.req.url)
  return { settings: await configure(c), now: timeOf(c) }
}

/** Opens the step in the URL. Throws `forbidden`, `unauthenticated` and `unknown_bucket`. */
async function beginStep<S extends SignedStep>(
  c: AppContext,
  open: (settings: Settings, sealed: string, now: Date) => Promise<S>,
) {
  const { settings, now } = await begin(c)
  const step = await orCounted(c, () => open(settings, c.req.query('step') ?? '', now))
  const key = parseObjectKey(step.key)
  await admitOwner(c, step, key, now)
  return { settings, now, step, key, bucket: await chooseOpenBucket(c, step.bucket, key) }
}

/** Counts a request without a valid credential against its network, as `admit` does. */
async function orCounted<T>(c: AppContext, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    await countNetwork(c)
    throw error
  }
}

/**
 * Counts against the principal who requested the URL or form, with the rights to `key` that are
 * left. Throws `unauthenticated` if its credential is no longer configured, or not for this key.
 */
async function admitOwner(
  c: AppContext,
  { owner: id, maxBytes, context = null }: Owned,
  key: ObjectKey,
  now: Date,
): Promise<void> {
  const limits = maxBytes === undefined ? NO_LIMITS : { ...NO_LIMITS, maxBytes }
  const rights = { scopes: UPLOAD_SCOPES, prefix: key, limits, context }
  const verdict = stillGranted(
    { kind: 'token', id, expiresAt: now.getTime(), ...rights },
    { ...c.get('settings'), minters: c.env.instance.seams.minter },
  )
  if (!verdict.ok) {
    await countNetwork(c)
    throw unauthenticated(verdict)
  }
  await countPrincipal(c, verdict.principal)
  c.set('principal', deepFreeze(verdict.principal))
}

/** What a form or a step may have needed when it was signed. */
const UPLOAD_SCOPES = ['files:upload', 'keys:choose', 'files:delete'] as const

/** What a policy or a step says about the principal who requested it. */
type Owned = Pick<SignedStep, 'owner' | 'maxBytes' | 'context'>

/** Returns the parts in the body of S3 CompleteMultipartUpload. Throws `invalid_request`. */
async function readParts(request: Request): Promise<Part[]> {
  const root = readXml(await readText(request, MAX_PARTS_BODY_BYTES).catch(notXml))
  if (root?.name !== 'CompleteMultipartUpload') throw invalidParts()
  const parts = partsSchema.safeParse(
    childrenOf(root, 'Part').map((part) => ({
      partNumber: textOf(part, 'PartNumber'),
      etag: textOf(part, 'ETag'),
    })),
  )
  if (!parts.success) throw invalidParts()
  return parts.data
}

const partsSchema = z
  .array(
    z.object({
      partNumber: z.pipe(z.string().check(z.regex(/^[1-9]\d{0,4}$/)), z.transform(Number)),
      etag: z.string().check(z.minLength(1), z.maxLength(255)),
    }),
  )
  .check(z.minLength(1), z.maxLength(MAX_PARTS))

function notXml(error: unknown): string {
  if (error instanceof TypeError) return ''
  throw error
}

const invalidParts = (): ApiError =>
  new ApiError('invalid_request', 'The body must be a CompleteMultipartUpload with its parts.')

/** Throws `forbidden` unless `fields` are exactly those of the policy, and the policy itself. */
function requireFields(fields: ReadonlyMap<string, string>, allowed: Fields): void {
  for (const [name, value] of Object.entries(allowed))
    if (fields.get(name) !== value) throw mismatch(name)
  for (const name of fields.keys())
    if (name !== 'policy' && !Object.hasOwn(allowed, name)) throw mismatch(name)
}

const mismatch = (field: string): ApiError =>
  new ApiError('forbidden', 'A field of the form differs from its policy.', {
    issues: [{ path: field.slice(0, 64), message: 'must be sent as it was returned' }],
  })

const OBJECT_FIELD =
  /^(?:content-type|content-disposition|cache-control|x-amz-tagging|x-amz-storage-class|x-amz-meta-.*)$/

/** Returns the fields of a form that are headers of the object. Their values are encoded as such. */
const objectHeaders = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => OBJECT_FIELD.test(name)))

/** Sends errors in S3's format, since an S3 client shows their message. */
function s3Errors(c: AppContext, next: Next): Promise<void> {
  c.set('errorResponse', ({ code, message, requestId }, status, headers) =>
    xml('Error', { Code: code, Message: message, RequestId: requestId }, status, headers),
  )
  return next()
}

const xml = (root: string, members: Fields, status = 200, headers: Fields = {}): Response =>
  new Response(document(root, members), {
    status,
    headers: { 'Content-Type': 'application/xml', ...headers },
  })

const document = (root: string, members: Fields): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<${root}>${Object.entries(members)
    .map(([name, text]) => `<${name}>${escapeXml(text)}</${name}>`)
    .join('')}</${root}>`
