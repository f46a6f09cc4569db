import { createHmac, timingSafeEqual } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Context } from '@20minutes/s3rver'
import AWSAccount from '@20minutes/s3rver/lib/models/account.js'
import S3Error from '@20minutes/s3rver/lib/models/error.js'
import S3Object from '@20minutes/s3rver/lib/models/object.js'
import v4 from '@20minutes/s3rver/lib/signature/v4.js'
import * as z from 'zod/mini'

/** A limit, since a form is read into memory. */
const MAX_FORM_BYTES = 512 * 1024 * 1024
/** Fields that need no condition in a policy (S3, "POST policy", Conditions), and the file. */
const UNNAMED_FIELDS = ['x-amz-signature', 'policy', 'file']
const CREDENTIAL = /^([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request$/

const policySchema = z.object({
  expiration: z.iso.datetime(),
  conditions: z.array(
    z.union([
      z.record(z.string(), z.string()),
      z.tuple([z.enum(['eq', 'starts-with']), z.string(), z.string()]),
      z.tuple([z.literal('content-length-range'), z.coerce.number(), z.coerce.number()]),
    ]),
  ),
})

type Policy = z.infer<typeof policySchema>

/** The fields of a form before its file, with lower-case names. */
type Fields = ReadonlyMap<string, string>

/**
 * Handles S3 PostObject. Replaces s3rver's handler, which accepts any form. The policy must be
 * signed and not expired, and must allow each field and the size of the file. Fields after the file
 * are ignored.
 */
export async function checkedPostObject(ctx: Context): Promise<void> {
  const { fields, file } = await readForm(ctx)
  const bucket = ctx.params.bucket
  const policy = verifiedPolicy(fields)
  requireConditions(policy, new Map([...fields, ['bucket', bucket]]), file.length)
  const redirect = redirectUrl(fields.get('success_action_redirect'))
  const key = fields.get('key')
  if (!key) throw new S3Error('InvalidArgument', "The form must contain a field named 'key'.")

  const object = new S3Object(bucket, key, file, Object.fromEntries(fields))
  const { md5 } = await ctx.store.putObject(object)
  ctx.etag = md5
  if (redirect !== undefined) {
    for (const [name, value] of Object.entries({ bucket, key, etag: `"${md5}"` }))
      redirect.searchParams.append(name, value)
    ctx.status = 303
    ctx.set('Location', redirect.href)
    return
  }
  const path = [bucket, ...key.split('/')].map(encodeURIComponent).join('/')
  const location = `http://${ctx.host}/${path}`
  ctx.set('Location', location)
  const status = fields.get('success_action_status')
  ctx.status = status === '200' ? 200 : status === '201' ? 201 : 204
  if (status === '201')
    ctx.body = {
      PostResponse: { Location: location, Bucket: bucket, Key: key, ETag: `"${md5}"` },
    }
  else if (status === '200') ctx.body = ''
}

async function readForm(ctx: Context): Promise<{ fields: Fields; file: Buffer }> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of Readable.from(ctx.req)) {
    bytes += chunk.length
    if (bytes > MAX_FORM_BYTES) throw tooLarge()
    chunks.push(chunk)
  }
  const headers = { 'Content-Type': ctx.req.headers['content-type'] ?? '' }
  const form = await new Response(Buffer.concat(chunks), { headers }).formData().catch(() => {
    throw new S3Error('MalformedPOSTRequest', 'The body is not well-formed multipart/form-data.')
  })
  const fields = new Map<string, string>()
  for (const [anyCase, value] of form) {
    const name = anyCase.toLowerCase()
    if (name === 'file') {
      return { fields, file: Buffer.from(typeof value === 'string' ? value : await value.bytes()) }
    }
    if (typeof value !== 'string' || fields.has(name)) throw extraField(name)
    fields.set(name, value)
  }
  throw new S3Error('InvalidArgument', 'POST requires exactly one file upload per request.')
}

/**
 * Returns the policy of the form. Throws AccessDenied if it is missing, expired or not signed by a
 * known key.
 */
function verifiedPolicy(fields: Fields): Policy {
  const encoded = fields.get('policy')
  const credential = CREDENTIAL.exec(fields.get('x-amz-credential') ?? '')
  const given = fields.get('x-amz-signature') ?? ''
  if (encoded === undefined || credential === null || !/^[0-9a-f]{64}$/.test(given)) throw denied()
  const [, accessKeyId = '', date = '', region = ''] = credential
  if (fields.get('x-amz-algorithm') !== 'AWS4-HMAC-SHA256') throw denied()
  if (fields.get('x-amz-date')?.startsWith(`${date}T`) !== true) throw denied()

  const secret = AWSAccount.registry.get(accessKeyId)?.accessKeys.get(accessKeyId)
  if (secret === undefined)
    throw new S3Error('InvalidAccessKeyId', 'The AWS Access Key Id does not exist in our records.')
  const signingKey = v4.getSigningKey(secret, date, region, 's3')
  const calculated = createHmac('sha256', signingKey).update(encoded).digest()
  if (!timingSafeEqual(calculated, Buffer.from(given, 'hex')))
    throw new S3Error('SignatureDoesNotMatch', 'The signature of the policy does not match.')

  const policy = policySchema.safeParse(parsedJson(Buffer.from(encoded, 'base64').toString()))
  if (!policy.success) throw new S3Error('InvalidPolicyDocument', 'Invalid Policy.')
  if (new Date(policy.data.expiration) <= new Date())
    throw new S3Error('AccessDenied', 'Invalid according to Policy: Policy expired.')
  return policy.data
}

/** Throws unless every condition is met and every field has one. */
function requireConditions({ conditions }: Policy, fields: Fields, size: number): void {
  const named = new Set(UNNAMED_FIELDS)
  for (const condition of conditions) {
    if (!Array.isArray(condition)) {
      for (const [name, value] of Object.entries(condition)) requireField('eq', name, value)
    } else if (condition[0] === 'content-length-range') {
      const [, min, max] = condition
      if (size < min) throw new S3Error('EntityTooSmall', 'The file is smaller than allowed.')
      if (size > max) throw tooLarge()
    } else {
      const [operator, name, value] = condition
      requireField(operator, name.replace(/^\$/, ''), value)
    }
  }
  for (const name of fields.keys())
    if (!named.has(name) && name !== 'bucket' && !name.startsWith('x-ignore-'))
      throw extraField(name)

  function requireField(operator: 'eq' | 'starts-with', anyCase: string, wanted: string): void {
    const name = anyCase.toLowerCase()
    const value = fields.get(name) ?? ''
    const holds = operator === 'eq' ? value === wanted : value.startsWith(wanted)
    if (!holds)
      throw new S3Error(
        'AccessDenied',
        `Invalid according to Policy: Policy Condition failed: ${name}`,
      )
    named.add(name)
  }
}

/** Returns the URL that a browser opens afterwards. Throws unless its scheme is http or https. */
function redirectUrl(value: string | undefined): URL | undefined {
  if (value === undefined) return undefined
  const url = URL.parse(value)
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new S3Error('InvalidArgument', 'success_action_redirect must be an http or https URL.')
  return url
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const extraField = (name: string): S3Error =>
  new S3Error('AccessDenied', `Invalid according to Policy: Extra input fields: ${name}`)
const denied = (): S3Error => new S3Error('AccessDenied', 'Access Denied')
const tooLarge = (): S3Error => new S3Error('EntityTooLarge', 'The file is larger than allowed.')
