import { setTimeout as delay } from 'node:timers/promises'
import { nameOf } from '../../src/settings/define.ts'

/** An answer that was read to its end. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** When the request was sent and when its answer began, in milliseconds since 1970. */
  readonly sentAt: number
  readonly answeredAt: number
}

/** No answer came. The message says why, and names no URL. */
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

/** Sends requests: none follows a redirect, and each has one deadline for head and body. */
export interface Requests {
  /** Throws NoAnswer and Stopped. */
  send(url: string, options?: RequestOptions): Promise<Answer>
}

const MAX_TEXT_BYTES = 1024 ** 2
const BUSY = [429, 503]
/** R2 takes one write a second of an object, and says 429 to more. */
export const BUSY_TRIES = 3
export const BUSY_MILLISECONDS = 1100

/** Requests until `stop`. What may change something is never cut off: nobody would know of it. */
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
        timeout.aborted ? `No answer within ${timeoutSeconds} seconds.` : reasonOf(error),
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

/** The start of the body; an object of doctor's own is far smaller than the limit. */
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
  ENOTFOUND: 'The host name is not known.',
  EAI_AGAIN: 'The host name could not be looked up.',
  ECONNREFUSED: 'The connection was refused: nothing listens there.',
  ECONNRESET: 'The connection was closed without an answer.',
  UND_ERR_SOCKET: 'The connection was closed without an answer.',
  EPROTO: 'The server does not speak TLS on this port.',
  ERR_SSL_WRONG_VERSION_NUMBER: 'The server does not speak TLS on this port.',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'The server does not speak TLS on this port.',
  CERT_HAS_EXPIRED: 'The TLS certificate has expired.',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'The TLS certificate is self-signed.',
  ERR_TLS_CERT_ALTNAME_INVALID: 'The TLS certificate is for another host.',
}

/** Why fetch threw. Its own messages may hold the URL, and with it a signature. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : null
  return (code === null ? null : REASONS[code]) ?? `The request failed: ${code ?? nameOf(error)}.`
}
