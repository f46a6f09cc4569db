/**
 * `node tools/bench/import.ts` imports a local bucket of 100,000 photos by `npx edge-presigner index import`,
 * through the Worker with KV and then with D1, and prints what that needs. `--objects N` changes the
 * number, `--plan free` the Worker's plan, and `--index KV` measures only one. docs/import-and-repair.md#import has the results.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setInterval } from 'node:timers'
import { parseArgs } from 'node:util'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { KEY_SCOPES } from '../../src/access/scopes.ts'
import { bundle, compatibilityDate } from './lib/build.ts'
import { childrenNamed, cpuMilliseconds, peakMebibytes, pidOf, start } from './lib/process.ts'
import { markdownTable } from './lib/table.ts'
import { startListedBucket } from './servers/listed-bucket.ts'

const PROGRAM = join(import.meta.dirname, '../../cli/index-command.ts')
const PEAK_MILLISECONDS = 100

const { values } = parseArgs({
  options: {
    objects: { type: 'string', default: '100000' },
    plan: { type: 'string', default: 'paid' },
    index: { type: 'string' },
  },
})
const objects = Number(values.objects)

const key = `ep_bench_${randomBytes(32).toString('base64url')}`
const digest = createHash('sha256').update(key).digest('hex')
const { script } = await bundle('tools/bench/peers/import.ts')
const date = await compatibilityDate()

/** Runs the command to its end, and returns its peak memory. */
async function runImport(url: string, folder: string): Promise<number> {
  const owner = ['--owner', 'photos/{owner}/', '--owner-as', 'key:app/{owner}']
  const args = [PROGRAM, 'import', '--prefix', 'photos/', ...owner, '--url', url]
  const child = start(process.execPath, args, {
    cwd: folder,
    stdio: 'inherit',
    env: { ...process.env, EDGE_PRESIGNER_KEY: key },
  })
  let peak = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, peakMebibytes(pidOf(child)))
  }, PEAK_MILLISECONDS)
  const code = await new Promise((resolve) => child.once('exit', resolve))
  clearInterval(timer)
  if (code !== 0) throw new Error(`The command ended with ${code}.`)
  return peak
}

async function measure(index: 'KV' | 'D1'): Promise<string[]> {
  await using bucket = await startListedBucket(objects)
  const folder = await mkdtemp(join(tmpdir(), 'edge-presigner-bench-'))
  const table = { endpoint: bucket.endpoint, region: 'us-east-1', bucket: 'photos' }
  const settings = { ...table, addressing: 'path', credentials: 'S3' }
  const before = new Set(childrenNamed('workerd'))
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      telemetry: { enabled: false },
      cf: false,
      handleStructuredLogs: () => undefined,
      modules: true,
      script,
      compatibilityDate: date,
      bindings: {
        BUCKETS: { files: settings },
        S3_ACCESS_KEY_ID: 'a',
        S3_SECRET_ACCESS_KEY: 'b',
        SIGNING_SECRETS: `test:${'0123456789abcdef'.repeat(2)}`,
        API_KEYS: [{ id: 'bench', sha256: digest, scopes: [...KEY_SCOPES], prefix: '' }],
        UPKEEP: { plan: values.plan },
      },
      ratelimits: { RATE_LIMITER: { namespace_id: '8787', simple: { limit: 1e9, period: 60 } } },
      ...(index === 'KV' ? { kvNamespaces: ['FILE_INDEX'] } : { d1Databases: ['FILES_DB'] }),
      durableObjects: Object.fromEntries(
        ['Grants', 'DropBoxes', 'Upkeep'].map((className) => [
          className,
          { className, useSQLite: true },
        ]),
      ),
      kvPersist: join(folder, 'kv'),
      d1Persist: join(folder, 'd1'),
      durableObjectsPersist: join(folder, 'do'),
    }),
  )
  try {
    const url = (await miniflare.ready).origin
    const workerd = childrenNamed('workerd').find((pid) => !before.has(pid))
    if (workerd === undefined) throw new Error('Miniflare started no workerd.')
    const health = await fetch(`${url}/healthz`)
    if (!health.ok) throw new Error(await health.text())
    const startedAt = performance.now()
    const peak = await runImport(url, folder)
    const seconds = (performance.now() - startedAt) / 1000
    const workerPeak = peakMebibytes(workerd)
    const cpu = cpuMilliseconds(workerd) / objects
    const calls = await fetch(`${url}/bench/calls`).then((response) => response.json())
    await requireRecords(url, index.toLowerCase())
    return [
      index,
      `${Math.round(seconds)} s`,
      `${Math.round(objects / seconds)}`,
      `${cpu.toFixed(1)} ms`,
      `${Math.round(workerPeak)} MiB`,
      `${Math.round(peak)} MiB`,
      listed(bucket.requests),
      listed(calls as Record<string, number>),
    ]
  } finally {
    await miniflare.dispose()
    await rm(folder, { recursive: true })
  }
}

const listed = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${count.toLocaleString('en')} ${name}`)
    .join(', ')

/** Reads the index to its end, and throws unless each object has a record of its user. */
async function requireRecords(url: string, index: string): Promise<void> {
  let cursor = ''
  let count = 0
  do {
    const query = new URLSearchParams({ from: index, bucket: 'files', limit: '1000' })
    if (cursor !== '') query.set('cursor', cursor)
    const response = await fetch(`${url}/index?${query}`, {
      headers: { Authorization: `Bearer ${key}` },
    })
    const page = (await response.json()) as {
      records: { key: string; owner: string | null }[]
      cursor?: string
    }
    for (const { key, owner } of page.records)
      if (owner !== `key:app/${key.split('/')[1]}`) throw new Error(`${key} is of ${owner}.`)
    count += page.records.length
    cursor = page.cursor ?? ''
  } while (cursor !== '')
  if (count !== objects) throw new Error(`The index has ${count} records of ${objects} objects.`)
}

const rows: string[][] = []
for (const index of ['KV', 'D1'] as const)
  if (values.index === undefined || values.index === index) rows.push(await measure(index))
const head = [
  'Index',
  'Time',
  'Objects a second',
  'CPU an object',
  'workerd',
  'Command',
  'Bucket',
  'Index calls',
]
console.log(`\n${objects} objects, plan ${values.plan}\n${markdownTable(head, rows)}`)
