import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildWorker } from '../../setup/build-worker.ts'
import { soak } from './soak.ts'

const { values } = parseArgs({
  options: {
    uploads: { type: 'string', default: '10000' },
    clients: { type: 'string', default: '16' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})

console.log(`${values.uploads} uploads by ${values.clients} clients, seed ${values.seed}`)
await using stack = new AsyncDisposableStack()
const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
stack.defer(() => rm(directory, { recursive: true }))
const { problems, ...figures } = await soak({
  bundle: await buildWorker(directory),
  uploads: Number(values.uploads),
  clients: Number(values.clients),
  seed: Number(values.seed),
  bucketFailures: 0.02,
  webhookFailures: 0.01,
  restartSeconds: 15,
  eventSeconds: 300,
  report: console.log,
})
console.log(figures)
for (const problem of problems.slice(0, 20)) console.error(problem)
console.log(problems.length === 0 ? 'Nothing is lost.' : `${problems.length} problems.`)
process.exitCode = problems.length === 0 ? 0 : 1
