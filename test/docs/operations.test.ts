import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import { USAGE } from '../../cli/deploy.ts'
import { whyNotSent } from '../../cli/env-file.ts'
import { COMMANDS } from '../../cli/keys.ts'
import { pagePaths, readPage } from './support/markdown.ts'

const PAGE = 'docs/operations.md'

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

  it('names only existing commands of `npx edge-presigner keys`', () => {
    const page = readPage('docs/operate.md')
    const named = [...page.matchAll(/npx edge-presigner keys (\w+)/g)].map(([, name]) => name)
    expect(named.length).toBeGreaterThan(8)
    for (const name of named) expect(Object.keys(COMMANDS)).toContain(name)
    expect(page).not.toMatch(/npm run (?:keys|doctor|deploy)/)
  })

  it('lists the options of deploy', () => {
    const [, section = ''] = /\n## Deploy\n([\s\S]+?)\n## /.exec(readPage(PAGE)) ?? []
    const rows = [...section.matchAll(/^\| `(--[a-z-]+)/gm)].map(([, name]) => name)
    expect(new Set(rows)).toEqual(new Set(USAGE.match(/--[a-z-]+/g)))
  })

  it('sends the settings that docs/configuration.md calls secrets', () => {
    const rows = readPage('docs/configuration.md').matchAll(/^\| \[?`(\w+)`.*?\| ([\w -]+) \|/gm)
    const kinds = [...rows].filter(([, , kind = '']) => kind === 'secret' || kind === 'variable')
    expect(kinds.length).toBeGreaterThan(8)
    const sent = ([, name = '']: RegExpExecArray) =>
      name === 'API_KEYS' || whyNotSent(name, []) === null
    expect(kinds.filter(sent)).toEqual(kinds.filter(([, , kind]) => kind === 'secret'))
    const [, section = ''] = readPage(PAGE).split('`wrangler secret bulk`**')
    for (const [, name = ''] of kinds.filter(sent))
      expect(section).toContain(name === 'API_KEYS' ? 'api-keys.json' : name)
  })

  it.each(pagePaths())('%s sets API keys with push, which removes no key unnoticed', (path) => {
    expect(readPage(path)).not.toMatch(/secret put API_KEYS </)
  })
})
