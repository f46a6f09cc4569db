import { describe, expect, it } from 'vitest'
import { CHECKS as BUCKET_CHECKS } from '../../cli/doctor/bucket.ts'
import { CHECKS as SETTINGS_CHECKS } from '../../cli/doctor/environment.ts'
import { readOptions, USAGE } from '../../cli/doctor/options.ts'
import { type Finding, reportOf } from '../../cli/doctor/report.ts'
import { sharedMarkdown, sharedReportOf } from '../../cli/doctor/shared-report.ts'
import { CHECKS as WORKER_CHECKS } from '../../cli/doctor/worker.ts'
import { markedBlock, readPage } from './support/markdown.ts'

const PAGE = readPage('docs/doctor.md')

const CHECKS = [
  ...SETTINGS_CHECKS.map((name) => `settings.${name}`),
  ...BUCKET_CHECKS.map((name) => `bucket.${name}`),
  ...WORKER_CHECKS.map((name) => `url.${name}`),
]

describe('docs/doctor.md', () => {
  it('names exactly the existing checks, in the order in which they run', () => {
    const [, section = ''] = /\n## Checks\n([\s\S]+?)\n## /.exec(PAGE) ?? []
    const groups = section.matchAll(/^- \*\*(settings|bucket|url):\*\* ((?:.+,\n)*.+)$/gm)
    const named = [...groups].flatMap(([, group, names = '']) =>
      [...names.matchAll(/`([a-z-]+)`/g)].map(([, name]) => `${group}.${name}`),
    )
    expect(named).toEqual(CHECKS)
  })

  it('shows a table with existing checks', () => {
    const shown = [
      ...markedBlock('docs/doctor.md', 'table').matchAll(/^ {2}(?:pass|warn|fail|skip) {2}(\S+)/gm),
    ]
    const names = CHECKS.map((check) => check.replace(/^\w+\./, ''))
    expect(shown.length).toBeGreaterThan(6)
    for (const [, name] of shown) expect(names).toContain(name)
  })

  it('shows a report with existing members', () => {
    const shown = JSON.parse(markedBlock('docs/doctor.md', 'report'))
    const report = reportOf(shown.findings)
    expect(Object.keys(shown)).toEqual(Object.keys(report))
    expect(Object.keys(shown.counts)).toEqual(Object.keys(report.counts))
    expect(Object.keys(shown.findings[0])).toEqual(['check', 'subject', 'status', 'message', 'fix'])
  })

  it('shows a result to publish with existing checks', () => {
    const shown = markedBlock('docs/doctor.md', 'shared').trimEnd().split('\n')
    const rows = shown.filter((line) => /^\| [a-z]/.test(line))
    const findings = rows.map((row) => {
      const [, check = '', status = '', support = '', code = ''] =
        /^\| (\S+) \| (\w+)(, supported|, not supported)? ?(\(.*\))? \|$/.exec(row) ?? []
      const what =
        { ', supported': 'Supported ', ', not supported': 'Not supported ' }[support] ?? ''
      const message = `${what}${code}`
      return { check: `bucket.${check}`, subject: 'files', status, message, fix: null } as Finding
    })
    expect(findings.length).toBeGreaterThan(4)
    const report = sharedReportOf({
      findings,
      buckets: [{ alias: 'files', origin: 'https://rgw.example' }],
      version: '0.1.0',
      now: new Date('2026-11-28'),
    })
    const [first = '', ...others] = sharedMarkdown(report).split('\n')
    expect([first.replace(process.versions.node, 'NODE'), ...others]).toEqual([
      shown[0]?.replace(/Node [\d.]+/, 'Node NODE'),
      ...shown.slice(1),
    ])
  })

  it('describes the members of that result', () => {
    const report = sharedReportOf({
      findings: ['bucket.read', 'url.health'].map((check) => ({
        ...{ check, subject: 'files', status: 'pass', message: '', fix: null },
      })) as Finding[],
      buckets: [{ alias: 'files', origin: 'https://rgw.example' }],
      version: '0.1.0',
      now: new Date(),
    })
    const [, section = ''] = PAGE.split('\n## Sending a result\n')
    const members = [...Object.keys(report), ...Object.keys(report.buckets[0] ?? {})]
    const ofCheck = Object.keys(report.worker?.[0] ?? {})
    for (const member of [...members, ...ofCheck]) expect(section).toContain(`\`${member}\``)
    expect(ofCheck.length).toBeGreaterThan(0)
  })

  it('lists the options of the command line', () => {
    const rows = [...PAGE.matchAll(/^\| `(--[a-z-]+)/gm)].map(([, name = '']) => name)
    const inUsage = new Set(USAGE.match(/--[a-z-]+/g))
    expect(new Set(rows)).toEqual(inUsage)
    expect(() => readOptions(['--no-such-option'])).toThrow()
  })
})
