import { describe, expect, it } from 'vitest'
import { CHECKS as BUCKET_CHECKS } from '../../dev/doctor/bucket.ts'
import { CHECKS as SETTINGS_CHECKS } from '../../dev/doctor/environment.ts'
import { readOptions, USAGE } from '../../dev/doctor/options.ts'
import { reportOf } from '../../dev/doctor/report.ts'
import { CHECKS as WORKER_CHECKS } from '../../dev/doctor/worker.ts'
import { markedBlock, readPage } from './support/markdown.ts'

const PAGE = readPage('docs/doctor.md')

const CHECKS = [
  ...SETTINGS_CHECKS.map((name) => `settings.${name}`),
  ...BUCKET_CHECKS.map((name) => `bucket.${name}`),
  ...WORKER_CHECKS.map((name) => `url.${name}`),
]

describe('docs/doctor.md', () => {
  it('has exactly one row for each check, in the order in which they run', () => {
    const rows = [...PAGE.matchAll(/^\| `((?:settings|bucket|url)\.[a-z-]+)` \|/gm)]
    expect(rows.map(([, name]) => name)).toEqual(CHECKS)
  })

  it('shows a table with existing checks', () => {
    const shown = [
      ...markedBlock('docs/doctor.md', 'table').matchAll(/^ {2}(?:pass|warn|fail|skip) {2}(\S+)/gm),
    ]
    const names = CHECKS.map((check) => check.replace(/^\w+\./, ''))
    expect(shown.length).toBeGreaterThan(20)
    for (const [, name] of shown) expect(names).toContain(name)
  })

  it('shows a report with existing members', () => {
    const shown = JSON.parse(markedBlock('docs/doctor.md', 'report'))
    const report = reportOf(shown.findings)
    expect(Object.keys(shown)).toEqual(Object.keys(report))
    expect(Object.keys(shown.counts)).toEqual(Object.keys(report.counts))
    expect(Object.keys(shown.findings[0])).toEqual(['check', 'subject', 'status', 'message', 'fix'])
  })

  it('lists the options of the command line', () => {
    const rows = [...PAGE.matchAll(/^\| `(--[a-z-]+)/gm)].map(([, name = '']) => name)
    const inUsage = new Set(USAGE.match(/--[a-z-]+/g))
    expect(new Set(rows)).toEqual(inUsage)
    expect(() => readOptions(['--no-such-option'])).toThrow()
  })
})
