import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { PACKAGES } from '../e2e/package/packed.ts'
import { ROOT, readPage } from './support/markdown.ts'

const WORKFLOWS = join(ROOT, '.github/workflows')
const workflows = readdirSync(WORKFLOWS).map((name) => [
  name,
  readFileSync(join(WORKFLOWS, name), 'utf8'),
]) as [string, string][]

/** Returns the lines of one job, without those of the others. */
function job(text: string, name: string): string {
  const [, rest = ''] = text.split(`\n  ${name}:\n`)
  return rest.split(/\n {2}\w+:\n/, 1).join()
}

describe('the tree in CONTRIBUTING.md', () => {
  const [, tree = ''] = /^```text\n([\s\S]*?)^```$/m.exec(readPage('CONTRIBUTING.md')) ?? []
  const names = [...tree.matchAll(/^[^ ]+(?= {2})/gm)].map(([name]) => name)

  it('has at most 15 lines, each for a folder or file that exists', () => {
    expect(tree.trim().split('\n').length).toBeLessThanOrEqual(15)
    expect(names).toHaveLength(tree.trim().split('\n').length)
    for (const name of names) expect(existsSync(join(ROOT, name)), name).toBe(true)
  })

  it('has each folder of the root and of tools/', () => {
    const tracked = execFileSync('git', ['ls-files'], { cwd: ROOT, encoding: 'utf8' })
    const folders = [...tracked.matchAll(/^((?:tools\/)?[^/.]+\/)./gm)].map(([, path = '']) => path)
    expect([...new Set(folders)].filter((path) => !names.includes(path))).toEqual([])
  })
})

describe.each(workflows)('the workflow %s', (_, text) => {
  it('pins each action by its commit, and names its version', () => {
    const uses = [...text.matchAll(/uses: (.+)/g)].map(([, action = '']) => action)
    expect(uses.length).toBeGreaterThan(0)
    for (const action of uses)
      expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
  })

  it('starts without permissions, contains no secret, and puts no expression into a script', () => {
    expect(text).toContain('\npermissions: {}\n')
    expect(text).not.toContain('secrets.')
    const scripts = text.matchAll(/run: \|\n((?: {10,}.*\n| *\n)+)|run: (.+)/g)
    for (const [script] of scripts) expect(script).not.toContain('${{')
  })
})

describe('the release workflow', () => {
  const text = readFileSync(join(WORKFLOWS, 'release.yml'), 'utf8')

  it('gives an identity only to the publishing job, which npm trusts in the environment npm', () => {
    expect(text.match(/id-token: write/g)).toHaveLength(1)
    expect(job(text, 'publish')).toContain('id-token: write')
    expect(job(text, 'publish')).toContain('environment: npm')
    expect(job(text, 'version')).not.toContain('id-token')
  })

  it('publishes all packages with provenance, and first what the others install', () => {
    const publish = job(text, 'publish')
    expect(publish).toMatch(/ npm publish .* --provenance --access public\n/)
    expect(
      [...publish.matchAll(/^ +publish ([\w-]+)(?: --workspace (\w+))?$/gm)].map(([line]) =>
        line.trim(),
      ),
    ).toEqual([
      'publish edge-presigner',
      'publish edge-presigner-client --workspace client',
      'publish create-edge-presigner --workspace create',
    ])
  })

  it('reads only the notes of its version from the changelog', () => {
    const [, script = ''] = /awk -v heading="## \$version" '([^']+)' CHANGELOG.md/.exec(text) ?? []
    const input = '# Changelog\n\n## 0.2.0\n\nsecond\n\n### Minor\n\n- a\n\n## 0.1.0\n\nfirst\n'
    const notes = execFileSync('awk', ['-v', 'heading=## 0.2.0', script], {
      input,
      encoding: 'utf8',
    })
    expect(notes.trim()).toBe('second\n\n### Minor\n\n- a')
  })
})

describe('a release by changesets', () => {
  const clone = mkdtempSync(join(tmpdir(), 'edge-presigner-'))
  afterAll(() => rmSync(clone, { recursive: true }))
  const version = (path: string): string =>
    z.object({ version: z.string() }).parse(JSON.parse(readFileSync(join(clone, path), 'utf8')))
      .version

  it('raises all versions together, writes the changelog, and changes nothing else in package.json', () => {
    const manifests = ['package.json', 'client/package.json', 'create/package.json']
    const files = [...manifests, 'package-lock.json', 'CHANGELOG.md']
    for (const path of [...files, '.changeset/config.json', '.changeset/README.md'])
      cpSync(join(ROOT, path), join(clone, path))
    for (const path of ['tools', 'src', 'node_modules'])
      symlinkSync(join(ROOT, path), join(clone, path))
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.com', ...args], {
        cwd: clone,
        stdio: 'pipe',
      })
    git('init', '--quiet', '--initial-branch=main')
    git('add', ...files, '.changeset')
    git('commit', '--quiet', '--message=base')
    git('switch', '--quiet', '--create=feature')
    writeFileSync(
      join(clone, '.changeset/one.md'),
      '---\n"edge-presigner-client": minor\n---\n\nIt can do more.\n',
    )
    git('add', '.changeset')
    git('commit', '--quiet', '--message=feature')
    const before = readFileSync(join(clone, 'package.json'), 'utf8')
    const [, minor = ''] = version('package.json').split('.')
    const next = `0.${Number(minor) + 1}.0`
    const changeset = (...args: string[]) =>
      execFileSync(process.execPath, [join(clone, 'tools/dev/changeset.ts'), ...args], {
        cwd: clone,
        encoding: 'utf8',
      })

    const status = changeset('status')
    for (const name of ['edge-presigner', 'edge-presigner-client', 'create-edge-presigner'])
      expect(status).toMatch(new RegExp(`minor\n[^]*- ${name}\n`))
    expect(readFileSync(join(clone, 'package.json'), 'utf8')).toBe(before)
    changeset('version')
    const { scripts } = JSON.parse(before) as { scripts: Record<string, string> }
    expect(scripts['changeset:version']).toMatch(/ && npm run template$/) // template/ has the version
    expect(manifests.map(version)).toEqual([next, next, next])
    expect(readFileSync(join(clone, 'package.json'), 'utf8')).toBe(
      before.replace(/"version": ".*"/, `"version": "${next}"`),
    )
    expect(readFileSync(join(clone, 'client/CHANGELOG.md'), 'utf8')).toContain('It can do more.')
    expect(readFileSync(join(clone, 'CHANGELOG.md'), 'utf8')).toMatch(
      new RegExp(`^# Changelog\\n\\n## ${next}\\n`),
    )
    expect(readdirSync(join(clone, '.changeset')).toSorted()).toEqual(['README.md', 'config.json'])
  })
})

it.each(['SECURITY.md', 'docs/versioning.md'])('%s names every package', (path) => {
  for (const name of Object.keys(PACKAGES)) expect(readPage(path)).toContain(`\`${name}\``)
})

describe('CHANGELOG.md', () => {
  it('starts with the version of the packages, and has no broken link', () => {
    const { version } = z
      .object({ version: z.string() })
      .parse(JSON.parse(readPage('package.json')))
    const [, first] = /^## (.+)$/m.exec(readPage('CHANGELOG.md')) ?? []
    expect(first).toBe(version)
    expect(readPage('CHANGELOG.md')).not.toMatch(/github\.com\/edge-presigner/)
  })
})
