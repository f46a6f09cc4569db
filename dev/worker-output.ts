import * as z from 'zod/mini'

/** What wrangler says while all is well. */
const NOISE = [
  /^\s*$/,
  /^⎔ /, // starting and reloading
  /^\[wrangler:info\] /, // a line a request, and where wrangler listens
  /^\[custom build\] (?:Running: |The page is up to date|Built the page|$)/,
  /^Using (?:secrets|vars) defined in /,
]

const ERROR = /\[ERROR\]|^\[wrangler:error\]/

/** The Worker's own log, of which only what went wrong is of interest here: the proxy names each request. */
const logSchema = z.object({
  method: z.optional(z.string()),
  route: z.optional(z.string()),
  warning: z.optional(z.string()),
  code: z.optional(z.string()),
  message: z.optional(z.string()),
  reason: z.optional(z.string()),
})

/**
 * Takes the output of `wrangler dev` line by line. Keeps it until the Worker has started, and prints
 * then only what someone should see: warnings, reasons, errors of a build, `console.log`.
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
  }

  /** Forgets what came while the Worker started. */
  started(): void {
    this.#kept = undefined
  }

  /** Prints what came while the Worker started: it may say why it did not. */
  failed(): void {
    for (const line of this.#kept ?? []) this.#print(line)
    this.#kept = undefined
  }
}

/** What to print of a line: nothing, the line, or what is wrong by the Worker's log. */
export function shownLines(line: string): readonly string[] {
  if (!line.startsWith('{')) return NOISE.some((noise) => noise.test(line)) ? [] : [line]
  const logged = logSchema.safeParse(parsedJson(line))
  if (!logged.success) return [line]
  const { method, route, warning, code, message, reason } = logged.data
  const request = [method, route].filter(Boolean).join(' ')
  const failure = message === undefined && reason === undefined ? [] : [[code, message, reason]]
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
