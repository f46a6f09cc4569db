/*
 * Signatures of Standard Webhooks 1.0, https://www.standardwebhooks.com: HMAC-SHA-256 over id,
 * timestamp and body, so that none of them can be changed or sent again later.
 */
import { base64, utf8 } from '../../keys/encodings.ts'

const SECRET = /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/

const MIN_SECRET_BYTES = 24
const MAX_SECRET_BYTES = 64

/** Returns the bytes of `whsec_` and base64, or null if it is malformed or not 24 to 64 bytes long. */
export function secretBytes(secret: string): Uint8Array | null {
  const [, encoded] = SECRET.exec(secret) ?? []
  if (encoded === undefined) return null
  const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))
  return bytes.length >= MIN_SECRET_BYTES && bytes.length <= MAX_SECRET_BYTES ? bytes : null
}

/** Returns the headers of one attempt to send `body`. `now` is the time of the attempt. */
export async function signatureHeaders(
  secrets: readonly string[],
  id: string,
  body: string,
  now: Date,
): Promise<Record<string, string>> {
  const timestamp = String(Math.floor(now.getTime() / 1000))
  const signed = utf8(`${id}.${timestamp}.${body}`)
  const signatures = await Promise.all(secrets.map((secret) => signature(secret, signed)))
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures.join(' '),
  }
}

async function signature(secret: string, signed: Uint8Array): Promise<string> {
  const bytes = secretBytes(secret)
  if (bytes === null) throw new TypeError('A webhook secret is malformed.')
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', bytes, algorithm, false, ['sign'])
  return `v1,${base64(new Uint8Array(await crypto.subtle.sign('HMAC', key, signed)))}`
}
