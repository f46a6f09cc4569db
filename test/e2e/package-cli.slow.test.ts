import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort, requireFreePort } from '../../cli/ports.ts'
import { waitUntil } from '../../cli/wait-until.ts'
import manifest from '../../package.json' with { type: 'json' }
import { markedBlock } from '../docs/support/markdown.ts'
import { type NpmProcess, startNpmIn } from './npm-process.ts'
import { install, ROOT } from './package/packed.ts'
import { shared } from './shared.ts'

/** What a project installs itself for its commands: docs/maintainers/decisions/packages.md. */
const PEERS = ['wrangler', '@20minutes/s3rver']

/** The configuration of a project, without its page. */
const CONFIG = `name = "my-files"
main = "src/worker.ts"
compatibility_date = "2026-11-01"
compatibility_flags = ["global_fetch_strictly_public"]

[[kv_namespaces]]
binding = "FILE_INDEX"

[[ratelimits]]
name = "RATE_LIMITER"
namespace_id = "8787"
simple = { limit = 1200, period = 60 }

${markedBlock('docs/share.md', 'exports').split('\n\n')[0]}
`
const PAGE = `
[assets]
directory = "node_modules/edge-presigner/dist/page"
binding = "ASSETS"
run_worker_first = true
`

let folder: string
let port: number
let s3Port: number
const at = (...path: string[]) => join(folder, ...path)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  await mkdir(at('src'))
  await mkdir(at('node_modules/@20minutes'), { recursive: true })
  await writeFile(at('package.json'), JSON.stringify({ private: true, type: 'module' }))
  await writeFile(at('src/worker.ts'), markedBlock('docs/mount.md', 'own-worker'))
  await writeFile(at('wrangler.toml'), CONFIG + PAGE)
  await install(folder, await shared('tarball', 'edge-presigner'))
  await linkPeers(...PEERS)
  port = await freePort()
  s3Port = await freePort()
})
afterAll(() => rm(folder, { recursive: true }))

/** Puts packages of the clone into the project, instead of an install of 235 MB. */
async function linkPeers(...names: readonly string[]): Promise<void> {
  await mkdir(at('node_modules/@20minutes'), { recursive: true })
  for (const name of names)
    await symlink(join(ROOT, 'node_modules', name), at('node_modules', name), 'junction')
}

/** Runs the program until it ends. `version` is what it gets as the version of Node. */
const run = (args: readonly string[], cwd = folder, version = process.versions.node) =>
  new Promise<{ code: number; output: string }>((resolve) => {
    const fake = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`
    const program = at('node_modules/edge-presigner/cli/bin.js')
    const imports = ['--import', `data:text/javascript,${encodeURIComponent(fake)}`]
    const child = execFile(
      process.execPath,
      [...imports, program, ...args],
      { cwd },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, output: stdout + stderr }),
    )
  })

const request = async (path: string, body?: object) => {
  const headers = { 'Content-Type': 'application/json' }
  const init = body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) }
  return fetch(`http://localhost:${port}${path}`, init)
}

/** Uploads a file. Returns its key. */
async function upload(text: string): Promise<string> {
  const file = { fileName: 'hello.txt', mimetype: 'text/plain' }
  const answer = await request('/files/upload-url', file)
  const { uploadUrl, headers, key } = (await answer.json()) as {
    readonly uploadUrl: string
    readonly headers: Record<string, string>
    readonly key: string
  }
  const put = await fetch(uploadUrl, { method: 'PUT', headers, body: text })
  expect(put.status).toBe(200)
  expect((await request('/files', { key })).status).toBe(201)
  return key
}

/** Starts `npx edge-presigner dev` as a terminal does, and waits until it is ready. */
async function startDev(...options: readonly string[]): Promise<NpmProcess> {
  const ports = ['--port', `${port}`, '--s3-port', `${s3Port}`]
  const dev = startNpmIn(folder, 'exec', '--', 'edge-presigner', 'dev', ...ports, ...options)
  await dev.printed(/Ctrl-C to stop/)
  return dev
}

async function stop(dev: NpmProcess): Promise<void> {
  const children = await dev.children()
  expect(children.length).toBeGreaterThan(0)
  dev.signal('SIGINT')
  await dev.end()
  expect(await dev.groupMembers()).toEqual([])
  for (const pid of children) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  await requireFreePort(port, '')
  await requireFreePort(s3Port, '')
}

describe('npx edge-presigner dev, in a project', () => {
  it('uploads, lists, shows the page, builds the Worker again, and leaves nothing running', async () => {
    await using dev = await startDev()
    expect(dev.output()).not.toMatch(/has no page|Durable Objects/)
    const key = await upload('Hello from a project')
    const list = (await (await request('/files')).json()) as { readonly files: readonly object[] }
    expect(list.files).toEqual([expect.objectContaining({ key, name: 'hello.txt', size: 20 })])
    expect(await (await request('/')).text()).toContain('<!doctype html>')
    expect((await request('/openapi.json')).status).toBe(200)

    const source = await readFile(at('src/worker.ts'), 'utf8')
    const changed = source.replace(
      /^export default handler$/m,
      "export default { ...handler, fetch: () => new Response('changed') }",
    )
    expect(changed).not.toBe(source)
    await writeFile(at('src/worker.ts'), changed)
    const isServed = async () => (await (await request('/')).text()) === 'changed'
    await waitUntil('The change is served', isServed, 240)
    await writeFile(at('src/worker.ts'), source)
    await stop(dev)
    expect(await readdir(at('.dev'))).toContain('s3')
  })

  it('prints each webhook of a project without a page, also with wrangler.jsonc', async () => {
    const config = { name: 'my-files', main: './src/worker.ts', compatibility_date: '2026-11-01' }
    const bindings = {
      kv_namespaces: [{ binding: 'FILE_INDEX' }],
      ratelimits: [
        { name: 'RATE_LIMITER', namespace_id: '1', simple: { limit: 1200, period: 60 } },
      ],
    }
    await rename(at('wrangler.toml'), at('kept.toml'))
    await writeFile(
      at('wrangler.jsonc'),
      `// A comment\n${JSON.stringify({ ...config, ...bindings })}`,
    )
    const endpoint = {
      url: 'http://localhost:9/',
      private: true,
      secret: `whsec_${'A'.repeat(43)}=`,
    }
    await writeFile(at('events.env'), `WEBHOOKS='${JSON.stringify([endpoint])}'\n`)
    await using dev = await startDev('--vars', 'events.env')
    expect(dev.output()).toContain('This project has no page')
    expect(dev.output()).toContain('Warning: grants need Durable Objects. Export the class')
    await upload('Hello')
    await dev.printed(/^webhook file\.recorded localhost:9 no response$/m)
    await stop(dev)
    await rm(at('wrangler.jsonc'))
    await rename(at('kept.toml'), at('wrangler.toml'))
  })

  it('says before it starts anything that its bucket needs Node 22, and what to do', async () => {
    const { code, output } = await run(['dev', '--port', `${port}`], folder, '20.20.2')
    expect(code).toBe(1)
    expect(output).toBe(
      'The embedded bucket needs Node 22, and this is 20.20.2. Run: npm install --save-dev node@24. Or use your own bucket with --env-file FILE, or Ceph RGW with --ceph.\n',
    )
  })

  it.each([
    ['wrangler', 'wrangler is missing. Run `npm install --save-dev wrangler`.\n'],
    [
      '@20minutes/s3rver',
      '@20minutes/s3rver is missing. Run: npm install --save-dev @20minutes/s3rver@5\n',
    ],
  ])('names the command that installs %s', async (name, expected) => {
    await rm(at('node_modules', name))
    try {
      expect(await run(['dev'])).toEqual({ code: 1, output: expected })
    } finally {
      await linkPeers(name)
    }
  })

  it('names the folder as the mistake if it has no configuration', async () => {
    const { code, output } = await run(['dev'], at('src'))
    expect(code).toBe(1)
    expect(output).toContain('This folder has no wrangler.toml.')
  })

  it('has no Worker with all plugins, which only a clone has', async () => {
    const { code, output } = await run(['dev', '--all'])
    expect(code).toBe(1)
    expect(output).toContain('In your project, add the plugins in src/worker.ts.')
  })
})

describe('the other commands, in a project,', () => {
  it('write and read its files', async () => {
    const created = await run(['keys', 'create', '--id', 'ci', '--scopes', 'files:read'])
    expect(created).toMatchObject({ code: 0, output: expect.stringContaining('ep_ci_') })
    expect(JSON.parse(await readFile(at('api-keys.json'), 'utf8'))).toMatchObject([{ id: 'ci' }])
    const { code, output } = await run(['doctor', '--timeout', '1'])
    expect(code).toBe(1)
    expect(output).toContain('Settings (wrangler.toml)')
    expect(output).toContain('BUCKETS is missing. Add a [vars.BUCKETS.files] table')
    const deployed = await run(['deploy', '--dry-run'])
    expect(deployed).toMatchObject({ code: 1, output: expect.stringContaining('BUCKETS') })
  })
})

describe('edge-presigner', () => {
  it('has --help, --version and the help of each command', async () => {
    const { code, output } = await run(['--help'])
    expect(code).toBe(0)
    const commands = [...output.matchAll(/^ {2}([\w-]+) /gm)].map(([, name = '']) => name)
    expect(commands).toEqual([
      'dev',
      'doctor',
      'keys',
      'index',
      'upkeep',
      'export',
      'delete-all',
      'deploy',
    ])
    for (const command of commands) {
      const help = await run([command, '--help'])
      expect(help.output).toContain(`edge-presigner ${command}`)
      expect(help.code, command).toBe(0)
    }
    expect(await run(['--version'])).toEqual({ code: 0, output: `${manifest.version}\n` })
  })

  it.each([[[]], [['depoly']], [['constructor']]])(
    'refuses %j, and lists the commands',
    async (args) => {
      const { code, output } = await run(args)
      expect(code).toBe(1)
      if (args[0] !== undefined) expect(output).toContain(`Unknown command "${args[0]}".`)
      expect(output).toContain('usage: npx edge-presigner COMMAND')
    },
  )

  it('is JavaScript, and contains no package', async () => {
    const cli = at('node_modules/edge-presigner/dist/cli')
    for (const name of await readdir(cli)) {
      expect(name).toMatch(/\.js$/)
      expect(await readFile(join(cli, name), 'utf8')).not.toMatch(/node_modules\//)
    }
  })

  it('comes with the page as the Worker serves it', async () => {
    const page = at('node_modules/edge-presigner/dist/page')
    const files = (await readdir(page)).toSorted()
    expect(files).toEqual([
      '_headers',
      'assets',
      'icon.svg',
      'index.html',
      'openapi.json',
      'theme.js',
    ])
  })
})
