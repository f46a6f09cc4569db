import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { shared } from '../shared.ts'
import { exec, install, ROOT } from './packed.ts'

/** What the apps' types need, in the folder above them, whose node_modules/ is found too. */
const TYPES = ['@types/node', '@types/express', '@cloudflare/workers-types']

/** Apps with the packed packages installed, in a temporary folder. */
export interface Consumers extends AsyncDisposable {
  /** With only `edge-presigner`. */
  readonly fresh: string
  /** examples/mounted-app with the Hono of its package.json, and with the oldest one. */
  readonly mounted: { readonly current: string; readonly oldest: string }
  /** examples/node-server */
  readonly nodeServer: string
}

/** Packs both packages and installs them as each README says. */
export async function createConsumers(): Promise<Consumers> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const at = (name: string) => join(directory, name)

  await mkdir(at('fresh'))
  await writeFile(at('fresh/package.json'), JSON.stringify({ private: true, type: 'module' }))
  await copyExample('mounted-app', at('mounted-app'))
  await copyExample('mounted-app', at('mounted-app-oldest'))
  await copyExample('node-server', at('node-server'))
  const [library, client, types] = await Promise.all([
    shared('tarball', 'edge-presigner'),
    shared('tarball', 'edge-presigner-client'),
    exactTypes(),
  ])
  await Promise.all([
    install(directory, ...types),
    install(at('fresh'), library),
    install(at('mounted-app'), library, client),
    install(at('mounted-app-oldest'), library, client, 'hono@4.8.0'),
    install(at('node-server'), library),
  ])
  await exec(at('mounted-app'), 'npm', 'run', 'build')
  const all = stack.move()
  return {
    fresh: at('fresh'),
    mounted: { current: at('mounted-app'), oldest: at('mounted-app-oldest') },
    nodeServer: at('node-server'),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

/** Copies the files of an example that git tracks. */
const copyExample = (name: string, target: string): Promise<void> =>
  cp(join(ROOT, 'examples', name), target, {
    recursive: true,
    filter: (path) => !/\/(?:node_modules|\.wrangler|presigner\.js|[^/]+\.tgz)$/.test(path),
  })

/** `TYPES` with the versions that the examples name. */
async function exactTypes(): Promise<string[]> {
  const versions = new Map<string, string>()
  for (const name of ['mounted-app', 'node-server']) {
    const json = await readFile(join(ROOT, 'examples', name, 'package.json'), 'utf8')
    const { devDependencies } = JSON.parse(json) as { devDependencies: Record<string, string> }
    for (const [type, version] of Object.entries(devDependencies)) versions.set(type, version)
  }
  return TYPES.map((name) => `${name}@${versions.get(name)}`)
}
