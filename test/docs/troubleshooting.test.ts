import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { REASONS_BY_CODE, STATUS_BY_CODE } from '../../src/errors/api-error.ts'
import { WARNINGS } from '../../src/errors/warnings.ts'
import { LINK_REFUSALS } from '../../src/plugins/links/refusal.ts'
import { REFUSALS } from '../support/refusals.ts'
import { pagePaths, ROOT, readPage } from './support/markdown.ts'

const PAGE = 'docs/troubleshooting.md'

/** The rows of the table under a mark. */
function rows(mark: string): { name: string; status: string; cause: string; fix: string }[] {
  const [, behind = ''] = readPage(PAGE).split(`<!-- test: ${mark} -->\n`)
  const [table = ''] = behind.split('\n\n', 1)
  return [...table.matchAll(/^\| `([^`]+)` \|(?: (\d{3}|4XX) \|)? (.+) \| (.+) \|$/gm)].map(
    ([, name = '', status = '', cause = '', fix = '']) => ({ name, status, cause, fix }),
  )
}

const REASONS = Object.entries(REASONS_BY_CODE).map(
  ([code, reasons]): [string, readonly string[]] => [`reasons of ${code}`, reasons],
)

describe.each<[string, readonly string[]]>([
  ['codes', Object.keys(STATUS_BY_CODE)],
  ...REASONS,
  ['refusals', REFUSALS],
  ['links', Object.keys(LINK_REFUSALS)],
  ['warnings', WARNINGS],
])('the table of %s', (mark, names) => {
  it('has exactly those in the code, once and in the same order', () => {
    expect(rows(mark).map(({ name }) => name)).toEqual(names)
  })

  it('states the cause and the fix in sentences', () => {
    for (const { name, cause, fix } of rows(mark)) {
      expect(cause, name).toMatch(/^.{15,}\.$/)
      expect(fix, name).toMatch(/^.{8,}\.$/)
    }
  })
})

it('states the status of each code', () => {
  const documented = rows('codes').map(({ name, status }) => [name, status])
  const existing = Object.entries(STATUS_BY_CODE).map(([code, status]) => [code, String(status)])
  expect(documented).toEqual(existing)
})

it('lists every warning that the code writes to the console', () => {
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readPage(join('src', path)))
  const writing = sources.filter((text) => /\bconsole\.\w+\(/.test(text))
  expect(writing.length).toBeGreaterThan(2)
  for (const text of writing) {
    // A log line, or a text whose type ensures that it is in the list.
    const calls = [...text.matchAll(/\bconsole\.\w+\((.*)/g)].map(([, call = '']) => call)
    for (const call of calls)
      expect(call).toMatch(/^(?:JSON\.stringify\((?:line|\{ warning, .*\})\)|warning\))/)
    if (calls.some((call) => call.includes('warning')))
      expect(text).toMatch(/const warning: Warning(?:Text)? =|\(warning: Warning,/)
  }
})

it('is linked from the pages where people look for errors', () => {
  for (const page of ['README.md', 'docs/api.md'])
    expect(readPage(page)).toContain('troubleshooting.md')
})

it('quotes only what the code writes to the log, on every page', () => {
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readPage(`src/${name.replaceAll('\\', '/')}`))
    .join()
  const quoted = [...pagePaths(), 'client/README.md'].flatMap((path) =>
    [...readPage(path).matchAll(/\blog (?:contains|has|shows)(?: the \w+)? `([^`{]+)`/g)].map(
      ([, text = '']) => text,
    ),
  )
  expect(quoted.length).toBeGreaterThan(3)
  for (const text of quoted) expect.soft(sources, text).toContain(text)
})
