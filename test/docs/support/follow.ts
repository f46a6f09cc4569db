import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify, stripVTControlCharacters } from 'node:util'
import { freePort } from '../../../cli/ports.ts'
import { waitUntil } from '../../../cli/wait-until.ts'
import { shared } from '../../e2e/shared.ts'
import { ROOT } from './markdown.ts'
import { recipeSteps, type Step } from './recipe.ts'
import { type Packed, type Registry, startRegistry } from './registry.ts'

const run = promisify(execFile)

/** Commands that run until the reader stops them, and what they print when they are ready. */
const SERVERS: readonly (readonly [command: RegExp, ready: RegExp])[] = [
  [/^npx edge-presigner dev\b/, /Ready: (http:\/\/(?:localhost|127\.0\.0\.1):\d+)/],
  [
    /^(?:\w+=\S+ )*(?:npm run dev|npm start|npx serve|npx wrangler dev|node (?!\S*create-edge-presigner).*\.m?[jt]s\b.*)\b/,
    /(http:\/\/localhost:\d+)/,
  ],
]

/** Where the pages copy files of `examples/` from. Here, a copy with the ports of the reader. */
export const EXAMPLES =
  'https://raw.githubusercontent.com/edge-presigner/edge-presigner/main/examples/'

/** The ports of the pages. Here, each is another one, because other tests run at the same time. */
const WORKER_PORTS = ['8787', '4568']
const APP_PORTS = ['3000', '8788']

export interface FollowOptions {
  /** Follows only these sections, such as `Tokens/Server`, or an empty string for the beginning. */
  readonly sections?: readonly string[]
  /** Follows in this folder below the current one, and returns. */
  readonly folder?: string
  /** What the reader replaces, such as the URL of a deployed Worker. */
  readonly replace?: Readonly<Record<string, string>>
}

/** A reader who follows pages, from an empty folder next to the project `my-files`. */
export interface Reader extends AsyncDisposable {
  /** Does the steps of `docs/recipes/NAME.md`. Throws if one fails, or if a block is no step. */
  follow(name: string, options?: FollowOptions): Promise<void>
  /** Runs more commands, in the current folder. */
  run(commands: string): Promise<void>
  /** Ends the servers, as Ctrl-C does. */
  stop(): Promise<void>
  /** The folder in which the commands ran last. */
  folder(): string
  /** The origin that the server printed which was started last. */
  origin(): string
  /** The port of this reader for a port on the pages. */
  port(documented: string): string
}

export interface Readers extends AsyncDisposable {
  /** The Worker of the project `my-files`, which all readers share. */
  readonly worker: string
  /**
   * Returns a reader in an empty folder. With `project: 'own'`, the project `my-files` next to it
   * has its own Worker and bucket, which the page starts.
   */
  start(options?: { readonly project: 'own' }): Promise<Reader>
  /** Returns the blocks of `docs/recipes/NAME.md` that no reader has taken. */
  left(name: string): string[]
}

/** Follows "On your machine" in docs/recipes/README.md, and returns readers next to it. */
export async function startReaders(): Promise<Readers> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  stack.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 20 }))
  const registry = stack.use(await startOwnRegistry())
  const env = newTerminal(registry.url)

  const taken = new Set<string>()
  const workerPorts = await freeWorkerPorts()
  const home = stack.use(createReader(directory, env, workerPorts, taken))
  await home.follow('README', { sections: ['On your machine'] })

  const all = stack.move()
  return {
    worker: home.origin(),
    async start(options) {
      const folder = await mkdtemp(join(directory, 'reader-'))
      const project = join(directory, 'my-files')
      if (options?.project === 'own') {
        await mkdir(join(folder, 'my-files'))
        for (const name of await readdir(project))
          if (name !== '.dev') await symlink(join(project, name), join(folder, 'my-files', name))
      } else await symlink(project, join(folder, 'my-files'))
      const shared = options?.project === 'own' ? await freeWorkerPorts() : workerPorts
      return createReader(folder, env, { ...shared, ...(await freePorts(APP_PORTS)) }, taken)
    },
    left: (name) => stepsLeft(name, taken),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

/** Starts a registry that has the packed packages too. */
export async function startOwnRegistry(): Promise<Registry> {
  const names = ['edge-presigner', 'edge-presigner-client', 'create-edge-presigner'] as const
  const packages = names.map(async (name) => readPacked(await shared('tarball', name)))
  return startRegistry(await Promise.all(packages), await configuredRegistry())
}

/** Returns the blocks of `docs/recipes/NAME.md` that are not in `taken`. */
export const stepsLeft = (name: string, taken: ReadonlySet<string>): string[] =>
  recipeSteps(name)
    .filter((step) => step.kind !== 'excerpt' && !taken.has(stepId(name, step)))
    .map(({ code }) => code)

const stepId = (name: string, { section, path, code }: Step): string =>
  [name, section, path, code].join('\n')

async function readPacked(tarball: string): Promise<Packed> {
  const { stdout } = await run('tar', ['-xOf', tarball, 'package/package.json'])
  return { tarball, manifest: JSON.parse(stdout) }
}

const freePorts = async (documented: readonly string[]): Promise<Record<string, string>> => {
  const ports: Record<string, string> = {}
  for (const port of documented) ports[port] = `${await freePort()}`
  return ports
}

/** Returns a free port for each of the Worker's on the pages. */
export const freeWorkerPorts = (): Promise<Record<string, string>> => freePorts(WORKER_PORTS)
/** Returns a free port for each port on the pages. */
export const freeAllPorts = () => freePorts([...WORKER_PORTS, ...APP_PORTS])

/** Resolves with the registry that npm uses in this repository. */
export const configuredRegistry = async (): Promise<string> =>
  (await run('npm', ['config', 'get', 'registry'], { cwd: ROOT })).stdout.trim()

/**
 * Returns the environment of a terminal that knows nothing of this project, with the registry. `bin` is
 * the folder of its Node.
 */
export function newTerminal(registry: string, bin = dirname(process.execPath)): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(?:npm_|NODE_(?:ENV|OPTIONS|PATH)$|VITE|INIT_CWD$|FORCE_COLOR$)/i.test(name),
  )
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((each) => !/node_modules/.test(each))
  return {
    ...Object.fromEntries(inherited),
    PATH: [bin, ...path].join(delimiter),
    NO_COLOR: '1',
    npm_config_registry: registry,
    npm_config_yes: 'true', // the answer to "Ok to proceed?"
    npm_config_prefer_offline: 'true',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
    NEXT_TELEMETRY_DISABLED: '1',
    WRANGLER_SEND_METRICS: 'false',
  }
}

/** Returns a reader in the folder `start`. `ports` has a port for each of the pages, `taken` the steps. */
export function createReader(
  start: string,
  env: NodeJS.ProcessEnv,
  ports: Readonly<Record<string, string>>,
  taken: Set<string> = new Set(),
): Reader {
  const servers: ChildProcess[] = []
  const variables = { ...env, ...(ports['3000'] && { PORT: ports['3000'] }) }
  const examples = join(start, '.examples')
  let cwd = start
  let origin = ''

  const here = (text: string, replace: Readonly<Record<string, string>> = {}): string => {
    let replaced = text
    for (const [placeholder, value] of Object.entries({
      ...{ [EXAMPLES]: `file://${examples}/`, ...replace },
    }))
      replaced = replaced.replaceAll(placeholder, value)
    return replaced.replaceAll(
      /(\b(?:localhost|127\.0\.0\.1):|--(?:s3-)?port )(\d+)/g,
      (all, before, port) => (ports[port] === undefined ? all : before + ports[port]),
    )
  }

  async function copyExamples(): Promise<void> {
    const names = await run('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
      cwd: join(ROOT, 'examples'),
    })
    for (const name of names.stdout.trim().split('\n')) {
      const text = await readFile(join(ROOT, 'examples', name), 'utf8')
      await mkdir(dirname(join(examples, name)), { recursive: true })
      await writeFile(join(examples, name), here(text))
    }
  }

  /** Runs commands as one script. The next commands run in the folder where it ends. */
  async function runCommands(script: string): Promise<void> {
    const place = join(start, '.place')
    const wrapped = `${script}\npwd > '${place}'`
    try {
      await run('sh', ['-euc', wrapped], { cwd, env: variables })
      cwd = (await readFile(place, 'utf8')).trim()
    } catch (error) {
      const { stdout, stderr } = Object(error)
      throw new Error(`In ${cwd}:\n${script}\n${stdout}${stderr}`, { cause: error })
    }
  }

  async function startServer(command: string, ready: RegExp): Promise<void> {
    // Its own group, so that everything that it starts ends with it.
    const child = spawn('sh', ['-c', command], {
      ...{ cwd, env: variables, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
    })
    servers.push(child)
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (chunk: string) => {
        output += stripVTControlCharacters(chunk)
      })
    await waitUntil(
      `${command} is ready`,
      async () => {
        if (child.exitCode !== null) throw new Error(`${command} ended: ${output}`)
        origin = ready.exec(output)?.[1] ?? ''
        return origin !== ''
      },
      290,
    )
  }

  async function take({ kind, path, code }: Step, replace = {}): Promise<void> {
    if (kind === 'unknown') throw new Error(`This block is no step:\n${code}`)
    const text = here(code, replace)
    if (kind === 'file') {
      await mkdir(dirname(join(cwd, path)), { recursive: true })
      await writeFile(join(cwd, path), text)
    }
    if (kind !== 'commands') return
    if (code.includes(EXAMPLES)) await copyExamples()
    const lines = text.trimEnd().split('\n')
    const last = lines.at(-1) ?? ''
    const server = SERVERS.find(([command]) => command.test(last))
    await runCommands(lines.slice(0, server && -1).join('\n'))
    if (!server) return
    // The options that a reader adds whose ports are not free.
    const options = ` --port ${ports['8787']} --s3-port ${ports['4568']}`
    await startServer(last.startsWith('npx edge-presigner') ? last + options : last, server[1])
  }

  const stop = async (): Promise<void> => {
    await Promise.all(servers.splice(0).map(endGroup))
  }

  return {
    async follow(name, { sections, folder, replace } = {}) {
      const outer = cwd
      cwd = join(cwd, folder ?? '.')
      await mkdir(cwd, { recursive: true })
      const steps = recipeSteps(name).filter(({ section }) => sections?.includes(section) ?? true)
      if (steps.length === 0) throw new Error(`docs/recipes/${name}.md has no such steps.`)
      for (const step of steps) {
        await take(step, replace)
        taken.add(stepId(name, step))
      }
      if (folder !== undefined) cwd = outer
    },
    run: (code) => take({ kind: 'commands', path: '', code, section: '' }),
    stop,
    folder: () => cwd,
    origin: () => origin,
    port: (documented) => ports[documented] ?? documented,
    [Symbol.asyncDispose]: stop,
  }
}

/** Ends a process that leads a group, and everything in it. */
async function endGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return
  const { pid } = child
  const send = (signal: NodeJS.Signals | 0): boolean => {
    try {
      return process.kill(-pid, signal)
    } catch {
      return false // The group is empty.
    }
  }
  send('SIGINT')
  await waitUntil(`Process group ${pid} ends`, async () => !send(0), 60).catch(() =>
    send('SIGKILL'),
  )
}
