import { execFileSync, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { parseEnv } from 'node:util'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import * as z from 'zod/mini'
import createManifest from '../../create/package.json' with { type: 'json' }
import { type Ask, readAnswers, readFlags, UsageError } from '../../create/src/answers.ts'
import { APP_FILES } from '../../create/src/app-files.ts'
import { PATHS, projectFiles } from '../../create/src/files.ts'
import { PROVIDERS } from '../../create/src/providers.ts'
import manifest from '../../package.json' with { type: 'json' }
import { loadEnvironment } from '../../src/worker/environment.ts'
import { ownWorker, templateFiles } from '../../tools/dev/template.ts'
import { urlPath } from '../../tools/dev/url-path.ts'
import { fragment } from '../../tools/site/pages.ts'
import { codeBlocks, headings, ROOT, readPage } from '../docs/support/markdown.ts'
import { withClasses } from '../setup/build-worker.ts'

const MAIN = join(ROOT, 'create/src/main.ts')
const ACCOUNT = '0123456789abcdef0123456789abcdef'
/** Makes Node believe that its pipes are a terminal. */
const TERMINAL = `data:text/javascript,${encodeURIComponent('process.stdin.isTTY = process.stdout.isTTY = true')}`

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
})
afterAll(() => rm(directory, { recursive: true }))

interface Run {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs the command in `cwd`. `input` answers the questions, at a terminal. */
async function create(
  args: readonly string[],
  {
    cwd = directory,
    input,
    agent = '',
    node = [] as readonly string[],
  }: {
    cwd?: string
    input?: string
    agent?: string
    node?: readonly string[]
  } = {},
): Promise<Run> {
  const terminal = input === undefined ? [] : ['--import', TERMINAL]
  const child = spawn(process.execPath, [...node, ...terminal, MAIN, ...args], {
    cwd,
    env: { ...process.env, npm_config_user_agent: agent },
  })
  // Without answers, its input stays open: it must not wait for them.
  if (input !== undefined) child.stdin.end(input)
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve))
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), closed])
  return { out, err, code }
}

/** Returns the answers to flags, as without a terminal. */
const answersTo = (args: readonly string[], ask: Ask | null = null) =>
  readAnswers(readFlags(args), ask, () => null)

/** Returns the files of a project. */
const filesFor = async (...args: readonly string[]) =>
  projectFiles(await answersTo(['my-files', ...args]))

let configs = 0
/** Reads a configuration as wrangler does. */
async function readToml(toml: string): Promise<ReturnType<typeof unstable_readConfig>> {
  const config = join(directory, `wrangler-${++configs}.toml`)
  await writeFile(config, toml)
  return unstable_readConfig({ config }, { hideWarnings: true })
}

/** Returns the issues of a project's settings, as the Worker names them. */
async function issuesOf(files: ReadonlyMap<string, string>): Promise<readonly string[]> {
  const { vars, kv_namespaces, ratelimits } = await readToml(files.get('wrangler.toml') ?? '')
  const bound = [
    ...kv_namespaces.map(({ binding }: { binding: string }) => binding),
    ...ratelimits.map(({ name }: { name: string }) => name),
  ]
  const env = { ...Object.fromEntries(bound.map((name) => [name, {}])), ...vars }
  const loaded = loadEnvironment({
    ...env,
    ...parseEnv(files.get('.dev.vars') ?? ''),
    API_KEYS: files.get('api-keys.json'),
  })
  return loaded.ok ? [] : loaded.issues.map(({ path, message }) => `${path} ${message}`)
}

/** The tables of docs/deploy.md, and the flags that should lead to each. */
const documented = codeBlocks(readPage('docs/deploy.md').split('\n### Providers\n')[1] ?? '')
  .filter(({ language }) => language === 'toml')
  .slice(0, PROVIDERS.length - 1)
  .map(({ code }) => {
    const member = (name: string) => new RegExp(`^${name} = "(.*)"$`, 'm').exec(code)?.[1] ?? ''
    const endpoint = member('endpoint')
    const provider =
      [
        ['r2', 'r2.cloudflarestorage'],
        ['s3', 'amazonaws'],
        ['b2', 'backblazeb2'],
        ['wasabi', 'wasabisys'],
        ['minio', 'minio.'],
        ['ceph', 'rgw.'],
      ].find(([, host = '']) => endpoint.includes(host))?.[0] ?? ''
    const place = {
      r2: ['--account-id', new URL(endpoint).host.split('.')[0] ?? ''],
      minio: ['--endpoint', endpoint],
      ceph: ['--endpoint', endpoint],
    }[provider] ?? ['--region', member('region')]
    const flags = ['--provider', provider, '--bucket', member('bucket'), ...place]
    return { provider, code, flags }
  })

describe('a project', () => {
  it('has a provider for each table of docs/deploy.md', () => {
    expect([...documented.map(({ provider }) => provider), 'none'].toSorted()).toEqual(
      [...PROVIDERS].toSorted(),
    )
  })

  it("accepts the app's origin as a browser shows it, with a slash", async () => {
    const files = await filesFor('--provider', 'none', '--app-origin', 'https://app.example.com/')
    const { vars } = await readToml(files.get('wrangler.toml') ?? '')
    expect(vars).toMatchObject({ CORS_ORIGINS: ['https://app.example.com'] })
  })

  it.each(documented)('has the documented table of $provider', async ({ code, flags }) => {
    const files = await filesFor(...flags, '--app-origin', 'https://app.example.com')
    const { vars } = await readToml(files.get('wrangler.toml') ?? '')
    const expected = await readToml(`name = "a"\ncompatibility_date = "2026-11-01"\n${code}`)
    expect(vars).toEqual({ ...expected.vars, CORS_ORIGINS: ['https://app.example.com'] })
    // Only the access keys are missing.
    const secrets = [...(files.get('.dev.vars') ?? '').matchAll(/^(\w+)=$/gm)].map(
      ([, name]) => name,
    )
    expect(secrets).toHaveLength(code.includes('uploadCredentials') ? 4 : 2)
    expect((await issuesOf(files)).map((issue) => issue.split(' ', 3).join(' '))).toEqual(
      secrets.map((name) => `${name} is missing.`),
    )
    const filled = (files.get('.dev.vars') ?? '').replaceAll(/=$/gm, '=key')
    expect(await issuesOf(new Map([...files, ['.dev.vars', filled]]))).toEqual([])
  })

  it('has a bucket to replace if there is no provider yet', async () => {
    const files = await filesFor('--provider', 'none')
    const filled = (files.get('.dev.vars') ?? '').replaceAll(/=$/gm, '=key')
    const issues = await issuesOf(new Map([...files, ['.dev.vars', filled]]))
    expect(issues).toEqual([expect.stringContaining('still has the placeholder "my-bucket"')])
  })

  type Config = ReturnType<typeof unstable_readConfig>
  const shared = ({ assets, ...config }: Config) => ({
    ...config,
    ...{ assets: { ...assets, directory: '' }, build: {}, name: '', topLevelName: '' },
    ...{ main: '', configPath: '', userConfigPath: '' },
  })
  const configOf = (path: string) =>
    unstable_readConfig({ config: join(ROOT, path) }, { hideWarnings: true })

  it("is configured as the repository's Worker, except for what belongs to the project", async () => {
    const own = configOf('wrangler.toml')
    const files = await filesFor('--provider', 'none')
    const made = await readToml(files.get('wrangler.toml') ?? '')
    expect(shared(made)).toEqual(shared(own))
    expect(made).toMatchObject({
      name: 'my-files',
      main: join(directory, 'src/worker.ts'),
      assets: { directory: 'node_modules/edge-presigner/dist/page' },
    })
    const without = await readToml(
      (await filesFor('--provider', 'none', '--no-page')).get('wrangler.toml') ?? '',
    )
    expect(without.assets).toBeUndefined()
    expect(shared({ ...without, assets: made.assets })).toEqual(shared(own))
  })

  it('has the Durable Objects of all plugins in a comment, as examples/everything has them', async () => {
    const toml = (await filesFor('--provider', 'none')).get('wrangler.toml') ?? ''
    const all = configOf('examples/everything/wrangler.toml')
    expect(shared(all)).toEqual(shared(await readToml(withClasses(toml))))
    expect(Object.keys(all.exports)).toContain('Grants')
    expect(Object.keys((await readToml(toml)).exports)).toEqual(['default', 'Objects'])
  })

  it('has variables in a comment that work when you remove the "# "', async () => {
    const toml = (await filesFor('--provider', 'none')).get('wrangler.toml') ?? ''
    const { vars } = await readToml(toml.replace(/^# (?=\[vars\]$|CORS_ORIGINS = )/gm, ''))
    expect(vars).toMatchObject({ CORS_ORIGINS: ['https://app.example.com'], BUCKETS: {} })
  })

  it('has the default plugins, and each other one in a comment below its description and page', async () => {
    const worker = (await filesFor('--provider', 'none')).get('src/worker.ts') ?? ''
    const others = [...worker.matchAll(/^ +\/\/ .+: https:\S+\n +(?:\/\/ )?(edge\.\w+\(.*\)),$/gm)]
    const added = readPage('examples/everything/src/presigner.ts').matchAll(
      /^ +(edge\.\w+\(.*\)),$/gm,
    )
    expect(others.map(([, call]) => call).toSorted()).toEqual(
      [...added].map(([, call]) => call).toSorted(),
    )
    expect(others.length).toBeGreaterThan(5)
  })

  it("is the repository's Worker", async () => {
    expect(readPage('src/worker.ts')).toBe(ownWorker())
  })

  // With a name that the account has already, wrangler connects another Worker to that database.
  it('has the block of D1 in a comment, without a name', () => {
    for (const path of ['template/wrangler.toml', 'wrangler.toml']) {
      const [, block = ''] = readPage(path).split('# [[d1_databases]]\n')
      expect(block.split('\n\n', 1)).toEqual(['# binding = "FILES_DB"'])
    }
  })

  it('installs the versions of the repository, those of its programs exactly', async () => {
    const made = JSON.parse((await filesFor('--provider', 'none')).get('package.json') ?? '')
    const { node, wrangler, '@20minutes/s3rver': s3rver } = manifest.devDependencies
    expect(made).toMatchObject({
      dependencies: {
        'edge-presigner': `^${manifest.version}`,
        hono: manifest.peerDependencies.hono,
      },
      devDependencies: { node, wrangler, '@20minutes/s3rver': s3rver },
      engines: createManifest.engines,
      allowScripts: { node: true, esbuild: true, workerd: true },
    })
  })

  it('links to pages and headings of the documentation that exist', async () => {
    const texts = [...(await filesFor('--yes')).values(), readPage('template/package.json')]
    const links = texts.flatMap((file) => [
      ...file.matchAll(/\/blob\/main\/([\w/-]+\.md)(?:#([\w-]+))?/g),
    ])
    expect(links.length).toBeGreaterThan(5)
    for (const [, page = '', id] of links)
      expect([undefined, ...headings(readPage(page)).map(fragment)], page).toContain(id)
  })

  it('has a signing secret of its own', async () => {
    const secret = async () =>
      parseEnv((await filesFor('--yes')).get('.dev.vars') ?? '').SIGNING_SECRETS
    const [one, other] = [await secret(), await secret()]
    expect(one).toMatch(/^k1:[0-9a-f]{64}$/)
    expect(other).not.toBe(one)
  })

  it.each([
    [
      ['--provider', 's3', '--bucket', 'acme.files', '--region', 'eu-central-1'],
      'a dot in the name',
      { addressing: 'path' },
    ],
    [
      ['--provider', 's3', '--bucket', 'acme', '--region', 'cn-north-1'],
      'China',
      { endpoint: 'https://s3.cn-north-1.amazonaws.com.cn' },
    ],
    [
      [
        '--provider',
        'r2',
        '--bucket',
        'acme',
        '--endpoint',
        `https://${ACCOUNT}.eu.r2.cloudflarestorage.com/`,
      ],
      'a jurisdiction',
      { endpoint: `https://${ACCOUNT}.eu.r2.cloudflarestorage.com`, region: 'auto' },
    ],
    [
      [
        '--provider',
        'ceph',
        '--bucket',
        'acme',
        '--endpoint',
        'https://rgw.example.com:7480',
        '--region',
        'default',
      ],
      'a region of its own',
      { endpoint: 'https://rgw.example.com:7480', region: 'default' },
    ],
  ])('fits %s: %s', async (flags, _, expected) => {
    const { bucket } = await answersTo(['my-files', ...flags])
    expect(bucket).toMatchObject(expected)
  })
})

describe('an answer that is refused', () => {
  const s3 = ['--provider', 's3', '--bucket', 'acme-files', '--region', 'eu-central-1']
  it.each([
    [['--provider', 'gcs'], '--provider must be one of r2, s3, b2, wasabi, minio, ceph, none.'],
    [[...s3, '--bucket', 'a b'], '--bucket must be the name of a bucket, such as "acme-files".'],
    [
      [...s3, '--bucket', 'my-bucket'],
      '--bucket still has the placeholder "my-bucket". Replace it with the name of your bucket.',
    ],
    [
      [...s3, '--region', 'eu central'],
      '--region must be a region, such as "eu-central-1", or "auto".',
    ],
    [
      [...s3, '--app-origin', 'https://app.example.com/shop'],
      '--app-origin must be an exact origin, such as https://app.example.com.',
    ],
    [
      [...s3, '--app-origin', 'https://*.pages.dev'],
      '--app-origin must not have its star before a public suffix.',
    ],
    [
      [...s3, '--endpoint', 'https://acme-files.s3.amazonaws.com'],
      '--endpoint has the bucket name in its endpoint.',
    ],
    [[...s3, '--endpoint', 'https://10.0.0.1'], 'The bucket can\'t use addressing "virtual"'],
    [
      [...s3, '--account-id', ACCOUNT],
      '--account-id has no effect with --provider s3. Leave it out.',
    ],
    [
      [...s3, '--name', 'My Files'],
      '--name must be up to 63 of a-z, 0-9 and "-", such as "my-files".',
    ],
    [
      [...s3, '--name', 'edge-presigner'],
      '--name must not be the name of a package that the project installs.',
    ],
    [
      ['--provider', 'r2', '--bucket', 'acme', '--account-id', ACCOUNT.toUpperCase()],
      '--account-id must be 32 of 0-9 and a-f.',
    ],
    [
      ['--provider', 'none', '--bucket', 'acme'],
      '--bucket has no effect with --provider none. Leave it out.',
    ],
    [['--yes', '--region', 'auto'], '--region has no effect with --provider none. Leave it out.'],
  ])('%j', async (flags, message) => {
    await expect(answersTo(['my-files', ...flags])).rejects.toThrow(message)
  })

  it.each([
    [[], 'There is no terminal to ask at. Add FOLDER, --provider.'],
    [['a'], 'Add --provider.'],
    [['a', '--provider', 's3'], 'Add --bucket, --region.'],
    [['a', '--provider', 'r2'], 'Add --bucket, --account-id.'],
    [['a', '--provider', 'ceph', '--bucket', 'acme'], 'Add --endpoint.'],
    [['--yes'], 'With --yes, nothing is asked. Add FOLDER.'],
    [['My Files', '--yes'], "--name is missing. The folder's name must be up to 63 of a-z"],
    [['a\nb', '--yes'], 'The folder must be a path without control characters.'],
    [['a', 'b'], 'Unexpected: b'],
    [['a', '--bucket'], "Option '--bucket <value>' argument missing"],
    [['a', '--buckets=b'], "Unknown option '--buckets'"],
  ])('%j without a terminal', async (args, message) => {
    await expect((async () => answersTo(args))()).rejects.toThrow(message)
  })

  it('never adds a setting to a file, whatever it contains', async () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom(
        'a"\nOPEN_ACCESS = "localhost',
        "a'\n[vars]\nx = 1 #",
        'acme\\u0022',
        'acme"""',
        'https://a"b.example.com',
        'https://app.example.com\n"]\nOPEN_ACCESS = "localhost"',
      ),
    )
    const oneOf = (...good: string[]) =>
      fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...good) }, hostile)
    let made = 0
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          provider: fc.constantFrom(...PROVIDERS.filter((name) => name !== 'none')),
          bucket: oneOf('acme-files', 'acme.files'),
          region: oneOf('eu-central-1', 'auto'),
          endpoint: oneOf(
            'https://s3.example.com',
            'http://minio:9000/base/',
            'https://bücher.example',
          ),
          'app-origin': oneOf('https://app.example.com', 'https://*.app.pages.dev', ''),
          name: oneOf('my-files', 'a'),
        }),
        async (given) => {
          const args = Object.entries(given).map(([flag, value]) => `--${flag}=${value}`)
          const answers = await answersTo(['my-files', ...args]).catch((error: unknown) => {
            expect(error).toBeInstanceOf(UsageError)
            return null
          })
          if (answers === null) return
          made += 1
          const files = projectFiles(answers)
          const config = await readToml(files.get('wrangler.toml') ?? '')
          expect(config.name).toBe(given.name)
          expect(config.vars).toEqual({
            ...(given['app-origin'] && { CORS_ORIGINS: [given['app-origin']] }),
            BUCKETS: { files: answers.bucket },
          })
          expect(answers.bucket).toMatchObject({ bucket: given.bucket, region: given.region })
          expect(JSON.parse(files.get('package.json') ?? '').name).toBe(given.name)
        },
      ),
      { numRuns: 300 * Number(process.env.FUZZ ?? 1) },
    )
    expect(made).toBeGreaterThan(20)
  })
})

describe('the command', () => {
  it('writes the files, the secrets only for the user, and names the next commands', async () => {
    const { code, out, err } = await create(['first', '--yes'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const written = await readdir(join(directory, 'first'), { recursive: true })
    expect(written.toSorted()).toEqual([...PATHS, 'src'].map((path) => join(path)).toSorted())
    expect(PATHS.length).toBeLessThanOrEqual(8)
    if (process.platform !== 'win32')
      expect((await stat(join(directory, 'first/.dev.vars'))).mode & 0o777).toBe(0o600)
    expect(await readFile(join(directory, 'first/.gitignore'), 'utf8')).toMatch(/^\*\.vars$/m)
    expect(out).toContain(`Created in first: ${PATHS.join(', ')}`)
    expect(commandsIn(out)).toEqual([
      'cd first',
      'npm install',
      'npx edge-presigner dev',
      'npx wrangler login',
      'npx edge-presigner deploy',
    ])
  })

  it.each([
    [
      'pnpm/10.2.0 npm/? node/v24.0.0',
      ['pnpm install', 'pnpm approve-builds --all', 'pnpm exec edge-presigner dev'],
    ],
    ['yarn/4.6.0 npm/? node/v24.0.0', ['yarn install', 'yarn edge-presigner dev']],
    ['bun/1.4.0 npm/? node/v24.0.0', ['bun install', 'bunx edge-presigner dev']],
  ])('names the commands of %s', async (agent, expected) => {
    const { out } = await create([`with-${agent.split('/')[0]}`, '--yes'], { agent })
    expect(commandsIn(out).slice(1, 1 + expected.length)).toEqual(expected)
  })

  it('quotes a folder for the shell', async () => {
    const { out } = await create(["it's $HOME", '--name', 'quoted', '--yes'])
    expect(commandsIn(out)[0]).toBe("cd 'it'\\''s $HOME'")
  })

  it('refuses a folder that has one of its files, names them, and changes nothing', async () => {
    const cwd = join(directory, 'taken')
    await mkdir(join(cwd, 'src'), { recursive: true })
    await writeFile(join(cwd, 'wrangler.toml'), 'mine')
    await symlink('nowhere', join(cwd, 'README.md'), 'junction')
    const { code, err } = await create(['.', '--yes'], { cwd })
    expect(code).toBe(1)
    expect(err).toContain('The folder already has wrangler.toml, README.md.')
    expect(await readFile(join(cwd, 'wrangler.toml'), 'utf8')).toBe('mine')
    expect((await readdir(cwd)).toSorted()).toEqual(['README.md', 'src', 'wrangler.toml'])
  })

  it('writes into the current folder, next to what is there', async () => {
    const cwd = join(directory, 'here')
    await mkdir(join(cwd, '.git'), { recursive: true })
    const { code, out } = await create(['.', '--yes'], { cwd })
    expect(code).toBe(0)
    expect(commandsIn(out)[0]).toBe('npm install')
    expect(await readFile(join(cwd, 'wrangler.toml'), 'utf8')).toContain('name = "here"')
  })

  it.each([
    ['file', /^The folder is a file\.$/m],
    ['file/below', / can't be (?:read|written): E[A-Z]+\.$/m],
  ])('refuses the folder %s', async (folder, message) => {
    await writeFile(join(directory, 'file'), '')
    const { code, err } = await create([folder, '--yes', '--name', 'a'])
    expect({ code, err }).toEqual({ code: 1, err: expect.stringMatching(message) })
  })

  it('overwrites no file that appears while it asks', async () => {
    const cwd = join(directory, 'meanwhile')
    await mkdir(cwd)
    const child = spawn(process.execPath, ['--import', TERMINAL, MAIN, '.'], { cwd })
    const closed = new Promise((resolve) => child.on('close', resolve))
    for await (const chunk of child.stdout)
      if (String(chunk).includes('Where are your files?')) {
        await writeFile(join(cwd, 'wrangler.toml'), 'mine')
        child.stdin.end('none\n\n\n')
      } else if (String(chunk).includes('Where should the API run?')) child.stdin.write('worker\n')
    expect(await closed).toBe(1)
    expect(await readdir(cwd)).toEqual(expect.not.arrayContaining(['package.json']))
    expect(await readFile(join(cwd, 'wrangler.toml'), 'utf8')).toBe('mine')
  })

  it('writes nothing into a folder in which src is a file', async () => {
    const cwd = join(directory, 'half')
    await mkdir(cwd)
    await writeFile(join(cwd, 'src'), 'a file where a folder should be')
    const { code } = await create(['.', '--yes'], { cwd })
    expect(code).toBe(1)
    expect(await readdir(cwd)).toEqual(['src'])
  })

  it('names the missing flags if there is no terminal', async () => {
    const { code, err } = await create([])
    expect(code).toBe(1)
    expect(err).toMatch(/^There is no terminal to ask at\. Add FOLDER, --provider\./)
  })

  it('asks for what the flags leave out, again after an invalid answer', async () => {
    const answers = [
      '',
      'first',
      'asked',
      'R3',
      'R2',
      'acme files',
      'acme',
      ACCOUNT,
      '',
      'maybe',
      'n',
    ]
    const { code, out } = await create([], { input: `${answers.join('\n')}\n` })
    expect(code).toBe(0)
    for (const message of [
      'It already has package.json,',
      'It must be one of r2,',
      'It must be the name of a bucket,',
      'It must be y or n.',
    ])
      expect(out).toContain(message)
    const toml = await readFile(join(directory, 'asked/wrangler.toml'), 'utf8')
    expect(toml).toContain(`endpoint = "https://${ACCOUNT}.r2.cloudflarestorage.com"`)
    expect(toml).not.toContain('[assets]')
  })

  it('asks for the name of the Worker if the folder has another kind of name', async () => {
    const { out } = await create(['My Files'], { input: 'worker\nmy-worker\n\n\n\n' })
    expect(out).toContain("The folder's name can't be that of the Worker")
    expect(await readFile(join(directory, 'My Files/wrangler.toml'), 'utf8')).toContain(
      '"my-worker"',
    )
  })

  it('writes nothing if the questions are not answered to the end', async () => {
    const { code, err } = await create(['canceled'], { input: '\ns3\nacme-files\n' })
    expect({ code, err }).toEqual({ code: 130, err: '\nCanceled. Nothing was written.\n' })
    await expect(stat(join(directory, 'canceled'))).rejects.toThrow('ENOENT')
  })

  it('says which Node it needs', async () => {
    const old = `data:text/javascript,${encodeURIComponent("Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.8' } })")}`
    const { code, err } = await create(['old', '--yes'], { node: ['--import', old] })
    expect({ code, err }).toEqual({
      code: 1,
      err: 'create-edge-presigner needs Node 20 or newer. This is Node 18.20.8.\n',
    })
  })

  it('lists its flags in --help and in its README', async () => {
    const { code, out } = await create(['--help'])
    expect(code).toBe(0)
    const flags = (text: string) =>
      [...new Set(text.match(/--(?:no-)?[a-z]+(?:-[a-z]+)?\b/g))].toSorted()
    const readme = readPage('create/README.md')
      .split('\n')
      .filter((line) => line.startsWith('| `--'))
    expect(flags(readme.join('\n'))).toEqual(flags(out).filter((flag) => flag !== '--help'))
  })
})

describe.each(Object.keys(APP_FILES))('the files for an app with %s', (app) => {
  const texts = APP_FILES[app] ?? {}

  /** Makes a folder with a package.json, in which the command runs. */
  async function newApp(name: string, manifest = '{}'): Promise<string> {
    const cwd = join(directory, `${app}-${name}`)
    await mkdir(cwd)
    await writeFile(join(cwd, 'package.json'), manifest)
    if (app === 'next') await writeFile(join(cwd, 'tsconfig.json'), '{}')
    return cwd
  }
  const filesIn = async (cwd: string) =>
    (await readdir(cwd, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => urlPath(cwd, join(entry.parentPath, entry.name)))

  it('are written by a flag, without a question, with the base of links', async () => {
    const cwd = await newApp('flag')
    const { code, out, err } = await create(['--app', app], { cwd })
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const env = (await filesIn(cwd)).filter((path) => /^\.(?!gitignore)/.test(path))
    // On Workers, the request has the public URL.
    expect(env).toHaveLength(app === 'hono' ? 0 : 1)
    for (const file of env)
      expect(await readFile(join(cwd, file), 'utf8')).toMatch(/^LINK_BASE=http:.*\nFILES_DB=.*\n$/)
    expect((await filesIn(cwd)).toSorted()).toEqual(
      [
        ...[...Object.keys(texts), ...env, '.gitignore', 'package.json'],
        ...(app === 'next' ? ['tsconfig.json'] : []),
      ].toSorted(),
    )
    const ignored = (await readFile(join(cwd, '.gitignore'), 'utf8')).trim().split('\n')
    expect(ignored).toEqual(['node_modules', env[0] ?? '.dev.vars', 'data', '.dev'])
    for (const [path, text] of Object.entries(texts)) {
      expect(out).toContain(path)
      expect(await readFile(join(cwd, path), 'utf8')).toBe(text)
    }
    expect(commandsIn(out)).toContain(`npx edge-presigner dev --bucket ${env[0] ?? '.dev.vars'}`)
    for (const [, page = ''] of out.matchAll(/blob\/main\/(\S+\.md)/g))
      expect(readPage(page)).not.toBe('')
  })

  it('overwrite nothing: the command names what is there, and writes no file', async () => {
    const [path = ''] = Object.keys(texts).filter((name) => /media/.test(name))
    expect(path).not.toBe('')
    const cwd = await newApp('taken')
    await mkdir(dirname(join(cwd, path)), { recursive: true })
    await writeFile(join(cwd, path), 'mine')
    const { code, err } = await create(['--app', app], { cwd })
    expect(code).toBe(1)
    expect(err).toContain(`already has ${path}`)
    expect(await readFile(join(cwd, path), 'utf8')).toBe('mine')
    expect((await filesIn(cwd)).filter((name) => name !== 'tsconfig.json').toSorted()).toEqual(
      [path, 'package.json'].toSorted(),
    )
  })

  it('follow from the package.json of the app, if the answer is "app"', async () => {
    const [name = ''] = app === 'sveltekit' ? ['@sveltejs/kit'] : [app]
    const manifest = JSON.stringify({ dependencies: { hono: '4', [name]: '1' } })
    const cwd = await newApp('found', manifest)
    const { code, out } = await create([], { cwd, input: '\n' })
    expect(code).toBe(0)
    expect(await filesIn(cwd)).toEqual(expect.arrayContaining(Object.keys(texts)))
    expect(out).toContain('Where should the API run?')
    const other = await newApp('asked')
    await create([], { cwd: other, input: `there\napp\nrails\n${app}\n` })
    expect(await filesIn(other)).toEqual(expect.arrayContaining(Object.keys(texts)))
  })

  it('keep a file with variables, and say what to add', async () => {
    if (app === 'hono') return // which has none
    const first = await newApp('variables')
    const { out } = await create(['--app', app], { cwd: first })
    const [, env = ''] = /--bucket (\S+)/.exec(out) ?? []
    const cwd = await newApp('kept')
    await writeFile(join(cwd, env), 'A=b\n')
    const { code, out: again } = await create(['--app', app], { cwd })
    expect(code).toBe(0)
    expect(again).toMatch(
      new RegExp(`^\\${env} is there already. Add, unless it has them: LINK_BASE=http`, 'm'),
    )
    expect(await readFile(join(cwd, env), 'utf8')).toBe('A=b\n')
  })
})

it.each([
  ['express', 'server.mjs'],
  ['hono', 'wrangler.toml'],
])('an app with %s keeps its %s, and learns where the lines for it are', async (app, path) => {
  const cwd = join(directory, `${app}-shared`)
  await mkdir(cwd)
  await writeFile(join(cwd, path), 'mine')
  await writeFile(join(cwd, 'package.json'), '{}')
  await writeFile(join(cwd, '.gitignore'), '/node_modules/\n.env*\n.dev.vars\n')
  const { code, out } = await create(['--app', app], { cwd })
  expect(code).toBe(0)
  expect(out).toMatch(/^Add to \.gitignore: data, \.dev\.$/m)
  expect(await readFile(join(cwd, '.gitignore'), 'utf8')).not.toContain('data')
  expect(await readFile(join(cwd, path), 'utf8')).toBe('mine')
  expect(out).toMatch(
    new RegExp(`^${path} is there already. Add what https://.*${app}.md shows`, 'm'),
  )
})

describe('an app that the files do not fit', () => {
  const run = async (name: string, files: Readonly<Record<string, string>>, app = 'next') => {
    const cwd = join(directory, `unfit-${name}`)
    await mkdir(cwd)
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(cwd, path)), { recursive: true })
      await writeFile(join(cwd, path), text)
    }
    return { cwd, ...(await create(['--app', app], { cwd })) }
  }

  it('has no package.json: nothing is written', async () => {
    const { cwd, code, err } = await run('none', {})
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining('has no package.json') })
    expect(await readdir(cwd)).toEqual([])
  })

  it('has a file where a folder should be: the command says so in a line', async () => {
    const { code, err } = await run('file', {
      'package.json': '{}',
      'tsconfig.json': '{}',
      lib: 'a file',
    })
    expect(code).toBe(1)
    expect(err).toMatch(/^\. can't be written: E[A-Z]+\.\n/)
    expect(err).not.toContain(' at ')
  })

  it('is in JavaScript: nothing is written, because Next.js would then ignore its jsconfig.json', async () => {
    const { cwd, code, err } = await run('js', { 'package.json': '{}', 'jsconfig.json': '{}' })
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining('no tsconfig.json') })
    expect((await readdir(cwd)).toSorted()).toEqual(['jsconfig.json', 'package.json'])
  })

  it.each([
    ['app', { 'app/page.tsx': '', 'src/app/page.tsx': '' }, ''],
    ['src', { 'src/app/page.tsx': '' }, 'src/'],
    ['pages', { 'src/pages/index.tsx': '' }, 'src/'],
  ])('of Next.js gets them where it looks: %s', async (name, files, start) => {
    const { cwd, code } = await run(name, { 'package.json': '{}', 'tsconfig.json': '{}', ...files })
    expect(code).toBe(0)
    expect((await stat(join(cwd, start, 'lib/media.ts'))).isFile()).toBe(true)
  })
})

describe('the question where the API should run', () => {
  it.each([
    [['--app', 'rails'], '--app must be one of next, sveltekit, astro, express, hono.'],
    [['--app', 'next', '--provider', 'r2'], '--provider has no effect with --app. Leave it out.'],
    [['--app', 'next', '--no-page'], '--page has no effect with --app. Leave it out.'],
  ])('refuses %j', async (args, message) => {
    const { code, err } = await create(args)
    expect(code).toBe(1)
    expect(err).toContain(message)
  })

  it('is answered by each option of the Worker, and by --yes', async () => {
    const cwd = join(directory, 'an-app')
    await mkdir(cwd)
    await writeFile(join(cwd, 'package.json'), '{"dependencies":{"next":"16"}}')
    const { out } = await create(['worker', '--provider', 'none'], { cwd, input: '\n\n\n' })
    expect(out).not.toContain('Where should the API run?')
    expect(out).toContain('Created in worker')
    expect((await create(['other', '--yes'], { cwd, input: '' })).out).toContain('Created in other')
  })
})

describe('template/, which the deploy button copies', () => {
  const read = (path: string) => readPage(`template/${path}`)
  const own = projectFiles({
    ...{ folder: 'template', name: 'my-files', provider: 'none', page: true },
    ...{ bucket: undefined, appOrigin: undefined },
  } as const)
  const template = z.looseObject({
    cloudflare: z.object({ bindings: z.record(z.string(), z.object({ description: z.string() })) }),
  })

  it("is where the README's button leads", () => {
    expect(readPage('README.md')).toContain(
      '(https://deploy.workers.cloudflare.com/?url=https://github.com/edge-presigner/edge-presigner/tree/main/template)',
    )
  })

  it('has the files of a project, with names instead of secrets', async () => {
    const tracked = execFileSync('git', ['ls-files', '-co', '--exclude-standard', 'template'], {
      cwd: ROOT,
      encoding: 'utf8',
    })
    const paths = PATHS.map(
      (path) => `template/${path === '.dev.vars' ? '.dev.vars.example' : path}`,
    )
    expect(tracked.trim().split('\n').toSorted()).toEqual(paths.toSorted())
    const secrets = parseEnv(read('.dev.vars.example'))
    expect(Object.keys(secrets).toSorted()).toEqual(
      Object.keys(parseEnv(own.get('.dev.vars') ?? '')).toSorted(),
    )
    expect(Object.values(secrets).join('')).toBe('')
  })

  it('has what a new project has: npm run template writes it', async () => {
    const files = await templateFiles()
    expect([...files.keys()].toSorted()).toEqual(
      PATHS.filter((path) => path !== 'README.md' && path !== '.dev.vars').toSorted(),
    )
    for (const [path, text] of files) expect(read(path), path).toBe(text)
    for (const path of ['src/worker.ts', 'wrangler.toml', '.gitignore'])
      expect(read(path), path).toBe(own.get(path))
    const { scripts } = JSON.parse(read('package.json'))
    expect(Object.keys(scripts)).toEqual(['dev', 'doctor', 'keys'])
  })

  it('describes what the button asks for', () => {
    const { cloudflare } = template.parse(JSON.parse(read('package.json')))
    const { vars } = unstable_readConfig(
      { config: join(ROOT, 'template/wrangler.toml') },
      { hideWarnings: true },
    )
    expect(Object.keys(cloudflare.bindings).toSorted()).toEqual(
      [
        ...Object.keys(parseEnv(read('.dev.vars.example'))),
        ...Object.keys(vars),
        ...['FILE_INDEX', 'RATE_LIMITER'],
      ].toSorted(),
    )
  })

  it('has the README of a project, except for the steps after the deploy', () => {
    const shared = (text: string) => text.replace(/^(?:Before|After) [\s\S]*?(?=^To update)/m, '')
    expect(shared(read('README.md'))).toBe(shared(own.get('README.md') ?? ''))
    expect(read('README.md')).toContain('\nAfter you have deployed with the button')
  })
})

/** Returns the commands that the output tells the user to run. */
const commandsIn = (out: string): readonly string[] =>
  [...out.matchAll(/^ {2}(?:\d\. )?((?:cd|npm|npx|pnpm|yarn|bun|bunx) .*)$/gm)].map(
    ([, command = '']) => command,
  )
