import type { AwsV4Signer } from 'aws4fetch'
import type { Bucket } from '../bucket/bucket.ts'
import { hex, utf8, writeHex } from '../keys/encodings.ts'
import { type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import { assertNamesKey, encodeKey } from './object-url.ts'
import { type PresignInput, querySigner } from './presign.ts'
import { amzDate, signingKey, spaced } from './signature.ts'

/** Everything about a URL except its key. */
export type PresignTemplate = Omit<PresignInput, 'key'>

type Headers = PresignTemplate['headers'] & object

/** Presigns the URL of one object. Throws RangeError for a lifetime that SigV4 doesn't allow. */
export type PresignKey = (key: ObjectKey) => Promise<string>

/** A canonical request, string to sign and URL, with gaps for key, time and header values. */
interface Template {
  /** Tells whether the template can sign `input` at `datetime`. */
  fits(input: PresignTemplate, datetime: string): boolean
  /** Returns a function that fills in keys, with the time and the headers of `input`. */
  fill(input: PresignTemplate, datetime: string): PresignKey
}

const MAX_TEMPLATES = 64
const SAMPLE = parseObjectKey('sample')
/** By the settings' bucket, since a template costs as much as six URLs. It has no key and no caller. */
const templates = new WeakMap<Bucket, Template[]>()

/** Presigns URLs that differ only in the key. Each one costs a digest and an HMAC. */
export function presignMany(input: PresignTemplate): PresignKey {
  const datetime = amzDate(input.signedAt)
  // Without a promise if the template exists, since most requests sign one URL.
  for (const template of templates.get(input.bucket) ?? [])
    if (template.fits(input, datetime)) return template.fill(input, datetime)
  const presignKey = prepareTemplate(input).then((made) => made.fill(input, datetime))
  return (key) => presignKey.then((sign) => sign(key))
}

/** Creates a template, checks it, and stores it for its bucket. */
async function prepareTemplate(input: PresignTemplate): Promise<Template> {
  const signer = querySigner({ ...input, key: SAMPLE })
  const template = await createTemplate(input, signer)
  const url = await template.fill(input, signer.datetime)(SAMPLE)
  if (!url.endsWith(await signer.signature())) throw otherThanExpected()
  const kept = templates.get(input.bucket) ?? []
  if (kept.length >= MAX_TEMPLATES) kept.length = 0
  kept.push(template)
  templates.set(input.bucket, kept)
  return template
}

/** Creates a template from the canonical request (SigV4) that aws4fetch builds for a sample. */
async function createTemplate(input: PresignTemplate, signer: AwsV4Signer): Promise<Template> {
  const { credentials, method, signedSeconds } = input
  const { origin, basePath } = input.bucket.publicAddress
  const { datetime, canonicalHeaders, credentialString } = signer
  const day = datetime.slice(0, 8)
  const query = JSON.stringify(input.query)
  const names = namesOf(input.headers)
  const canonical = await signer.canonicalString()
  const [beforePath, afterPath] = cut(canonical, `\n${basePath}${SAMPLE}\n`)
  const [canonicalQuery, afterHeaders] = cut(afterPath, `\n${canonicalHeaders}\n`)
  const date = `X-Amz-Date=${datetime}`
  const [beforeDate, afterDate] = cut(canonicalQuery, date)
  const [urlBeforeDate, urlAfterDate] = cut(spaced(signer.url.search), date)
  const requestBeforeKey = utf8(`${beforePath}\n${basePath}`)
  const requestBeforeDate = utf8(`\n${beforeDate}X-Amz-Date=`)
  const requestAfterDate = utf8(`${afterDate}\n`)
  const requestAfterHeaders = utf8(afterHeaders)
  const algorithm = utf8('AWS4-HMAC-SHA256\n')
  const credentialScope = utf8(`\n${credentialString}\n`)
  const urlBeforeKey = origin + basePath
  const headersOf = canonicalHeadersBy(signer, input.headers)
  const key = await signingKey(signer)
  return {
    fits: (other, at) =>
      other.signedSeconds === signedSeconds &&
      other.method === method &&
      other.credentials === credentials &&
      at.startsWith(day) &&
      namesOf(other.headers) === names &&
      JSON.stringify(other.query) === query,
    fill({ headers }, at) {
      const requestHeaders = headersOf(headers)
      const urlQuery = `${urlBeforeDate}X-Amz-Date=${at}${urlAfterDate}&X-Amz-Signature=`
      return async function presignKey(objectKey) {
        const path = encodeKey(objectKey)
        assertNamesKey(path, objectKey)
        length = 0
        add(requestBeforeKey)
        addAscii(path)
        add(requestBeforeDate)
        addAscii(at)
        add(requestAfterDate)
        add(requestHeaders)
        add(requestAfterHeaders)
        const digest = await crypto.subtle.digest('SHA-256', textBytes())
        length = 0
        add(algorithm)
        addAscii(at)
        add(credentialScope)
        addHex(digest)
        const signature = await crypto.subtle.sign('HMAC', key, textBytes())
        return urlBeforeKey + path + urlQuery + hex(signature)
      }
    },
  }
}

/**
 * Returns a function that builds canonical headers, each with its line break, like `signer`, for
 * headers with the same names as `sample`.
 */
function canonicalHeadersBy(
  signer: AwsV4Signer,
  sample: Headers | undefined,
): (headers: Headers | undefined) => Uint8Array {
  const host = `host:${signer.url.host}\n`
  const hostAlone = utf8(host)
  const given = new Map(Object.keys(sample ?? {}).map((name) => [name.toLowerCase(), name]))
  const signed = signer.signedHeaders.split(';').map((name) => [name, given.get(name)] as const)
  return (headers) => {
    if (headers === undefined) return hostAlone
    let lines = ''
    for (const [name, as] of signed)
      lines += as === undefined ? host : `${name}:${headers[as]?.trim().replace(/\s+/g, ' ')}\n`
    return utf8(lines)
  }
}

const namesOf = (headers: Headers | undefined): string =>
  headers === undefined ? '' : Object.keys(headers).join()

/** Returns the text before and after `part` in `text`. */
function cut(text: string, part: string): readonly [string, string] {
  const at = text.indexOf(part)
  if (at === -1) throw otherThanExpected()
  return [text.slice(0, at), text.slice(at + part.length)]
}

const otherThanExpected = (): Error =>
  new Error("aws4fetch's canonical request has an unexpected format.")

/**
 * The text to digest next, of all requests: nothing awaits between its first byte and the call of
 * WebCrypto, which copies the text at once. New memory for each text would make a URL cost a third more.
 */
let memory = new Uint8Array(4096)
let length = 0

const textBytes = (): Uint8Array => memory.subarray(0, length)

function add(bytes: Uint8Array): void {
  reserve(bytes.length)
  memory.set(bytes, length)
  length += bytes.length
}

function addAscii(text: string): void {
  reserve(text.length)
  for (let i = 0; i < text.length; i++) memory[length + i] = text.charCodeAt(i)
  length += text.length
}

function addHex(digest: ArrayBuffer): void {
  const digits = 2 * digest.byteLength
  reserve(digits)
  writeHex(new Uint8Array(digest), memory, length)
  length += digits
}

function reserve(more: number): void {
  if (length + more <= memory.length) return
  const longer = new Uint8Array(2 * (length + more))
  longer.set(textBytes())
  memory = longer
}
