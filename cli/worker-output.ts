import { stripVTControlCharacters } from 'node:util'
import * as z from 'zod/mini'

/** What wrangler prints without a problem. */
const NOISE = [
  /^\s*$/,
  /^⎔ /, // starting and reloading
  /^\[wrangler:info\] /, // one line per request, and wrangler's address
  /^\[custom build\] (?:Running: |The page is up to date|Built the page|$)/,
  /^Using (?:secrets|vars) defined in /,
]

/** What workerd prints without a class that wrangler.toml declares. It doesn't name the class. */
const MISSING_CLASS = /\[ERROR\].*Class extends value undefined/
const EXPORT_CLASS =
  'A Durable Object class in wrangler.toml, [exports] or [[migrations]], is not exported by the Worker. Export it, or delete its block: docs/share.md#set-it-up.'

const ERROR = /\[ERROR\]|^\[wrangler:error\]/

/**
 * The Worker's own log. Only its warnings and errors are printed, since the proxy prints each
 * request.
 */
const logSchema = z.object({
  method: z.optional(z.string()),
  route: z.optional(z.string()),
  warning: z.optional(z.string()),
  code: z.optional(z.string()),
  message: z.optional(z.string()),
  reason: z.optional(z.string()),
  /** Members of an attempt to send a webhook: `cli/webhook-log.ts`. */
  webhook: z.optional(z.string()),
  endpoint: z.optional(z.string()),
  status: z.optional(z.union([z.number(), z.string()])),
  retryInSeconds: z.optional(z.number()),
})

/** What wrangler prints before the text of `console.warn`, without its colors. */
const WARNING = /^▲ \[WARNING\] /

/**
 * Filters the output of `wrangler dev` line by line. Buffers it until the Worker has started. After
 * that, prints only what matters: warnings, reasons, build errors, `console.log`.
 */
export class WorkerOutput {
  readonly #print: (line: string) => void
  #kept: string[] | undefined = []

  constructor(print: (line: string) => void) {
    this.#print = print
  }

  add(line: string): void {
    if (this.#kept !== undefined) {
      this.#kept.push(line)
      if (ERROR.test(line)) this.failed()
    } else for (const shown of shownLines(line)) this.#print(shown)
    if (MISSING_CLASS.test(stripVTControlCharacters(line))) this.#print(EXPORT_CLASS)
  }

  /** Discards the output from the start of the Worker. */
  started(): void {
    this.#kept = undefined
  }

  /** Prints the output from the start of the Worker, which may explain why the start failed. */
  failed(): void {
    for (const line of this.#kept ?? []) this.#print(line)
    this.#kept = undefined
  }
}

/**
 * Returns what to print for a line: nothing, the line, or the errors and warnings in the Worker's
 * log.
 */
export function shownLines(line: string): readonly string[] {
  const text = stripVTControlCharacters(line).replace(WARNING, '')
  if (!text.startsWith('{')) return NOISE.some((noise) => noise.test(line)) ? [] : [line]
  const logged = logSchema.safeParse(parsedJson(text))
  if (!logged.success) return [line]
  const { method, route, warning, code, message, reason } = logged.data
  const { webhook, endpoint, status, retryInSeconds } = logged.data
  if (webhook !== undefined) return [`webhook ${webhook} ${endpoint} ${status}`]
  if (endpoint !== undefined) {
    const retry = retryInSeconds === undefined ? '' : `, again in ${retryInSeconds} s`
    return [`  ${warning}: ${endpoint}: ${reason}${retry}`]
  }
  const request = [method, route].filter(Boolean).join(' ')
  // The proxy explains a request without credentials, and knows whether its page gets the key.
  const isExplained = message === undefined && (reason === undefined || reason === 'no credentials')
  const failure = isExplained ? [] : [[code, message, reason]]
  return [...(warning === undefined ? [] : [['warning', warning]]), ...failure].map(
    (what) => `  ${[request, ...what].filter(Boolean).join(': ')}`,
  )
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
