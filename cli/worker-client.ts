/** How the commands call the routes of a Worker, or of the presigner in an app. */
import { setTimeout as delay } from 'node:timers/promises'
import * as z from 'zod/mini'
import { UsageError } from './command.ts'
import { presignerUrl } from './doctor/options.ts'
import { isLoopbackHost } from './loopback.ts'
import { printable } from './printable.ts'

const TIMEOUT_MILLISECONDS = 60_000
const MAX_TRIES = 8
const MAX_WAIT_SECONDS = 60
/** From this long a wait on, the command says why it waits. */
const TOLD_SECONDS = 4

const errorSchema = z.object({
  code: z.string(),
  message: z.string(),
  issues: z.optional(z.array(z.object({ path: z.string(), message: z.string() }))),
})

/** The Worker refuses a request. */
export class Refusal extends UsageError {
  readonly status: number
  /** Code of the error, if it has one. */
  readonly code: string | null

  constructor(message: string, status: number, code: string | null) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** Sends a request, with the API key if there is one. Throws Refusal, and UsageError if there is no answer. */
export type Worker = <T>(
  schema: z.ZodMiniType<T>,
  method: 'GET' | 'POST' | 'PUT',
  path: `/${string}`,
  query: Readonly<{ [name: string]: string | undefined }>,
  body?: object,
) => Promise<T>

/**
 * Sends a GET, and resolves with the response while its body arrives, which takes as long as it takes.
 * Throws Refusal, and UsageError if there is no answer.
 */
export type Download = (
  path: `/${string}`,
  query: Readonly<{ [name: string]: string | undefined }>,
) => Promise<Response>

/** How a command reaches the Worker. */
export interface WorkerOptions {
  /** `--url`: the Worker, or the presigner in an app. */
  readonly url: string | undefined
  /** Name of the variable with the API key. */
  readonly keyName: string
  /** The scope that the key needs, for the message if there is no key. */
  readonly scope: string
  /** How to call the command, for the message if there is no URL. */
  readonly usage: string
}

/** Returns the Worker at `url`. The key is sent only over HTTPS or to this machine, and to no redirect. */
export function workerOf(options: WorkerOptions): Worker {
  const exchange = exchangeWith(options)
  return async (schema, method, path, query, body) => {
    const { text } = await exchange(method, path, query, body)
    return schemaResult(schema, text)
  }
}

/** Returns a client of the Worker that streams its responses, for what is too large for memory. */
export function downloadOf(options: WorkerOptions): Download {
  const exchange = exchangeWith(options)
  return async (path, query) => (await exchange('GET', path, query, undefined, true)).response
}

/** Returns a function that sends requests, and repeats them. With `isOpen`, it doesn't read the body of a success. */
function exchangeWith({ url: given, keyName, scope, usage }: WorkerOptions) {
  if (given === undefined) throw new UsageError(`--url is missing.\n\n${usage}`)
  const url = presignerUrl(given)
  const isLocal = isLoopbackHost(url.host)
  if (url.protocol !== 'https:' && !isLocal)
    throw new UsageError('--url must start with https://, so that nobody can read the API key.')
  const key = process.env[keyName]
  // `edge-presigner dev` accepts requests of this machine without a key.
  if (!key && !isLocal)
    throw new UsageError(`Set the variable ${keyName} to an API key with ${scope}.`)
  if (key && !/^[!-~]+$/.test(key))
    throw new UsageError(`The variable ${keyName} has a character that no API key has.`)
  return async (
    method: string,
    path: string,
    query: Readonly<{ [name: string]: string | undefined }>,
    body: object | undefined,
    isOpen = false,
  ): Promise<Answer> => {
    const at = new URL(`${url.pathname.replace(/\/+$/, '')}${path}`, url.origin)
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) at.searchParams.set(name, value)
    const headers = {
      'Content-Type': 'application/json',
      ...(key ? { Authorization: `Bearer ${key}` } : {}),
    }
    const sent = body === undefined ? {} : { body: JSON.stringify(body) }
    for (let tries = 1; ; tries += 1) {
      const late = new AbortController()
      const timer = setTimeout(() => late.abort(), TIMEOUT_MILLISECONDS)
      const init = { method, headers, redirect: 'manual', signal: late.signal, ...sent } as const
      const answer = await fetch(at, init)
        .then(async (response) => ({
          response,
          text: isOpen && response.ok ? '' : await response.text(),
        }))
        .catch((error: unknown) => error)
        .finally(() => clearTimeout(timer))
      const failure = failureOf(answer)
      if ('text' in failure) return failure
      if (!isPassing(failure) || tries === MAX_TRIES) throw failure
      const seconds = waitSeconds(answer, tries)
      if (!isAnswer(answer) && seconds >= TOLD_SECONDS)
        console.error(`${failure.message} Tries again in ${seconds} seconds.`)
      await delay(1000 * seconds)
    }
  }
}

interface Answer {
  readonly response: Response
  readonly text: string
}

const isAnswer = (answer: unknown): answer is Answer =>
  typeof answer === 'object' && answer !== null && 'response' in answer

/** Returns the answer if it is a success, and otherwise what is wrong. */
function failureOf(answer: unknown): Answer | UsageError {
  if (!isAnswer(answer)) return new NoAnswer(causeOf(answer))
  const { response, text } = answer
  if (response.ok) return answer
  const error = errorSchema.safeParse(jsonOf(text))
  const issues =
    error.data?.issues?.map(({ path, message }) => ` ${`${path} ${message}`.trim()}.`) ?? []
  const what = error.success
    ? printable(`${error.data.code}. ${error.data.message}${issues.join('')}`)
    : 'no error of its own'
  const message = `The Worker answered ${response.status}: ${what}`
  return new Refusal(message, response.status, error.success ? error.data.code : null)
}

/** There is no answer, such as with an invalid certificate. */
class NoAnswer extends UsageError {
  readonly cause: string | undefined

  constructor(cause: string | undefined) {
    super(`The Worker did not respond${cause === undefined ? '' : `: ${cause}`}.`)
    this.cause = cause
  }
}

/** Returns the code of the error, such as ENOTFOUND. Its message may have more, such as headers. */
function causeOf(error: unknown): string | undefined {
  const cause: unknown = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
}

/** Tells whether a repeat may succeed. */
const isPassing = (failure: UsageError): boolean =>
  failure instanceof Refusal
    ? [429, 502, 503, 504].includes(failure.status) && failure.code !== 'misconfigured'
    : !(failure instanceof NoAnswer && /CERT|SIGNATURE/.test(failure.cause ?? ''))

const waitSeconds = (answer: unknown, tries: number): number => {
  const asked = isAnswer(answer) ? Number(answer.response.headers.get('Retry-After')) : 0
  return Math.min(asked > 0 ? asked : 2 ** (tries - 1), MAX_WAIT_SECONDS)
}

function schemaResult<T>(schema: z.ZodMiniType<T>, text: string): T {
  const read = schema.safeParse(jsonOf(text))
  if (read.success) return read.data
  throw foreignAnswer()
}

/** Returns the error for an answer that isn't the Worker's, such as a web page at a wrong URL. */
export const foreignAnswer = (): UsageError =>
  new UsageError('This answer is not of a Worker of this version. Check --url.')

/** Returns the value of a JSON text, and undefined for anything else. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
