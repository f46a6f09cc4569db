import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv, promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import { loadEnvironment } from '../../src/worker/environment.ts'
import { markedBlock, ROOT, readPage, tableRows } from './support/markdown.ts'

const PAGE = 'docs/staging.md'
const run = promisify(execFile)

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
const read = (config: string, env?: string) =>
  unstable_readConfig({ config, ...(env && { env }) }, { hideWarnings: true })

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
})
afterAll(() => rm(directory, { recursive: true }))

describe('docs/staging.md', () => {
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
    expect(missing.filter((name) => !readPage(PAGE).includes(`\`${name}\``))).toEqual([])
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
    const secrets = parseEnv(markedBlock(PAGE, 'secrets').replaceAll('…', 'a'.repeat(40)))
    const { SIGNING_SECRETS, ...keys } = secrets
    const loaded = loadEnvironment({
      ...bindings,
      ...vars,
      ...keys,
      SIGNING_SECRETS: SIGNING_SECRETS?.replace(/\s.*/, ''),
    })
    expect(loaded).toMatchObject({ ok: true })
    expect(JSON.stringify(vars)).not.toContain('"my-bucket"')
  })

  it('deploys the block, says wrangler', async () => {
    const config = await configWith('deployed.toml', markedBlock(PAGE, 'environment'))
    const program = join(ROOT, 'node_modules/wrangler/bin/wrangler.js')
    const args = ['deploy', '--dry-run', '--env', 'staging', '--config', config]
    const env = { ...process.env, WRANGLER_SEND_METRICS: 'false' }
    const out = ['--outdir', join(directory, 'out')]
    const { stdout } = await run(process.execPath, [program, ...args, ...out], {
      cwd: directory,
      env,
    })
    for (const shown of ['FILE_INDEX', 'RATE_LIMITER', 'IMAGES', 'ASSETS', 'BUCKETS', 'staging.ex'])
      expect(stdout).toContain(shown)
  })

  it('has commands with options that exist', async () => {
    const program = join(ROOT, 'node_modules/wrangler/bin/wrangler.js')
    const help = async (...words: string[]) =>
      (await run(process.execPath, [program, ...words, '--help'], { cwd: directory })).stdout
    expect(await help('secret', 'bulk')).toMatch(/\[?file\]?[\s\S]*--env/)
    const [keys, doctor] = await Promise.all(
      ['cli/keys.ts', 'cli/doctor/options.ts'].map((path) => readFile(join(ROOT, path), 'utf8')),
    )
    const commands = markedBlock(PAGE, 'commands').split('\n')
    const own = commands.filter((line) => line.startsWith('npx edge-presigner'))
    expect(own.length).toBeGreaterThan(2)
    for (const line of own)
      for (const [option] of line.matchAll(/--[a-z-]+/g))
        expect(line.includes(' doctor ') ? doctor : keys, line).toContain(option)
  })
})
