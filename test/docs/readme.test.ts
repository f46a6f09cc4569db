import { describe, expect, it } from 'vitest'
import { readPage, tableRows } from './support/markdown.ts'

const README = readPage('README.md')

describe('README.md', () => {
  const lines = README.split('\n')
  const lineOf = (text: string): number => {
    const line = lines.findIndex((each) => each.includes(text)) + 1
    expect(line, text).toBeGreaterThan(0)
    return line
  }

  it('has at most 200 lines, and in the first 40 what everybody comes for', () => {
    expect(lines.length - 1).toBeLessThanOrEqual(200)
    const first = ['**Status:** ', '`EBADENGINE`', '`npm test` takes', '/link` `{}`']
    for (const text of first) expect(lineOf(text), text).toBeLessThanOrEqual(40)
    for (const command of ['git clone', 'cd edge-presigner', 'npm install', 'npm run dev'])
      expect(lineOf(command)).toBeLessThan(20)
    expect(lineOf('<picture>')).toBeLessThan(lineOf('## A project of your own'))
  })

  it('has a command or a button that needs a package on npm only below "After the release"', () => {
    const [before = '', after = ''] = README.split('\n## After the release\n')
    for (const text of ['npm create edge-presigner', 'deploy.workers.cloudflare.com']) {
      expect(before).not.toContain(text)
      expect(after).toContain(text)
    }
    for (const [install] of before.matchAll(/^npm install .*edge-presigner.*$/gm))
      expect(install).toContain('.tgz')
  })
})

describe('what docs/tried.md says was tried', () => {
  const rows = tableRows(readPage('docs/tried.md')).slice(1)
  const run = rows.filter(([, run = '']) => run.startsWith('[yes]')).map(([name = '']) => name)

  it('has a row for each provider that has settings in docs/deploy.md', () => {
    const [, providers = ''] = readPage('docs/deploy.md').split('\n### Providers\n')
    const [text = ''] = providers.split('\n## ')
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
    const [, status = ''] = /^\*\*Status:\*\* (.*)$/m.exec(README) ?? []
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
