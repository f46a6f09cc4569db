import { describe, expect, it } from 'vitest'
import { readPage, tableRows } from './support/markdown.ts'

describe('what docs/tried.md says was tried', () => {
  const rows = tableRows(readPage('docs/tried.md')).slice(1)
  const run = rows.filter(([, run = '']) => run.startsWith('[yes]')).map(([name = '']) => name)

  it('has a row for each provider that has settings in docs/configuration.md', () => {
    const [, providers = ''] = readPage('docs/configuration.md').split('\n### Providers\n')
    const [text = ''] = providers.split('\n### ')
    const names = [...text.matchAll(/^\*\*([\w ]+)\.\*\*/gm)].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(4)
    for (const name of names)
      expect(
        rows.some(([row = '']) => row.includes(name)),
        name,
      ).toBe(true)
  })

  it('links to the test of each server that was run, and to nothing for the others', () => {
    expect(run).toEqual(['Ceph RGW 18', 's3rver 5, the bucket of `edge-presigner dev`'])
    for (const [name = '', first = ''] of rows)
      expect(
        run.includes(name) ? /^\[yes\]\(\.\.\/test\//.test(first) : /^no/.test(first),
        name,
      ).toBe(true)
  })

  it("is what the README's status says", () => {
    const [, status = ''] = /^\*\*Status:\*\* (.*)$/m.exec(readPage('README.md')) ?? []
    const [promise = '', limits = ''] = status.split('It has never run on ')
    expect(promise).not.toMatch(/AWS|R2|B2|Wasabi|MinIO/)
    expect(limits).toContain('[what was tried](docs/tried.md)')
    const others = rows.filter(([, first = '']) => first.startsWith('no')).join()
    for (const name of ['AWS S3', 'R2', 'B2', 'Wasabi', 'MinIO', 'Cloudflare']) {
      expect(others).toContain(name)
      expect(limits).toContain(name)
    }
  })
})
