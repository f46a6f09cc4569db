import { describe } from '../../errors/describe.ts'
import { secondsAsked } from '../../errors/retry-delay.ts'
import { logWarning, type Warning } from '../../errors/warnings.ts'
import { base64, sha256, utf8 } from '../../keys/encodings.ts'
import type { EventType } from '../../records/file-event.ts'

/** An endpoint that receives events. */
export interface Webhook {
  readonly url: string
  /** `whsec_…`. Each request has a signature by each of them. */
  readonly secrets: readonly string[]
  readonly events: readonly EventType[]
}

/** Returns an endpoint's id in the queue: a digest of only its URL, which may contain a secret. */
export async function endpointId(url: string): Promise<string> {
  return (await sha256(url)).slice(0, 32)
}

/** What became of one attempt. */
export type Attempt =
  | { readonly outcome: 'delivered' }
  | {
      /** `refused` if the endpoint answered 410, so that it wants no more events. */
      readonly outcome: 'failed' | 'refused'
      /** For the log: without URL and secret. */
      readonly reason: string
      /** Seconds to wait by the endpoint's own Retry-After, or 0. */
      readonly askedSeconds: number
    }

const TIMEOUT = 10_000

/**
 * Sends one event, signed for this attempt. Success is 200 to 299. A redirect is a failure, since
 * it would go to a host that nobody configured. Doesn't read the response's body. Never throws.
 */
export async function deliver(
  { url, secrets }: Webhook,
  { id, body }: { readonly id: string; readonly body: string },
  now: Date,
): Promise<Attempt> {
  try {
    const headers = await signatureHeaders(secrets, id, body, now)
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'User-Agent': 'edge-presigner', ...headers },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT),
    })
    response.body?.cancel().catch(() => undefined)
    if (response.ok) return { outcome: 'delivered' }
    const { status } = response
    return {
      outcome: status === 410 ? 'refused' : 'failed',
      reason: `status ${status}${status >= 300 && status < 400 ? ', a redirect' : ''}`,
      askedSeconds: secondsAsked(response.headers.get('retry-after'), now),
    }
  } catch (error) {
    return { outcome: 'failed', reason: describe(error), askedSeconds: 0 }
  }
}

/** Logs what became of an event that was not delivered. Names the endpoint by its host. */
export function logWebhook(warning: Warning, { url }: Webhook, members: object): void {
  logWarning(warning, { endpoint: new URL(url).host, ...members })
}

/*
 * Signatures of Standard Webhooks 1.0, https://www.standardwebhooks.com: HMAC-SHA-256 over id,
 * timestamp and body, so that none of them can be changed or sent again later.
 */

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
