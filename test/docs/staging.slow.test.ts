import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import { loadEnvironment } from '../../src/worker/environment.ts'
import { exec } from '../e2e/package/packed.ts'
import { markedBlock, ROOT, readPage, tableRows } from './support/markdown.ts'

const PAGE = 'docs/operate.md'

let directory: string
/** The repository's configuration, with `added` at its end. It builds from any folder. */
async function configWith(name: string, added: string): Promise<string> {
  const config = join(directory, name)
  const text = (await readFile(join(ROOT, 'wrangler.toml'), 'utf8'))
    .replace('"src/worker.ts"', JSON.stringify(join(ROOT, 'src/worker.ts')))
    .replace('"public"', JSON.stringify(directory))
    .replace(/^\[build\]\n(?:.+\n)+/m, '')
    .replace(/^\[/m, 'routes = [{ pattern = "files.example.com", custom_domain = true }]\n\n[')
  await writeFile(config, `${text}\n${added}`)
  return config
}
const secrets = () => markedBlock(PAGE, 'secrets').replaceAll('…', 'a'.repeat(40))

/** Runs `npx edge-presigner` in the folder of the configuration. */
const edgePresigner = (...args: readonly string[]): Promise<string> =>
  // In CI, `deploy` creates no key.
  exec(directory, 'env', 'CI=', process.execPath, join(ROOT, 'cli/bin.js'), ...args)

const read = (config: string, env?: string) =>
  unstable_readConfig({ config, ...(env && { env }) }, { hideWarnings: true })

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
})
afterAll(() => rm(directory, { recursive: true }))

describe('the section on staging of docs/operate.md', () => {
  it('tells which settings an environment takes over', async () => {
    const config = await configWith('empty.toml', '[env.staging]\n')
    const [top, staging] = [read(config), read(config, 'staging')]
    const [, table = ''] = readPage(PAGE).split('<!-- test: inherited -->')
    const rows = tableRows(table.split('\n\n', 1).join()).slice(1)
    const named = rows.flatMap(([settings = '', rule = '']) => {
      const [own = ''] = settings.split(', with')
      return [...own.matchAll(/`(\w+)`/g)].map(([, name = '']) => [name, rule] as const)
    })
    expect(named.length).toBeGreaterThan(15)
    for (const [name, rule] of named) {
      const [above, below] = [top, staging].map((each): unknown => Reflect.get(each, name))
      if (rule.startsWith('as above')) expect(below, name).toEqual(above)
      else {
        expect(rule, name).toMatch(/^missing/)
        // wrangler fills some of them with empty lists.
        const isSet = (value: unknown) => Object.values(Object(value)).flat().length > 0
        expect([name, isSet(below)]).toEqual([name, false])
      }
    }
    const blocks = ['assets', 'observability', 'cache', 'exports', 'routes', 'images', 'vars']
    for (const name of blocks) expect(Reflect.get(top, name), name).toBeTruthy()
  })

  it('names each setting of wrangler.toml, so that none is forgotten', async () => {
    const text = readPage('wrangler.toml')
    const start = text.slice(0, text.search(/^\[/m))
    const names = [
      ...[...start.matchAll(/^(\w+) = /gm)].map(([, name = '']) => name),
      ...[...text.matchAll(/^\[+(\w+)/gm)].map(([, name = '']) => name),
    ]
    // They change nothing that a user sees, and environments take them over.
    const silent = ['name', 'minify', 'keep_names', 'upload_source_maps']
    const missing = names.filter((name) => !silent.includes(name))
    const [, section = ''] = /\n## Staging\n([\s\S]+?)\n## /.exec(readPage(PAGE)) ?? []
    expect(missing.filter((name) => !section.includes(`\`${name}\``))).toEqual([])
  })

  it('has settings that the Worker accepts, and no domain or bucket of production', async () => {
    const config = await configWith('staging.toml', markedBlock(PAGE, 'environment'))
    const { name, routes, vars, kv_namespaces, ratelimits } = read(config, 'staging')
    expect(name).toBe('edge-presigner-staging')
    expect(routes).toEqual([{ pattern: 'files-staging.example.com', custom_domain: true }])
    const [own, production] = [ratelimits, read(config).ratelimits].map((all) => all[0])
    expect(own?.namespace_id).not.toBe(production?.namespace_id)
    const bindings = Object.fromEntries(
      [...kv_namespaces.map(({ binding }: { binding: string }) => binding), own?.name].map(
        (each) => [each, {}],
      ),
    )
    const loaded = loadEnvironment({
      ...bindings,
      ...vars,
      ...parseEnv(secrets()),
      SIGNING_SECRETS: `k1:${'0123456789abcdef'.repeat(2)}`,
    })
    expect(loaded).toMatchObject({ ok: true })
    expect(JSON.stringify(vars)).not.toContain('"my-bucket"')
  })

  it('deploys with one command, and never with the keys or the variables of production', async () => {
    const config = await configWith('wrangler.toml', markedBlock(PAGE, 'environment'))
    await writeFile(join(directory, '.staging.vars'), secrets())
    await writeFile(join(directory, 'api-keys.json'), 'not read')
    const command = markedBlock(PAGE, 'deploy').trim().split(' ')
    expect(command.slice(0, 3)).toEqual(['npx', 'edge-presigner', 'deploy'])
    const stdout = await edgePresigner(
      ...command.slice(2),
      ...['--dry-run', '--skip-doctor', '--config', config],
    )
    for (const shown of ['FILE_INDEX', 'RATE_LIMITER', 'IMAGES', 'ASSETS', 'BUCKETS'])
      expect(stdout).toContain(`env.${shown}`)
    expect(stdout).toContain('CORS_ORIGINS (["https://staging.example.com"])')
    expect(stdout).toContain('api-keys.staging.json gets its digest')
    expect(readPage(PAGE)).toContain('`.env.presigner.staging`')
    expect(stdout).toContain('.env.presigner.staging')
  })

  it('has commands for keys that work', async () => {
    await writeFile(join(directory, 'api-keys.staging.json'), '[]')
    const [list = '', push = ''] = markedBlock(PAGE, 'keys').trim().split('\n')
    await edgePresigner(...list.split(' ').slice(2))
    expect(await edgePresigner('keys', 'push', '--help')).toContain('--env')
    expect(push).toContain('keys push --file api-keys.staging.json --env staging')
  })
})
