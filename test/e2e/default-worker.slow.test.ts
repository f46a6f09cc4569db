import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { readPage } from '../docs/support/markdown.ts'
import { withClasses } from '../setup/build-worker.ts'
import { startBuiltWorker, UNREACHABLE } from './built-worker.ts'
import { newTab } from './chromium.ts'
import { choose, dropOn, FILM, seriousFindings, type TestFile, tile } from './demo-page.ts'
import { startPageWorker } from './page-worker.ts'
import { patternBytes } from './pattern-bytes.ts'
import { shared } from './shared.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'
import { configWith } from './worker-config.ts'

const ROOT = join(import.meta.dirname, '../..')
const KEY = 'ep_owner_0123456789abcdef0123456789abcdef0123456789a'
const TENANT = 'ep_tenant_0123456789abcdef0123456789abcdef0123456789a'
const SCOPES = [
  ...['files:read', 'files:list', 'files:upload', 'files:delete', 'links:create'],
  // What they allow is in plugins that the default Worker lacks.
  ...['grants:create', 'drop-boxes:create', 'upkeep:read'],
]

const limitsSchema = z.object({ plugins: z.array(z.string()) })
const healthSchema = z.object({
  status: z.literal('ok'),
  warnings: z.optional(z.array(z.string())),
})

const open = { ...UNREACHABLE, variables: { OPEN_ACCESS: 'localhost' } }

const pluginsAt = async (origin: string): Promise<readonly string[]> =>
  limitsSchema.parse(await (await fetch(`${origin}/limits`)).json()).plugins

const picture = (name: string): TestFile => ({
  name,
  mimeType: 'image/png',
  buffer: smallPng(64, 40, 90),
})

describe('the default Worker', () => {
  it('has these plugins, as the example of GET /limits shows', async () => {
    const configPath = await shared('worker', 'default')
    const worker = await startBuiltWorker({ ...open, configPath })
    const plugins = await pluginsAt(worker.origin)
    expect(plugins).toEqual([
      ...['files', 'multipart', 'links', 'events', 'tokens', 'jwt', 'apiKeys', 'images'],
    ])
    const shown = JSON.stringify(plugins).replaceAll(',', ', ')
    expect(readPage('tools/dev/openapi/examples.md')).toContain(`"plugins": ${shown}\n`)
    await worker.close()
  })

  it('answers with a variable of a plugin that it lacks, and warns of it', async () => {
    const configPath = await shared('worker', 'default')
    const UPKEEP = JSON.stringify({ mode: 'record' })
    const variables = { ...open.variables, UPKEEP }
    const worker = await startBuiltWorker({ ...open, variables, configPath })
    const health = healthSchema.parse(await (await fetch(`${worker.origin}/healthz`)).json())
    expect(health.warnings).toContain('plugin missing: UPKEEP needs upkeep()')
    expect((await fetch(`${worker.origin}/files`)).status).toBe(200)
    await worker.close()
  })

  it('has all plugins once the "// " and the "# " before them are removed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    try {
      await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'), 'junction')
      const at = (path: string) => JSON.stringify(join(ROOT, path))
      const worker = readPage('src/worker.ts')
      const all = worker
        .replace(/^( *)\/\/ (?=edge\.|export )/gm, '$1')
        .replaceAll("'./cloudflare.ts'", at('src/cloudflare.ts'))
        .replaceAll("'./worker/index.ts'", at('src/worker/index.ts'))
      expect(all.split('\n').length).toBe(worker.split('\n').length)
      await writeFile(join(directory, 'worker.ts'), all)
      const toml = withClasses(await readFile(join(ROOT, 'wrangler.toml'), 'utf8'))
        .replace('main = "src/worker.ts"', 'main = "worker.ts"')
        .replace('directory = "public"', `directory = ${at('public')}`)
        .replace(/^\[build\]\n(?:.+\n)*/m, '')
      await writeFile(join(directory, 'wrangler.toml'), toml)
      const types = ['@cloudflare/workers-types', join(ROOT, 'bindings.d.ts')]
      const tsconfig = {
        extends: join(ROOT, 'tsconfig.json'),
        compilerOptions: { types },
        include: ['worker.ts'],
      }
      await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(tsconfig))
      const tsc = join(ROOT, 'node_modules/.bin/tsc')
      await promisify(execFile)(tsc, ['-p', directory, '--singleThreaded'])
      const configPath = join(directory, 'wrangler.toml')
      const wrangler = join(ROOT, 'node_modules/.bin/wrangler')
      const bundle = ['deploy', '--dry-run', '--outdir', 'bundled']
      await promisify(execFile)(wrangler, bundle, { cwd: directory })
      await writeFile(configPath, toml.replace('"worker.ts"', '"bundled/worker.js"'))
      const running = await startBuiltWorker({ ...open, configPath })
      const everything = await startBuiltWorker(open)
      const plugins = await pluginsAt(running.origin)
      expect(plugins.toSorted()).toEqual((await pluginsAt(everything.origin)).toSorted())
      for (const path of ['/grants', '/drop-boxes', '/upkeep'])
        expect((await fetch(running.origin + path)).status, path).toBe(200)
      await running.close()
      await everything.close()
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})

describeWith([CHROMIUM], 'the page of the default Worker, in Chromium', () => {
  const stack = new AsyncDisposableStack()
  let started: Awaited<ReturnType<typeof startPageWorker>>

  beforeAll(async () => {
    started = await startPageWorker([{ id: 'owner', token: KEY, scopes: SCOPES, prefix: '' }], () =>
      shared('worker', 'default'),
    )
    stack.use(started)
  })
  afterAll(() => stack.disposeAsync())

  it('uploads, lists, links, renames and deletes, without a 404 and without an error', async () => {
    const { browser, worker } = started
    const permissions = ['clipboard-read', 'clipboard-write']
    const { context, page, failures } = await newTab(browser, { permissions })
    stack.defer(() => context.close())
    const refused: string[] = []
    const paths = new Set<string>()
    page.on('response', (response) => {
      const { origin, pathname } = new URL(response.url())
      if (origin === worker.origin) paths.add(pathname.replace(/(?<=\/)(uploads|e1\.).*/, '…'))
      if (response.status() >= 400) refused.push(`${response.status()} ${response.url()}`)
    })
    await page.addInitScript(`sessionStorage.setItem('token', '${KEY}')`)
    await page.goto(worker.origin)
    await page.getByRole('heading', { name: 'Nothing here yet' }).waitFor()
    expect(await page.getByText('Did you switch').isVisible()).toBe(false)

    await dropOn(page, 'h1', ['a.png', 'b.png', 'c.png'].map(picture))
    for (const name of ['a.png', 'b.png', 'c.png']) await tile(page, name).waitFor()
    const film = join(tmpdir(), `edge-presigner-${process.pid}-${FILM.name}`)
    await writeFile(film, patternBytes(FILM.size))
    stack.defer(() => rm(film))
    await choose(page, film)
    await page.locator('#notice').getByText('1 file uploaded.').waitFor()

    await page.reload()
    await tile(page, 'b.png').waitFor()
    await expect.poll(() => page.locator('.preview img.is-loaded').count()).toBe(3)

    const menuOf = (name: string) => page.getByRole('button', { name: `Actions for ${name}` })
    await menuOf('a.png').click()
    await page.getByRole('button', { name: 'a day' }).click()
    await page.locator('#notice').getByText('Link to a.png copied.').waitFor()
    const link = String(await page.evaluate('navigator.clipboard.readText()'))
    expect((await fetch(link)).headers.get('Content-Type')).toBe('image/png')

    await menuOf('b.png').click()
    await page.getByRole('button', { name: 'Rename…' }).click()
    await page.getByLabel('New name').fill('renamed.png')
    await page.keyboard.press('Enter')
    await tile(page, 'renamed.png').waitFor()

    await menuOf('c.png').click()
    await page.getByRole('button', { name: 'Delete…' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await page.locator('#notice').getByText('Deleted c.png.').waitFor()
    await page.reload()
    await tile(page, 'renamed.png').waitFor()
    expect(await page.locator('.file').count()).toBe(3)

    for (const name of ['Ask for files', 'Shared'])
      expect(await page.getByRole('button', { name }).count(), name).toBe(0)
    expect(await page.locator('#upkeep').count()).toBe(0)
    expect(refused).toEqual([])
    expect(failures).toEqual([])
    // The page finds out by /limits what there is.
    for (const path of ['/grants', '/drop-boxes', '/upkeep', '/s3/sign'])
      expect([...paths]).not.toContain(path)
    expect([...paths]).toEqual(
      expect.arrayContaining(['/limits', '/files', '/links', '/multipart']),
    )
  })
})

describeWith([CHROMIUM], 'the page after a switch to D1, in Chromium', () => {
  it.each([
    ['with the plugin that copies records', 'everything', false],
    ['without the plugin that copies records', 'default', true],
  ] as const)('says how to copy the records of KV, %s', async (_, kind, isAsked) => {
    await using started = await startPageWorker(
      [
        { id: 'owner', token: KEY, scopes: SCOPES, prefix: '' },
        { id: 'tenant', token: TENANT, scopes: SCOPES, prefix: 'tenants/42/' },
      ],
      async (directory) => configWith('d1_databases', directory, await shared('worker', kind)),
    )
    const { browser, worker } = started
    const open = async (token: string) => {
      const { page, failures } = await newTab(browser, { viewport: { width: 390, height: 844 } })
      await page.addInitScript(`sessionStorage.setItem('token', '${token}')`)
      await page.goto(worker.origin)
      await page.getByRole('heading', { name: 'Nothing here yet' }).waitFor()
      return { page, failures }
    }
    const { page, failures } = await open(KEY)
    await page.getByText('Did you switch from KV to D1?').waitFor()
    const command = `npx edge-presigner index copy --from kv --to d1 --url ${worker.origin}`
    await page.getByText(command).waitFor()
    expect(await page.getByText('edge.fileAdmin()').isVisible()).toBe(isAsked)
    expect(readPage('docs/import-and-repair.md')).toContain(command.replace(/ --url .*/, ''))
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
    expect(await seriousFindings(page)).toEqual([])
    expect(failures).toEqual([])
    const tenant = await open(TENANT)
    expect(await tenant.page.getByText('Did you switch').isVisible()).toBe(false)
  })
})
