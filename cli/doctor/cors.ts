import { createHash } from 'node:crypto'
import { XmlElement } from '@rgrove/parse-xml'
import type { Bucket, Credentials } from '../../src/bucket/bucket.ts'
import { byObjectHeader, OBJECT_HEADERS } from '../../src/bucket/upload-fields.ts'
import { uploadHeaders } from '../../src/core/signed-headers.ts'
import { s3CodeIn } from '../../src/storage/s3.ts'
import { childrenOf, escapeXml, readXml } from '../../src/storage/xml.ts'
import { codeOf, type Probe } from './probe.ts'
import { fail, pass, type Result, skip, warn } from './report.ts'
import type { Answer } from './requests.ts'

/** An origin that nobody configures, because `.invalid` is never a host (RFC 6761). */
export const FOREIGN_ORIGIN = 'https://edge-presigner-doctor.invalid'

/** An origin that a configured one allows: a label replaces the star of `https://*.app.example.com`. */
export const sampleOf = (origin: string): string => origin.replace('*', 'edge-presigner-doctor')

/** The names of all headers that a client may send with a PUT to `bucket`, for a preflight. */
const namesOfUpload = (bucket: Bucket): string[] =>
  Object.keys(
    uploadHeaders(bucket, {
      mimetype: 'text/plain',
      sha256: 'digest',
      metadata: { name: 'value' },
      ...byObjectHeader(() => 'value'),
      overwrite: false,
    }),
  ).map((name) => name.toLowerCase())

/**
 * What the response to a preflight lacks, or null if the browser may send the request itself
 * (Fetch standard, "CORS-preflight fetch").
 */
export function preflightError(
  { status, headers }: Pick<Answer, 'status' | 'headers'>,
  asked: { readonly origin: string; readonly method: string; readonly headers: readonly string[] },
): string | null {
  if (status < 200 || status > 299) return `the preflight is refused with status ${status}`
  const allowed = headers.get('Access-Control-Allow-Origin')
  if (!allowed) return 'the origin is not allowed'
  if (allowed !== '*' && allowed !== asked.origin) return 'another origin is allowed'
  // GET, HEAD and POST are always allowed.
  if (!['GET', 'HEAD', 'POST'].includes(asked.method) && !lists(headers, 'Methods', asked.method))
    return `the method ${asked.method} is not allowed`
  const missing = asked.headers.filter((name) => !lists(headers, 'Headers', name))
  if (missing.length === 0) return null
  return `${missing.length === 1 ? 'the header' : 'the headers'} ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not allowed`
}

/** Whether `Access-Control-Allow-…` lists `name`. */
const lists = (headers: Headers, what: 'Methods' | 'Headers', name: string): boolean =>
  namesIn(headers.get(`Access-Control-Allow-${what}`)).some(
    (listed) => listed === '*' || listed === name.toLowerCase(),
  )

const namesIn = (list: string | null): string[] =>
  (list ?? '').split(',').map((name) => name.trim().toLowerCase())

/** Headers of the preflight for a request. */
export const preflightHeaders = (
  origin: string,
  method: string,
  headers: readonly string[],
): Record<string, string> => ({
  Origin: origin,
  'Access-Control-Request-Method': method,
  ...(headers.length === 0
    ? {}
    : { 'Access-Control-Request-Headers': headers.toSorted().join(',') }),
})

const HOW_TO_FIX =
  'Run `npx edge-presigner doctor --fix-cors`, or paste the rules of docs/deploy.md#cors-of-the-bucket.'

/**
 * Checks that pages of `origin` can upload, read, and see the headers that they need. Without `writes`, it
 * sends only preflights.
 */
export async function checkOrigin(probe: Probe, origin: string, writes: boolean): Promise<Result> {
  const page = sampleOf(origin)
  const key = probe.key('cors.txt')
  const ask = async (method: string, headers: readonly string[]): Promise<string | null> => {
    const answer = await probe.preflight(key, preflightHeaders(page, method, headers))
    return preflightError(answer, { origin: page, method, headers })
  }
  const failed = (what: string, failure: string) =>
    fail(`${origin}: ${what}: ${failure}.`, HOW_TO_FIX)
  const limited = (what: string, failure: string) =>
    warn(`${origin}: ${what}: ${failure}.`, HOW_TO_FIX)

  const needed = ['content-type', ...Object.keys(probe.bucket.uploadHeaders ?? {})]
  const put = await ask('PUT', needed)
  if (put !== null) return failed('PUT', put)
  const get = await ask('GET', [])
  if (get !== null) return failed('GET', get)

  const seen = writes ? await transfer(probe, page) : null
  if (seen?.failure) return failed(...seen.failure)

  const options = await ask('PUT', namesOfUpload(probe.bucket))
  if (options !== null)
    return limited(
      `PUT with sha256, metadata, ${OBJECT_HEADERS.map(([field]) => field).join(', ')} or overwrite: false`,
      options,
    )
  const post = await ask('POST', ['content-type'])
  if (post !== null) return limited('POST, which Uppy sends', post)
  const drop = await ask('DELETE', [])
  if (drop !== null) return limited('DELETE, which Uppy sends', drop)
  if (probe.bucket.postUploads && seen?.seesLocation === false)
    return limited(
      'the response to a POST',
      'Location is not exposed, which Uppy reads after a form',
    )

  const foreign = await probe.preflight(key, preflightHeaders(FOREIGN_ORIGIN, 'PUT', []))
  if (preflightError(foreign, { origin: FOREIGN_ORIGIN, method: 'PUT', headers: [] }) === null)
    return warn(
      `${origin} may use the bucket, and so may every other origin.`,
      'List your origins instead of "*" in the CORS rules.',
    )
  return pass(`${origin} may send GET, PUT, POST and DELETE${writes ? ', and sees ETag' : ''}.`)
}

/** Uploads and reads an object as a page does. Returns what the page can't see, and whether it sees Location. */
async function transfer(
  probe: Probe,
  page: string,
): Promise<{ failure: readonly [what: string, why: string] | null; seesLocation: boolean }> {
  const put = exposure(await probe.put('cors.txt', 'doctor', {}, { Origin: page }), page)
  const why = put.exposes('etag') ? null : 'ETag is not exposed, which uploads in parts need'
  const refused = put.failure ?? why
  const seesLocation = put.exposes('location')
  if (refused !== null) return { failure: ['the response to a PUT', refused], seesLocation }
  const read = await probe.presigned({
    key: probe.key('cors.txt'),
    credentials: probe.bucket.credentials,
    headers: { Origin: page },
  })
  const { failure } = exposure(read, page)
  const isCut = read.status === 200 && failure !== null
  return { failure: isCut ? ['the response to a GET', failure] : null, seesLocation }
}

/** The headers of a response that a page of `origin` can read. */
function exposure({ headers }: Answer, origin: string) {
  const allowed = headers.get('Access-Control-Allow-Origin')
  const exposed = namesIn(headers.get('Access-Control-Expose-Headers'))
  return {
    failure:
      allowed === '*' || allowed === origin
        ? null
        : 'it has no Access-Control-Allow-Origin for this page',
    exposes: (name: string): boolean => exposed.includes(name) || exposed.includes('*'),
  }
}

/** The members of a rule in their order, as S3 names them: `['AllowedOrigin', 'https://…']`. */
export type CorsRule = readonly (readonly [name: string, value: string])[]

const RULE_ID = 'edge-presigner'
const METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE']
const MAX_AGE_SECONDS = '3600'

const valuesOf = (rule: CorsRule, name: string): string[] =>
  rule.filter(([other]) => other === name).map(([, value]) => value)

/**
 * Adds a rule for `origins` before the rules of a bucket, because S3 uses the first rule that
 * matches. It allows at least what the other rules allow these origins, and doesn't change the other
 * rules. It keeps the origins of an earlier rule of doctor, because Workers can share a bucket.
 */
export function mergeRules(existing: readonly CorsRule[], origins: readonly string[]): CorsRule[] {
  const isOwn = (rule: CorsRule) => valuesOf(rule, 'ID').includes(RULE_ID)
  const kept = existing.filter(isOwn).flatMap((rule) => valuesOf(rule, 'AllowedOrigin'))
  const allowed = [...new Set([...kept, ...origins])]
  const fits = (pattern: string): boolean => allowed.some((origin) => overlap(pattern, origin))
  const exposed = existing
    .filter((rule) => isOwn(rule) || valuesOf(rule, 'AllowedOrigin').some(fits))
    .flatMap((rule) => valuesOf(rule, 'ExposeHeader'))
  const own: CorsRule = [
    ['ID', RULE_ID],
    ...allowed.map((origin) => ['AllowedOrigin', origin] as const),
    ...METHODS.map((method) => ['AllowedMethod', method] as const),
    ['AllowedHeader', '*'],
    ...unique(['ETag', 'Location', ...exposed]).map((name) => ['ExposeHeader', name] as const),
    ['MaxAgeSeconds', MAX_AGE_SECONDS],
  ]
  return [own, ...existing.filter((rule) => !isOwn(rule))]
}

/** Whether one page can match both patterns. Each can contain one star. */
function overlap(one: string, other: string): boolean {
  const [start = '', end] = one.split('*')
  const [otherStart = '', otherEnd] = other.split('*')
  if (end === undefined) return covers(other, one)
  if (otherEnd === undefined) return covers(one, other)
  return (
    (start.startsWith(otherStart) || otherStart.startsWith(start)) &&
    (end.endsWith(otherEnd) || otherEnd.endsWith(end))
  )
}

function covers(pattern: string, origin: string): boolean {
  const [start = '', end] = pattern.split('*')
  if (end === undefined) return pattern === origin
  return (
    origin.length >= start.length + end.length && origin.startsWith(start) && origin.endsWith(end)
  )
}

/** Removes repetitions, and ignores case. */
const unique = (names: readonly string[]): string[] => {
  const lower = names.map((name) => name.toLowerCase())
  return names.filter((_, i) => lower.indexOf(lower[i] ?? '') === i)
}

/** The rules in a response to GetBucketCors; null if it is malformed. */
export function readRules(text: string): CorsRule[] | null {
  const root = readXml(text)
  if (root?.name !== 'CORSConfiguration') return null
  return childrenOf(root, 'CORSRule').map((rule) =>
    rule.children.flatMap((child) =>
      child instanceof XmlElement ? [[child.name, child.text] as const] : [],
    ),
  )
}

const writeRules = (rules: readonly CorsRule[]): string => {
  const written = rules.map((rule) => {
    const members = rule.map(([name, value]) => `<${name}>${escapeXml(value)}</${name}>`)
    return `<CORSRule>${members.join('')}</CORSRule>`
  })
  return `<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${written.join('')}</CORSConfiguration>`
}

/** A rule in the format of the CORS editors of AWS and R2. */
export function describeRule(rule: CorsRule): string {
  const list = (name: string) => valuesOf(rule, name)
  const [seconds] = list('MaxAgeSeconds')
  return JSON.stringify(
    {
      AllowedOrigins: list('AllowedOrigin'),
      AllowedMethods: list('AllowedMethod'),
      AllowedHeaders: list('AllowedHeader'),
      ExposeHeaders: list('ExposeHeader'),
      ...(seconds === undefined ? {} : { MaxAgeSeconds: Number(seconds) }),
    },
    null,
    2,
  )
}

/** Whether `rule` contains everything in `wanted`, in any order. */
const allows = (rule: CorsRule, wanted: CorsRule): boolean =>
  ['AllowedOrigin', 'AllowedMethod', 'AllowedHeader', 'ExposeHeader'].every((name) =>
    valuesOf(wanted, name).every((value) => valuesOf(rule, name).includes(value)),
  )

/** Shows the rules, and resolves with whether to write them. */
export type Consent = (text: string) => Promise<boolean>

/** Calls S3's PutBucketCors with rules for `origins`, if the user agrees. */
export async function fixCors(
  probe: Probe,
  credentials: Credentials,
  origins: readonly string[],
  consent: Consent,
): Promise<Result> {
  const before = await probe.ofBucket({ credentials, query: { cors: '' } })
  const hasNone = s3CodeIn(before.text) === 'NoSuchCORSConfiguration'
  const existing = hasNone ? [] : before.status === 200 ? readRules(before.text) : null
  if (existing === null)
    return fail(`The rules can't be read: ${codeOf(before)}. Nothing was written.`, ADMIN)
  const rules = mergeRules(existing, origins)
  const [own] = rules
  if (own === undefined) throw new Error('There is a rule of its own.')
  const [first] = existing
  if (first !== undefined && allows(first, own))
    return skip('The first rule of the bucket allows all of this already. Nothing was written.')
  const { name } = probe.bucket
  const others = rules.length - 1
  const agreed = await consent(
    `New first CORS rule of the bucket ${name}:\n\n${describeRule(own)}\n\n${
      others === 0
        ? 'There are no other rules.'
        : `Its ${others} other ${others === 1 ? 'rule stays as it is' : 'rules stay as they are'}.`
    }`,
  )
  if (!agreed) return fail('Nothing was written.', 'Answer y, or pass --yes in a script.')

  const body = writeRules(rules)
  const answer = await probe.ofBucket({
    method: 'PUT',
    credentials,
    query: { cors: '' },
    headers: {
      'Content-Type': 'application/xml',
      // S3 requires it for this operation.
      'Content-MD5': createHash('md5').update(body).digest('base64'),
    },
    body,
  })
  if (answer.status !== 200 && answer.status !== 204)
    return fail(`The rules can't be written: ${codeOf(answer)}.`, ADMIN)
  const after = readRules((await probe.ofBucket({ credentials, query: { cors: '' } })).text)
  const isThere = after?.some((rule) => allows(rule, own)) ?? false
  return isThere
    ? pass('The rules are written.')
    : fail('The server accepted the rules, but does not return them.', ADMIN)
}

const ADMIN =
  "Use an access key that has s3:GetBucketCORS and s3:PutBucketCORS: `--admin NAME` reads NAME_ACCESS_KEY_ID and NAME_SECRET_ACCESS_KEY. Or paste the rules into the provider's console."
