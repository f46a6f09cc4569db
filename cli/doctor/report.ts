import { styleText } from 'node:util'

export type Status = 'pass' | 'warn' | 'fail' | 'skip'

/** The result of one check. No member contains a secret, a signature or the query of a URL. */
export interface Finding {
  /** Stable name, which starts with its group: `bucket.private`. */
  readonly check: string
  /** What was checked: the alias of a bucket, the path of a setting, an origin. */
  readonly subject: string
  readonly status: Status
  /** What the check found, or why it was skipped. */
  readonly message: string
  /** What to do, or null if there is nothing to do. */
  readonly fix: string | null
}

/** What a check returns; the runner adds its name and its subject. */
export type Result = Omit<Finding, 'check' | 'subject'>

export const pass = (message: string): Result => ({ status: 'pass', message, fix: null })
export const warn = (message: string, fix: string): Result => ({ status: 'warn', message, fix })
export const fail = (message: string, fix: string): Result => ({ status: 'fail', message, fix })
export const skip = (message: string, fix: string | null = null): Result => ({
  status: 'skip',
  message,
  fix,
})

/** What `--json` prints: docs/doctor.md shows an example. */
export interface Report {
  /** Version of this format. It increases if a member is removed or changes its meaning. */
  readonly format: 1
  /** Whether no check failed. Warnings don't count. */
  readonly ok: boolean
  readonly counts: Readonly<Record<Status, number>>
  readonly findings: readonly Finding[]
}

/** Sums up what was found. */
export function reportOf(findings: readonly Finding[]): Report {
  const counts = { pass: 0, warn: 0, fail: 0, skip: 0 }
  for (const { status } of findings) counts[status] += 1
  return { format: 1, ok: counts.fail === 0, counts, findings }
}

const COLORS = { pass: 'green', warn: 'yellow', fail: 'red', skip: 'gray' } as const
const NAME_COLUMNS = 22
const INDENT = ' '.repeat('  pass  '.length)
const MIN_TEXT_COLUMNS = 40

/** Writes findings as a table, each as soon as it is available. */
export class Table {
  readonly #columns: number
  readonly #colors: boolean
  #heading = ''

  constructor(columns: number, colors: boolean) {
    this.#columns = columns
    this.#colors = colors
  }

  /** The rows of one group. Adjacent findings that were skipped for the same reason share a row. */
  rows(heading: string, findings: readonly Finding[]): string {
    const lines: string[] = []
    if (heading !== this.#heading) lines.push('', heading)
    this.#heading = heading
    for (let i = 0; i < findings.length; ) {
      const { status, message, fix } = findings[i] as Finding
      let end = i + 1
      const isAlike = (other: Finding | undefined): boolean =>
        other?.status === 'skip' && status === 'skip' && other.message === message
      while (isAlike(findings[end])) end += 1
      const names = findings.slice(i, end).map(({ check }) => check.replace(/^[^.]+\./, ''))
      lines.push(...this.#row(status, names.join(', '), message, fix))
      i = end
    }
    return lines.join('\n')
  }

  #row(status: Status, name: string, message: string, fix: string | null): string[] {
    const mark = this.#colors
      ? styleText(COLORS[status], status, { validateStream: false })
      : status
    const isLong = name.length > NAME_COLUMNS
    const start = `  ${mark}  `
    const text = ' '.repeat(INDENT.length + NAME_COLUMNS + 2)
    const columns = Math.max(this.#columns - text.length, MIN_TEXT_COLUMNS)
    const [first = '', ...others] = wrap(printable(message), columns)
    const fixed = fix === null ? [] : wrap(`Fix: ${printable(fix)}`, columns)
    const rest = [...others, ...fixed].map((line) => text + line)
    return isLong
      ? [
          ...wrap(name, this.#columns - INDENT.length).map((l, i) => (i ? INDENT : start) + l),
          text + first,
          ...rest,
        ]
      : [`${start}${name.padEnd(NAME_COLUMNS)}  ${first}`, ...rest]
  }
}

/** Removes control characters, because some texts come from a server. */
const printable = (text: string): string => text.replaceAll(/\p{Cc}/gu, '?')

/** `text` in lines of up to `columns` characters, cut at spaces. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

/** The pages that fixes name. A project doesn't have them. */
const DOCS = 'https://github.com/edge-presigner/edge-presigner/tree/main/docs'

/** The last lines: `12 pass, 1 warn, 0 fail, 2 skip.`, and where the pages are. */
export function summary({ counts, ok, findings }: Report): string {
  const numbers = Object.entries(counts).map(([status, count]) => `${count} ${status}`)
  const pages = findings.some(({ fix }) => fix?.includes('docs/')) ? `\ndocs/ is ${DOCS}` : ''
  return `\n${numbers.join(', ')}. ${ok ? 'Nothing failed.' : 'See "fail" above.'}${pages}`
}
