import type { Bucket } from '../bucket/bucket.ts'
import { hex } from '../keys/encodings.ts'
import { type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import { signingKey } from './derived-keys.ts'
import { assertNamesKey, objectPath } from './object-url.ts'
import { amzDate, type PresignTemplate, presignSigner, spaced, utf8 } from './presign.ts'

/** Signs the URL of one object. Throws RangeError for a life that SigV4 doesn't know. */
export type Stamp = (key: ObjectKey) => Promise<string>

/**
 * A URL, its canonical request and its string to sign, all but the key and what follows from it.
 */
interface Form {
  readonly beforePath: string
  readonly afterPath: string
  /** Query of the URL, up to the signature. */
  readonly query: string
  /** The string to sign, up to the digest of the canonical request. */
  readonly scope: string
  readonly signingKey: CryptoKey
}

/** Forms that differ in the time of their day and in the values of their headers. */
type Blank = (datetime: string, headers: Readonly<Record<string, string>>) => Form

const MAX_BLANKS = 64
const PROBE = parseObjectKey('probe')
const blanks = new WeakMap<Bucket, Map<string, Blank>>()

/**
 * Signs URLs that differ in the key alone, byte for byte as `presign` does, each for one digest and
 * one HMAC.
 */
export const stampFor = (template: PresignTemplate): Stamp =>
  stampOf(template.bucket, fillBlank(template))

function stampOf(bucket: Bucket, form: Form | Promise<Form>): Stamp {
  return async function stamp(key) {
    const { beforePath, afterPath, query, scope, signingKey } = await form
    const path = objectPath(bucket, key)
    assertNamesKey(path, bucket, key)
    const digest = await crypto.subtle.digest('SHA-256', utf8(beforePath + path + afterPath))
    const signature = await crypto.subtle.sign('HMAC', signingKey, utf8(scope + hex(digest)))
    return bucket.origin + path + query + hex(signature)
  }
}

async function fillBlank(template: PresignTemplate): Promise<Form> {
  const datetime = amzDate(template.signedAt)
  const blank = await blankFor(template, datetime)
  return blank(datetime, template.headers ?? {})
}

/**
 * The blank for `template`, which is kept for all others of its day that differ in the values of
 * headers alone.
 */
async function blankFor(template: PresignTemplate, datetime: string): Promise<Blank> {
  const { bucket, credentials, method, query, headers = {}, signedSeconds } = template
  const kept = blanks.get(bucket) ?? new Map<string, Blank>()
  blanks.set(bucket, kept)
  const name = JSON.stringify([
    credentials.accessKeyId,
    method,
    query,
    Object.keys(headers),
    datetime.slice(0, 8),
    signedSeconds,
  ])
  const known = kept.get(name)
  if (known !== undefined) return known
  const blank = await createBlank(template)
  if (kept.size >= MAX_BLANKS) kept.clear()
  kept.set(name, blank)
  return blank
}

/**
 * aws4fetch signs a probe. In its canonical request (SigV4, "Create a canonical request") the path
 * line, the date in the query and the header lines can then be replaced.
 */
async function createBlank(template: PresignTemplate): Promise<Blank> {
  const { bucket, headers = {} } = template
  const signer = presignSigner({ ...template, key: PROBE })
  const signature = await signer.signature()
  const canonical = await signer.canonicalString()
  const [method, afterPath] = cut(canonical, `\n${objectPath(bucket, PROBE)}\n`)
  const [canonicalQuery, end] = cut(afterPath, `\n${signer.canonicalHeaders}\n`)
  const [queryStart, queryEnd] = cut(canonicalQuery, amzDateParameter(signer.datetime))
  const [urlStart, urlEnd] = cut(spaced(signer.url.search), amzDateParameter(signer.datetime))
  const signedHeaders: string[] = signer.signedHeaders.split(';')
  const key = await signingKey(signer)

  const blank: Blank = (datetime, headers) => {
    const date = amzDateParameter(datetime)
    const values = new Map([['host', signer.url.host]])
    for (const [name, value] of Object.entries(headers))
      values.set(name.toLowerCase(), value.trim().replace(/\s+/g, ' '))
    const lines = signedHeaders.map((name) => `${name}:${values.get(name)}\n`).join('')
    return {
      beforePath: `${method}\n`,
      afterPath: `\n${queryStart}${date}${queryEnd}\n${lines}${end}`,
      query: `${urlStart}${date}${urlEnd}&X-Amz-Signature=`,
      scope: `AWS4-HMAC-SHA256\n${datetime}\n${signer.credentialString}\n`,
      signingKey: key,
    }
  }
  const url = await stampOf(bucket, blank(signer.datetime, headers))(PROBE)
  if (!url.endsWith(signature)) throw otherThanExpected()
  return blank
}

const amzDateParameter = (datetime: string): string => `X-Amz-Date=${datetime}`

/** What stands before and after `part` in `text`. */
function cut(text: string, part: string): readonly [string, string] {
  const at = text.indexOf(part)
  if (at === -1) throw otherThanExpected()
  return [text.slice(0, at), text.slice(at + part.length)]
}

const otherThanExpected = (): Error =>
  new Error('aws4fetch builds its canonical request in another way than expected.')
