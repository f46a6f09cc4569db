import { describe } from '../../errors/describe.ts'
import { secondsAsked } from '../../errors/retry-delay.ts'
import { logWarning, type Warning } from '../../errors/warnings.ts'
import { sha256 } from '../../keys/encodings.ts'
import type { EventType } from '../../records/file-event.ts'
import { signatureHeaders } from './standard-webhooks.ts'

/** An endpoint that receives events. */
export interface Webhook {
  readonly url: string
  /** `whsec_…`. Each request has a signature by each of them. */
  readonly secrets: readonly string[]
  readonly events: readonly EventType[]
}

/**
 * Returns the id of an endpoint in the queue. It depends only on the URL, so that it survives a new
 * secret and another order. It is a digest, since a URL may contain a secret.
 */
export async function endpointId(url: string): Promise<string> {
  return (await sha256(url)).slice(0, 32)
}

/** What became of one attempt. */
export type Attempt =
  | { readonly outcome: 'delivered' }
  | {
      /** `refused`: the endpoint answered 410, so that it wants no more. */
      readonly outcome: 'failed' | 'refused'
      /** For the log: without URL and secret. */
      readonly reason: string
      /** Seconds to wait by the endpoint's own Retry-After, or 0. */
      readonly askedSeconds: number
    }

/** The longest wait for a response, in milliseconds. */
const TIMEOUT = 10_000

/**
 * Sends one event to its endpoint, signed for this attempt. Success is a status from 200 to 299. A
 * redirect is a failure, since it would send the event to a host that nobody configured. Doesn't
 * read the body of the response. Never throws.
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
