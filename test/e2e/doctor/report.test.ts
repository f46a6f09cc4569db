import { describe, expect, it } from 'vitest'
import { type Finding, type Result, reportOf, summary, Table } from '../../../cli/doctor/report.ts'

const finding = (check: string, result: Partial<Result> = {}): Finding => ({
  check: `bucket.${check}`,
  subject: 'files',
  status: 'pass',
  message: 'fine',
  fix: null,
  ...result,
})

describe('the table of doctor', () => {
  it('has a heading for each group, and a row for each finding', () => {
    const table = new Table(100, false)
    expect(table.rows('Settings', [finding('valid')])).toBe(
      '\nSettings\n  pass  valid                   fine',
    )
    expect(table.rows('Bucket files', [finding('read')])).toContain('\nBucket files\n  pass  read')
    expect(table.rows('Bucket files', [finding('copy')])).not.toContain('Bucket')
  })

  it('fits the width of the terminal, with the fix below', () => {
    const message = 'word '.repeat(30).trim()
    const text = new Table(80, false).rows('Bucket', [
      finding('cors', { status: 'fail', message, fix: 'Do this.' }),
    ])
    const lines = text.split('\n')
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80)
    expect(lines.at(-1)?.trim()).toBe('Fix: Do this.')
    expect(text.match(/word/g)).toHaveLength(30)
  })

  it('joins only consecutive checks that were skipped for the same reason', () => {
    const skipped = { status: 'skip', message: 'No answer.' } as const
    const text = new Table(100, false).rows('Bucket', [
      finding('read', skipped),
      finding('copy', skipped),
      finding('acl', { ...skipped, message: 'Another reason.' }),
      finding('parts'),
      finding('abort'),
    ])
    expect(text.split('\n').map((line) => line.slice(8, 30).trim())).toEqual([
      '',
      '',
      'read, copy',
      'acl',
      'parts',
      'abort',
    ])
  })

  it('has colors on a terminal that supports them', () => {
    const text = new Table(100, true).rows('Bucket', [finding('read')])
    expect(text).toContain('\u001b[32mpass\u001b[39m  read')
  })

  it("replaces control characters in a server's text", () => {
    const text = new Table(100, false).rows('Bucket', [
      finding('read', { message: 'a\u001b[2Jb\u009bc', status: 'warn', fix: 'x\u0007' }),
    ])
    expect(text).toContain('a?[2Jb?c')
    expect(text).toContain('Fix: x?')
  })
})

it('a report is ok unless something fails', () => {
  const warned = reportOf([finding('read'), finding('copy', { status: 'warn' })])
  expect(warned).toMatchObject({ ok: true, counts: { pass: 1, warn: 1, fail: 0, skip: 0 } })
  expect(summary(warned)).toBe('\n1 pass, 1 warn, 0 fail, 0 skip. Nothing failed.')
  const failed = reportOf([finding('read', { status: 'fail' })])
  expect(failed.ok).toBe(false)
  expect(summary(failed)).toContain('See "fail" above.')
  const withPage = reportOf([finding('read', { status: 'fail', fix: 'Read docs/api.md.' })])
  expect(summary(withPage)).toContain('\ndocs/ is https://')
  expect(summary(failed)).not.toContain('docs/')
})
