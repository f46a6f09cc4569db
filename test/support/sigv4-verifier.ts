import { createHash, createHmac } from 'node:crypto'

/** A request as it reaches a server, before any decoding or sorting. */
export interface SentRequest {
  readonly method: string
  readonly url: string
  /** All headers that the client sends except `Host`, which follows from the URL. */
  readonly headers?: Readonly<Record<string, string>>
}

/** The server's secrets and settings. */
export interface Server {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | null
  readonly region: string
  readonly now: Date
}

export type Reason =
  | 'malformed url'
  | 'missing parameter'
  | 'repeated parameter'
  | 'wrong algorithm'
  | 'wrong credential'
  | 'wrong scope'
  | 'wrong session token'
  | 'malformed date'
  | 'malformed expiry'
  | 'malformed signed headers'
  | 'signed header missing'
  | 'header not signed'
  | 'signature mismatch'
  | 'not yet valid'
  | 'expired'

export type Verification =
  | {
      readonly ok: true
      readonly host: string
      /** Decoded once, as a server does for a lookup. */
      readonly path: string
      /** Decoded, without the parameters of the signature. */
      readonly query: Readonly<Record<string, string>>
      readonly canonicalRequest: string
      readonly stringToSign: string
    }
  | { readonly ok: false; readonly reason: Reason }

const UNRESERVED = /^[A-Za-z0-9._~-]$/
/** How far S3 lets a date be ahead of its own clock. */
const MAX_SKEW_SECONDS = 15 * 60

/**
 * Verifies a presigned URL as a server does. It follows only AWS's "Authenticating Requests: Using
 * Query Parameters (AWS Signature Version 4)", and shares no code with `src/`, aws4fetch or a URL
 * parser.
 */
export function verifyPresigned(request: SentRequest, server: Server): Verification {
  const url = takeApart(request.url)
  if (url === null) return refuse('malformed url')
  const query = new Map(url.query)
  if (query.size < url.query.length) return refuse('repeated parameter')

  const [algorithm, credential, date, expires, signedHeaders, signature] = [
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Date',
    'X-Amz-Expires',
    'X-Amz-SignedHeaders',
    'X-Amz-Signature',
  ].map((name) => query.get(name))
  if (!algorithm || !credential || !date || !expires || !signedHeaders || !signature)
    return refuse('missing parameter')
  if (algorithm !== 'AWS4-HMAC-SHA256') return refuse('wrong algorithm')
  if (!/^\d{8}T\d{6}Z$/.test(date)) return refuse('malformed date')
  if (!/^[1-9]\d{0,5}$/.test(expires) || Number(expires) > 604_800)
    return refuse('malformed expiry')
  if ((query.get('X-Amz-Security-Token') ?? null) !== (server.sessionToken ?? null))
    return refuse('wrong session token')

  const day = date.slice(0, 8)
  const scope = `${day}/${server.region}/s3/aws4_request`
  const slash = credential.indexOf('/')
  if (credential.slice(0, slash) !== server.accessKeyId) return refuse('wrong credential')
  if (credential.slice(slash + 1) !== scope) return refuse('wrong scope')

  const headers = sentHeaders(request, url.host)
  const names = signedHeaders.split(';')
  if (!names.includes('host') || names.join() !== [...new Set(names)].sort().join())
    return refuse('malformed signed headers')
  if (names.some((name) => !headers.has(name))) return refuse('signed header missing')
  if ([...headers.keys()].some((name) => name.startsWith('x-amz-') && !names.includes(name)))
    return refuse('header not signed')

  const canonicalRequest = [
    request.method,
    encode(url.path, '/'),
    canonicalQuery(url.query),
    ...names.map((name) => `${name}:${headers.get(name)}`),
    '',
    signedHeaders,
    'UNSIGNED-PAYLOAD',
  ].join('\n')
  const digest = createHash('sha256').update(canonicalRequest).digest('hex')
  const stringToSign = [algorithm, date, scope, digest].join('\n')
  const key = [day, server.region, 's3', 'aws4_request'].reduce<string | Uint8Array>(
    (parent, part) => createHmac('sha256', parent).update(part).digest(),
    `AWS4${server.secretAccessKey}`,
  )
  const expected = createHmac('sha256', key).update(stringToSign).digest('hex')
  if (signature !== expected) return refuse('signature mismatch')

  const age = (server.now.getTime() - toTime(date)) / 1000
  if (age < -MAX_SKEW_SECONDS) return refuse('not yet valid')
  if (age > Number(expires)) return refuse('expired')
  return {
    ok: true,
    host: url.host,
    path: url.path,
    query: Object.fromEntries(url.query.filter(([name]) => !name.startsWith('X-Amz-'))),
    canonicalRequest,
    stringToSign,
  }
}

const refuse = (reason: Reason): Verification => ({ ok: false, reason })

interface UrlParts {
  /** Returns the host as a client writes it into `Host`. */
  readonly host: string
  readonly path: string
  readonly query: readonly (readonly [name: string, value: string])[]
}

/**
 * Returns null for what a server would refuse or could read in two ways: a fragment, or a `+` in
 * the query.
 */
export function takeApart(text: string): UrlParts | null {
  const [, scheme, authority, rawPath, rawQuery] =
    /^(https?):\/\/([^/?#@\\]+)(\/[^?#\\\s]*)(?:\?([^#+\\\s]+))?$/.exec(text) ?? []
  if (!scheme || !authority || !rawPath) return null
  const path = decode(rawPath)
  const query = (rawQuery?.split('&') ?? []).map((pair) => {
    const equals = pair.indexOf('=')
    if (equals < 1) return null
    const name = decode(pair.slice(0, equals))
    const value = decode(pair.slice(equals + 1))
    return name === null || value === null ? null : ([name, value] as const)
  })
  if (path === null || !query.every((pair) => pair !== null)) return null
  return { host: authority.replace(scheme === 'https' ? /:443$/ : /:80$/, ''), path, query }
}

/** Returns percent-decoded UTF-8, or null when it is malformed. */
function decode(raw: string): string | null {
  const bytes: number[] = []
  for (let i = 0; i < raw.length; i++) {
    if (raw[i] !== '%') {
      const unit = raw.charCodeAt(i)
      if (unit > 0x7e) return null
      bytes.push(unit)
      continue
    }
    const hex = raw.slice(i + 1, i + 3)
    if (!/^[0-9A-Fa-f]{2}$/.test(hex)) return null
    bytes.push(Number.parseInt(hex, 16))
    i += 2
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes))
  } catch {
    return null
  }
}

/**
 * AWS's `UriEncode`: writes every byte as `%XX`, except the unreserved ones and those in `plain`.
 */
export const encode = (text: string, plain = ''): string =>
  Array.from(new TextEncoder().encode(text), (byte) => {
    const character = String.fromCharCode(byte)
    if (UNRESERVED.test(character) || plain.includes(character)) return character
    return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }).join('')

export const canonicalQuery = (query: UrlParts['query']): string =>
  query
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')

/** By lower-case name. Each value is trimmed and has single spaces. */
function sentHeaders({ headers = {} }: SentRequest, host: string): Map<string, string> {
  const sent = Object.entries(headers).map(
    ([name, value]) => [name.toLowerCase(), value.trim().replace(/ +/g, ' ')] as const,
  )
  return new Map([...sent, ['host', host]])
}

const toTime = (date: string): number =>
  Date.parse(date.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'))
