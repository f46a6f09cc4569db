import { setTimeout as delay } from 'node:timers/promises'
import { classOf } from '../../src/errors/describe.ts'

/** A complete response. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** When the request was sent and when its response started, in milliseconds since 1970. */
  readonly sentAt: number
  readonly answeredAt: number
}

/** The server did not respond. The message says why, and contains no URL. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer'
}

/** The user has pressed Ctrl-C. */
export class Stopped extends Error {
  override readonly name = 'Stopped'
}

export interface RequestOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>> | Headers
  readonly body?: string | FormData
}

/** Sends requests. They don't follow redirects, and each has one deadline for headers and body. */
export interface Requests {
  /** Throws NoAnswer and Stopped. */
  send(url: string, options?: RequestOptions): Promise<Answer>
}

const MAX_TEXT_BYTES = 1024 ** 2
const BUSY = [429, 503]
/** How often to try. R2 accepts one write per second for an object, and returns 429 for more. */
export const BUSY_TRIES = 3
export const BUSY_MILLISECONDS = 1100

/** Sends requests until `stop`. Never aborts a request that may change something. */
export function requestsUntil(stop: AbortSignal, timeoutSeconds: number): Requests {
  const once = async (url: string, options: RequestOptions): Promise<Answer> => {
    if (stop.aborted) throw new Stopped()
    const timeout = AbortSignal.timeout(timeoutSeconds * 1000)
    const reads = ['GET', 'HEAD', 'OPTIONS'].includes(options.method ?? 'GET')
    const signal = reads ? AbortSignal.any([timeout, stop]) : timeout
    const sentAt = Date.now()
    try {
      const response = await fetch(url, { ...options, redirect: 'manual', signal })
      const answeredAt = Date.now()
      const { status, headers } = response
      return { status, headers, text: await readText(response), sentAt, answeredAt }
    } catch (error) {
      if (stop.aborted) throw new Stopped()
      throw new NoAnswer(
        timeout.aborted ? `No response within ${timeoutSeconds} seconds.` : reasonOf(error),
      )
    }
  }
  return {
    async send(url, options = {}) {
      for (let tries = 1; ; tries += 1) {
        const answer = await once(url, options)
        if (!BUSY.includes(answer.status) || !isS3Error(answer) || tries === BUSY_TRIES)
          return answer
        await delay(BUSY_MILLISECONDS)
      }
    },
  }
}

const isS3Error = ({ text }: Answer): boolean => text.includes('<Error>')

/** Reads the start of the body. Doctor's own objects are far smaller than the limit. */
async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > MAX_TEXT_BYTES) break
  }
  return text
}

const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'The host name does not exist.',
  EAI_AGAIN: 'The lookup of the host name failed.',
  ECONNREFUSED: 'The connection was refused. No server is listening there.',
  ECONNRESET: 'The connection was closed without a response.',
  UND_ERR_SOCKET: 'The connection was closed without a response.',
  EPROTO: 'The server does not speak TLS on this port.',
  ERR_SSL_WRONG_VERSION_NUMBER: 'The server does not speak TLS on this port.',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'The server does not speak TLS on this port.',
  CERT_HAS_EXPIRED: 'The TLS certificate has expired.',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'The TLS certificate is self-signed.',
  ERR_TLS_CERT_ALTNAME_INVALID: 'The TLS certificate is for another host.',
}

/** Why fetch threw. Its own messages may contain the URL, and with it a signature. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : null
  return (code === null ? null : REASONS[code]) ?? `The request failed: ${code ?? classOf(error)}.`
}
