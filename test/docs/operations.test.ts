import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import { pagePaths, ROOT, readPage } from './support/markdown.ts'

const PAGE = 'docs/operations.md'
const run = promisify(execFile)

describe('docs/operations.md', () => {
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  it('adds a custom domain to wrangler.toml, above its first table', async () => {
    const [, routes = ''] = /```toml\n(routes = [^`]+)```/.exec(readPage(PAGE)) ?? []
    const config = join(directory, 'routes.toml')
    await writeFile(config, readPage('wrangler.toml').replace(/^\[/m, `${routes}\n[`))
    expect(unstable_readConfig({ config }).routes).toEqual([
      { pattern: 'files.example.com', custom_domain: true },
      { pattern: 'img.example.net', custom_domain: true },
    ])
  })

  it('names only existing commands of `npm run keys`', async () => {
    const usage = await readFile(join(ROOT, 'cli/keys.ts'), 'utf8')
    const commands = [...readPage(PAGE).matchAll(/npm run keys -- (\w+)/g)].map(([, name]) => name)
    expect(commands.length).toBeGreaterThan(8)
    for (const command of commands) expect(usage).toContain(`npm run keys -- ${command}`)
  })

  it.each(pagePaths())('%s sets API keys with push, which removes no key unnoticed', (path) => {
    expect(readPage(path)).not.toMatch(/secret put API_KEYS </)
  })

  it('merges a release into a repository from the deploy button', async () => {
    const [joins = '', ...others] =
      /^git merge --allow-unrelated-histories.*$/m.exec(readPage(PAGE)) ?? []
    expect(others).toEqual([])
    const script = `
      git() { command git -c user.email=a@example.com -c user.name=a "$@"; }
      command git init -q up && cd up
      echo one > code; echo theirs > wrangler.toml; git add -A; git commit -qm 1; git tag v0.1.0
      echo two > code; git commit -qam 2; git tag v0.2.0
      cd .. && command git init -q mine && cd mine
      echo one > code; echo mine > wrangler.toml; git add -A; git commit -qm copy
      git remote add upstream ../up
      git fetch -q upstream --tags
      ${joins} -m join
      git merge -q v0.2.0 -m update
      cat code wrangler.toml`
    const { stdout } = await run('sh', ['-eu', '-c', script], { cwd: directory })
    expect(stdout).toMatch(/two\nmine\n$/)
  })
})
