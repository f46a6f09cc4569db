import type { AwsV4Signer } from 'aws4fetch'
import type { Bucket } from '../bucket/bucket.ts'
import { hex, utf8, writeHex } from '../keys/encodings.ts'
import { type ObjectKey, parseObjectKey } from '../keys/object-key.ts'
import { assertNamesKey, encodeKey } from './object-url.ts'
import { type PresignInput, querySigner } from './presign.ts'
import { amzDate, signingKey, spaced } from './signature.ts'

/** What can be said of a URL before its key is known. */
export type PresignTemplate = Omit<PresignInput, 'key'>

/** Presigns the URL of one object. Throws RangeError for a lifetime that SigV4 doesn't know. */
export type PresignKey = (key: ObjectKey) => Promise<string>

/**
 * A canonical request, its string to sign and its URL, cut where the key, the time and the values of
 * headers belong.
 */
interface Template {
  /** Whether it serves `input`, which is signed at `datetime`. */
  readonly fits: (input: PresignTemplate, datetime: string) => boolean
  readonly canonicalRequest: {
    /** The method, and the bucket's part of the path. */
    readonly beforeKey: Uint8Array
    readonly beforeDate: Uint8Array
    readonly afterDate: Uint8Array
    /** The names of the signed headers, and the digest of the payload. */
    readonly afterHeaders: Uint8Array
  }
  readonly stringToSign: {
    readonly algorithm: Uint8Array
    readonly credentialScope: Uint8Array
  }
  readonly url: {
    readonly beforeKey: string
    readonly beforeDate: string
    readonly afterDate: string
  }
  /** Returns the canonical headers for the values in `input`, each with its line break. */
  readonly canonicalHeaders: (input: PresignTemplate) => Uint8Array
  readonly signingKey: CryptoKey
}

const MAX_TEMPLATES = 64
const SAMPLE = parseObjectKey('sample')
const templates = new WeakMap<Bucket, Template[]>()

/**
 * Returns what presigns URLs that differ in the key alone, byte for byte as `presign` does, each for
 * one digest and one HMAC.
 */
export function presignMany(input: PresignTemplate): PresignKey {
  const datetime = amzDate(input.signedAt)
  // Without a promise where there is none to wait for: most requests sign one URL.
  const template = templates.get(input.bucket)?.find(({ fits }) => fits(input, datetime))
  if (template !== undefined) return presignBy(template, input, datetime)
  const presignKey = prepareTemplate(input).then((made) => presignBy(made, input, datetime))
  return async (key) => (await presignKey)(key)
}

function presignBy(template: Template, input: PresignTemplate, datetime: string): PresignKey {
  const { canonicalRequest, stringToSign, url, signingKey } = template
  const canonicalHeaders = template.canonicalHeaders(input)
  const query = url.beforeDate + datetime + url.afterDate
  return async function presignKey(key) {
    const path = encodeKey(key)
    assertNamesKey(path, key)
    text.start()
    text.add(canonicalRequest.beforeKey)
    text.addAscii(path)
    text.add(canonicalRequest.beforeDate)
    text.addAscii(datetime)
    text.add(canonicalRequest.afterDate)
    text.add(canonicalHeaders)
    text.add(canonicalRequest.afterHeaders)
    const digest = await crypto.subtle.digest('SHA-256', text.bytes())
    text.start()
    text.add(stringToSign.algorithm)
    text.addAscii(datetime)
    text.add(stringToSign.credentialScope)
    text.addHex(digest)
    const signature = await crypto.subtle.sign('HMAC', signingKey, text.bytes())
    return url.beforeKey + path + query + hex(signature)
  }
}

/** Prepares a template, checks it, and keeps it for its bucket. */
async function prepareTemplate(input: PresignTemplate): Promise<Template> {
  const signer = querySigner({ ...input, key: SAMPLE })
  const template = await createTemplate(input, signer)
  const url = await presignBy(template, input, signer.datetime)(SAMPLE)
  if (!url.endsWith(await signer.signature())) throw otherThanExpected()
  const kept = templates.get(input.bucket) ?? []
  if (kept.length >= MAX_TEMPLATES) kept.length = 0
  kept.push(template)
  templates.set(input.bucket, kept)
  return template
}

/**
 * aws4fetch signs the URL of a sample. From its canonical request (SigV4, "Canonical Request") the
 * key, the date in the query and the lines of headers are cut.
 */
async function createTemplate(input: PresignTemplate, signer: AwsV4Signer): Promise<Template> {
  const { bucket, credentials, method, signedSeconds } = input
  const { datetime, canonicalHeaders, credentialString } = signer
  const day = datetime.slice(0, 8)
  const query = JSON.stringify(input.query)
  const names = namesOf(input.headers)
  const canonical = await signer.canonicalString()
  const [beforePath, afterPath] = cut(canonical, `\n${bucket.basePath}${SAMPLE}\n`)
  const [canonicalQuery, afterHeaders] = cut(afterPath, `\n${canonicalHeaders}\n`)
  const date = `X-Amz-Date=${datetime}`
  const [beforeDate, afterDate] = cut(canonicalQuery, date)
  const [urlBeforeDate, urlAfterDate] = cut(spaced(signer.url.search), date)
  const { host } = signer.url
  const hostAlone = utf8(`host:${host}\n`)
  const signedHeaders: string[] = signer.signedHeaders.split(';')
  return {
    fits: (other, at) =>
      other.signedSeconds === signedSeconds &&
      other.method === method &&
      other.credentials === credentials &&
      at.startsWith(day) &&
      namesOf(other.headers) === names &&
      JSON.stringify(other.query) === query,
    canonicalRequest: {
      beforeKey: utf8(`${beforePath}\n${bucket.basePath}`),
      beforeDate: utf8(`\n${beforeDate}X-Amz-Date=`),
      afterDate: utf8(`${afterDate}\n`),
      afterHeaders: utf8(afterHeaders),
    },
    stringToSign: {
      algorithm: utf8('AWS4-HMAC-SHA256\n'),
      credentialScope: utf8(`\n${credentialString}\n`),
    },
    url: {
      beforeKey: bucket.origin + bucket.basePath,
      beforeDate: `${urlBeforeDate}X-Amz-Date=`,
      afterDate: `${urlAfterDate}&X-Amz-Signature=`,
    },
    canonicalHeaders({ headers }) {
      if (headers === undefined) return hostAlone
      const values = new Map([['host', host]])
      for (const [name, value] of Object.entries(headers))
        values.set(name.toLowerCase(), value.trim().replace(/\s+/g, ' '))
      return utf8(signedHeaders.map((name) => `${name}:${values.get(name)}\n`).join(''))
    },
    signingKey: await signingKey(signer),
  }
}

const namesOf = (headers: PresignTemplate['headers']): string =>
  headers === undefined ? '' : Object.keys(headers).join()

/** Returns the text before and after `part` in `text`. */
function cut(text: string, part: string): readonly [string, string] {
  const at = text.indexOf(part)
  if (at === -1) throw otherThanExpected()
  return [text.slice(0, at), text.slice(at + part.length)]
}

const otherThanExpected = (): Error =>
  new Error('aws4fetch builds its canonical request in another way than expected.')

/**
 * The text that is digested or signed next. Each takes the place of the one before, as WebCrypto
 * copies what it is given before it returns: memory of its own costs more than a digest.
 */
class Text {
  #memory = new Uint8Array(4096)
  #length = 0

  start(): void {
    this.#length = 0
  }

  add(bytes: Uint8Array): void {
    this.#reserve(bytes.length).set(bytes, this.#length)
    this.#length += bytes.length
  }

  addAscii(text: string): void {
    const memory = this.#reserve(text.length)
    for (let i = 0; i < text.length; i++) memory[this.#length + i] = text.charCodeAt(i)
    this.#length += text.length
  }

  addHex(digest: ArrayBuffer): void {
    writeHex(new Uint8Array(digest), this.#reserve(2 * digest.byteLength), this.#length)
    this.#length += 2 * digest.byteLength
  }

  bytes(): Uint8Array {
    return this.#memory.subarray(0, this.#length)
  }

  #reserve(more: number): Uint8Array {
    if (this.#length + more > this.#memory.length) {
      const longer = new Uint8Array(2 * (this.#length + more))
      longer.set(this.bytes())
      this.#memory = longer
    }
    return this.#memory
  }
}

const text = new Text()
