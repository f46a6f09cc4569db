import { createHash, createHmac } from 'node:crypto'
import { canonicalQuery, encode, type Server, takeApart } from './sigv4-verifier.ts'

/** A request with its signature in a header. */
export interface AuthorizedRequest {
  readonly method: string
  /** With a query. */
  readonly url: string
  readonly headers: Headers
  readonly body: string
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^,]+), SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/

/**
 * Returns what is wrong with a signed request, or null. It follows only AWS's "Authenticating
 * Requests: Using the Authorization Header (AWS Signature Version 4)". A body must be signed by its
 * digest; only an empty one may be unsigned.
 */
export function authorizationError(request: AuthorizedRequest, server: Server): string | null {
  const { method, headers, body } = request
  const url = takeApart(request.url)
  if (url === null) return 'malformed url'
  const [, credential, signedHeaders, signature] =
    AUTHORIZATION.exec(headers.get('Authorization') ?? '') ?? []
  if (!credential || !signedHeaders) return 'malformed authorization'

  const date = headers.get('X-Amz-Date') ?? ''
  if (date !== server.now.toISOString().replace(/[:-]|\.\d{3}/g, '')) return 'wrong date'
  const day = date.slice(0, 8)
  const scope = `${day}/${server.region}/s3/aws4_request`
  if (credential !== `${server.accessKeyId}/${scope}`) return 'wrong credential'
  if (headers.get('X-Amz-Security-Token') !== (server.sessionToken ?? null))
    return 'wrong session token'

  const digest = sha256(body)
  const stated = headers.get('X-Amz-Content-Sha256') ?? ''
  if (stated !== digest && !(body === '' && stated === 'UNSIGNED-PAYLOAD')) return 'wrong digest'
  const names = signedHeaders.split(';')
  const sent = new Map([...headers, ['host', url.host]])
  if (names.join() !== [...new Set(names)].sort().join()) return 'malformed signed headers'
  const mustBeSigned = [...sent.keys()].filter((name) => /^(?:host|x-amz-.*)$/.test(name))
  if (!mustBeSigned.every((name) => names.includes(name))) return 'header not signed'

  const canonicalRequest = [
    method,
    encode(url.path, '/'),
    canonicalQuery(url.query),
    ...names.map((name) => `${name}:${sent.get(name)?.trim().replace(/ +/g, ' ')}`),
    '',
    signedHeaders,
    stated,
  ].join('\n')
  const stringToSign = ['AWS4-HMAC-SHA256', date, scope, sha256(canonicalRequest)].join('\n')
  const key = [day, server.region, 's3', 'aws4_request'].reduce<string | Uint8Array>(
    (parent, part) => createHmac('sha256', parent).update(part).digest(),
    `AWS4${server.secretAccessKey}`,
  )
  const expected = createHmac('sha256', key).update(stringToSign).digest('hex')
  return signature === expected ? null : 'signature mismatch'
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
