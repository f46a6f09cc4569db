import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { builtEntry, PLUGINS, pluginEntries } from '../lib/bundle-sizes.ts'
import { buildPeer } from '../lib/peers.ts'
import { API_KEY, keyOf } from '../lib/presigner.ts'
import { run } from '../lib/process.ts'
import { interleave, ratio, spread } from '../lib/rounds.ts'
import { atMost, type Section, type Tools } from '../lib/section.ts'
import { type RunningServer, startWorkerd } from '../lib/workerd.ts'

const ROOT = new URL('../../../', import.meta.url)
const BENCH = new URL('..', import.meta.url)

const WORKERS = {
  hello: 'workerd: a Worker that returns "hello"',
  core: 'workerd: the core alone',
  worker: 'workerd: the default Worker',
  everything: 'workerd: the Worker with all plugins',
  betterUpload: 'workerd: better-upload on Hono',
} as const

const PROGRAMS = {
  empty: 'Node: an empty program',
  nodeCore: 'Node: imports the core',
  nodeDefault: 'Node: imports the core and the default plugins',
  nodePlugins: 'Node: imports the core and all plugins',
  sdk: 'Node: imports the AWS SDK, `client-s3` and `s3-request-presigner`',
} as const

const DEFAULT_PLUGINS = 'files() multipart() links() images() events() tokens() jwt() apiKeys()'

const NAMES = { ...WORKERS, ...PROGRAMS }
type Name = keyof typeof NAMES

const LABELS: Readonly<Record<Name, string>> = {
  hello: 'workerd, "hello"',
  core: 'workerd, the core',
  worker: 'workerd, the default Worker',
  everything: 'workerd, all plugins',
  betterUpload: 'workerd, better-upload',
  empty: 'Node, empty',
  nodeCore: 'Node, the core',
  nodeDefault: 'Node, default plugins',
  nodePlugins: 'Node, all plugins',
  sdk: 'Node, the AWS SDK',
}

/** How long a new process takes, and how much CPU, until it has answered or has imported. */
interface Startup {
  readonly milliseconds: number
  readonly cpuMilliseconds: number
  /** What of it was before the first request: loading the Worker. */
  readonly loadMilliseconds: number
}

const loading = (one: Startup): number => one.loadMilliseconds
const answering = (one: Startup): number => one.cpuMilliseconds - one.loadMilliseconds

/** Limits of a Worker's loading and of its first request, in milliseconds more than "hello". */
const LIMITS = [
  ['core', 15, 10],
  ['worker', 30, 10],
  ['everything', 60, 15],
] as const

/** Measures new processes: a Worker up to its first answer, and a Node program with imports. */
export async function measureStartup({ presigner, everything, rounds }: Tools): Promise<Section> {
  await run(process.execPath, ['tools/dev/build-package.ts'], { cwd: ROOT })
  const [hello, core, betterUpload] = [
    await buildPeer('hello'),
    await buildPeer('core'),
    await buildPeer('better-upload'),
  ]
  const get = `/files/${encodeURIComponent(keyOf(0))}/url`
  const upload = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      route: 'files',
      files: [{ name: 'My Photo.JPG', type: 'image/jpeg', size: 48_213 }],
    }),
  }
  const subjects: Record<Name, () => Promise<Startup>> = {
    hello: () => firstAnswer(() => startWorkerd(hello), '/'),
    core: () => firstAnswer(() => startWorkerd(core), get),
    worker: () => firstAnswer(() => presigner.start(), get),
    everything: () => firstAnswer(() => everything.start(), get),
    betterUpload: () => firstAnswer(() => startWorkerd(betterUpload), '/upload', upload),
    empty: () => imports([]),
    nodeCore: () => imports([built('.')]),
    nodeDefault: () => imports(['.', ...Object.keys(pluginEntries(DEFAULT_PLUGINS))].map(built)),
    nodePlugins: () => imports(['.', ...Object.keys(pluginEntries(PLUGINS.join()))].map(built)),
    sdk: () => imports(['@aws-sdk/client-s3', '@aws-sdk/s3-request-presigner']),
  }
  for (const warm of Object.values(subjects)) await warm()
  const measured = await interleave(subjects, rounds)
  const emptyFor = (name: Name) => (name in WORKERS ? 'hello' : 'empty')
  const cpu = (name: Name) => measured[name].map(({ cpuMilliseconds }) => cpuMilliseconds)
  /** What a subject needs more than the empty one in the same round. */
  const differences = (name: Name, of: (one: Startup) => number) =>
    measured[name].map((one, round) => {
      const empty = measured[emptyFor(name)][round]
      return empty === undefined ? Number.NaN : of(one) - of(empty)
    })
  const more = (name: Name, of: (one: Startup) => number) => spread(differences(name, of))
  const ownOf = (name: Name) => differences(name, ({ cpuMilliseconds }) => cpuMilliseconds)
  const rows = (Object.keys(NAMES) as Name[]).map((name) => ({
    name: NAMES[name],
    values: {
      milliseconds: spread(measured[name].map(({ milliseconds }) => milliseconds)),
      cpuMilliseconds: spread(cpu(name)),
      ...(name in WORKERS && {
        load: more(name, loading),
        first: more(name, answering),
      }),
      own: more(name, ({ cpuMilliseconds }) => cpuMilliseconds),
      ofEmpty: ratio(cpu(name), cpu(emptyFor(name))),
    },
  }))
  return {
    id: 'startup',
    columns: {
      milliseconds: 'ms',
      cpuMilliseconds: 'CPU, ms',
      load: 'CPU of loading, ms',
      first: 'CPU of the first request, ms',
      own: 'both',
      ofEmpty: 'CPU, relative to the empty one',
    },
    rows,
    targets: [
      ...LIMITS.flatMap(([name, load, first]) => [
        atMost(`${NAMES[name]}, CPU of loading, ms`, more(name, loading), load),
        atMost(`${NAMES[name]}, CPU of the first request, ms`, more(name, answering), first),
      ]),
      atMost(
        `${NAMES.nodeDefault}, CPU relative to the AWS SDK`,
        ratio(ownOf('nodeDefault'), ownOf('sdk')),
        1.12,
      ),
    ],
    chart: {
      title: 'CPU of a new process',
      unit: 'ms',
      bars: (Object.keys(NAMES) as Name[]).map((name) => ({
        label: LABELS[name],
        value: spread(cpu(name)),
      })),
    },
  }
}

/** Starts a server, sends one request, and ends it. */
async function firstAnswer(
  start: () => Promise<RunningServer>,
  path: string,
  init: RequestInit = {},
): Promise<Startup> {
  const begin = performance.now()
  const server = await start()
  const loadMilliseconds = exactCpuMilliseconds(server.pid)
  const headers = { ...init.headers, Authorization: `Bearer ${API_KEY}` }
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { ...init, headers })
  const text = await response.text()
  const milliseconds = performance.now() - begin
  const cpuMilliseconds = exactCpuMilliseconds(server.pid)
  await server.close()
  if (!response.ok) throw new Error(`${path} answered with status ${response.status}: ${text}`)
  return { milliseconds, cpuMilliseconds, loadMilliseconds }
}

/** Runs a Node program that imports these modules, and nothing else. */
async function imports(modules: readonly string[]): Promise<Startup> {
  const lines = modules.map((name) => `import ${JSON.stringify(name)}`)
  const code = `${lines.join('\n')}
const { user, system } = process.cpuUsage()
console.log((user + system) / 1000)`
  const begin = performance.now()
  const text = await run(process.execPath, ['--input-type=module', '--eval', code], {
    cwd: fileURLToPath(BENCH),
  })
  const cpuMilliseconds = Number(text)
  return {
    milliseconds: performance.now() - begin,
    cpuMilliseconds,
    loadMilliseconds: cpuMilliseconds,
  }
}

const built = (entry: string): string => new URL(builtEntry(entry).node, ROOT).href

/** Returns the CPU of all threads that a process has now. /proc/PID/stat counts only in steps of 10 ms. */
const exactCpuMilliseconds = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`)
    .map((task) => readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8'))
    .reduce((sum, stat) => sum + Number(stat.split(' ')[0]) / 1e6, 0)
