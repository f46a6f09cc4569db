import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import { USAGE } from '../../cli/deploy.ts'
import { whyNotSent } from '../../cli/env-file.ts'
import { codeBlocks, markedBlock, pagePaths, readPage } from './support/markdown.ts'

const PAGE = 'docs/deploy.md'
/** What wrangler reads without a login. */
const VARIABLES_OF_CI = ['CLOUDFLARE_API_TOKEN', 'CLOUDFLARE_ACCOUNT_ID']

describe('docs/deploy.md', () => {
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

  it('lists the options of deploy', () => {
    const [, section = ''] = /\n## 4\. Deploy\n([\s\S]+?)\n## /.exec(readPage(PAGE)) ?? []
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

  it('has a workflow for CI that needs no terminal and no secret of the bucket', () => {
    const workflow = markedBlock(PAGE, 'ci')
    const [, options = ''] = /npx edge-presigner deploy (.*)\n/.exec(workflow) ?? []
    expect(options.split(' ')).toEqual(['--yes', '--skip-doctor'])
    const variables = [...workflow.matchAll(/^ +(\w+): \$\{\{ secrets\.(\w+) \}\}$/gm)]
    expect(variables.map(([, name]) => name)).toEqual(VARIABLES_OF_CI)
    for (const [, name, secret] of variables) expect(secret).toBe(name)
    // The versions that this repository uses.
    const used = readPage('.github/workflows/docs.yml')
    for (const [, action = '', major = ''] of workflow.matchAll(/uses: (\S+)@(v\d+)/g))
      expect(used).toMatch(new RegExp(`uses: ${action}@[0-9a-f]{40} # ${major}\\.`))
  })
})

describe('the actions of an access key', () => {
  const [, table = ''] = readPage('docs/security.md').split('<!-- test: actions -->\n')
  const rows = table.split('\n\n', 1).join()
  const actionsIn = (text: string): string[] => text.match(/s3:[A-Z]\w+/g) ?? []
  /** Conditions of a policy and names of events, which look the same. */
  const OTHER = /^s3:(?:Object|signatureAge)/

  it.each([
    ...pagePaths(),
    ...['bucket', 'cors', 'features', 'upkeep'].map((name) => `cli/doctor/${name}.ts`),
  ])('are all in one table, also those in %s', (path) => {
    for (const action of actionsIn(readPage(path)))
      if (!OTHER.test(action)) expect.soft(rows).toContain(`\`${action}\``)
  })

  it('are in the two policies, as far as each bucket needs them', () => {
    const policies = codeBlocks(readPage(PAGE)).filter(({ code }) => code.includes('"Statement"'))
    const [reads = [], writes = []] = policies.map(({ code }) => actionsIn(code).toSorted())
    expect(reads).toEqual(['s3:DeleteObject', 's3:GetObject', 's3:ListBucket'])
    const needed = ['s3:AbortMultipartUpload', 's3:ListMultipartUploadParts', 's3:PutObject']
    expect(writes).toEqual(needed)
  })
})
