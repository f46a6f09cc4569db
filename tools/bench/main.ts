/**
 * `npm run bench` measures the Worker, and rewrites tools/bench/results.json, docs/maintainers/performance.md and its
 * charts. Options: `--rounds N` (default: 5), and `--only SECTION`, which only prints that
 * section's table.
 */
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { DEFAULT_WORKER, EVERYTHING } from './lib/build.ts'
import { startLoadGenerator } from './lib/load.ts'
import { describeMachine } from './lib/machine.ts'
import { buildPresigner } from './lib/presigner.ts'
import { run } from './lib/process.ts'
import { writeReport } from './lib/report.ts'
import type { Section, Tools } from './lib/section.ts'
import { sectionTable, targetTable } from './lib/table.ts'
import { measureDelivery } from './sections/delivery.ts'
import { measureFootprint } from './sections/footprint.ts'
import { measureGrants } from './sections/grants.ts'
import { measureIndexPages } from './sections/index-pages.ts'
import { measureLists } from './sections/lists.ts'
import { measureRequests } from './sections/requests.ts'
import { measureSigning } from './sections/signing.ts'
import { measureSizes } from './sections/sizes.ts'
import { measureStartup } from './sections/startup.ts'

const SECTIONS: Readonly<Record<string, (tools: Tools) => Promise<Section>>> = {
  signing: measureSigning,
  requests: measureRequests,
  lists: measureLists,
  'index-pages': measureIndexPages,
  sizes: measureSizes,
  startup: measureStartup,
  footprint: measureFootprint,
  delivery: measureDelivery,
  grants: measureGrants,
}

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, only: { type: 'string' } },
})
const { only } = values
if (process.platform !== 'linux') throw new Error('The bench needs Linux, since it reads /proc.')
if (only !== undefined && !(only in SECTIONS))
  throw new Error(`--only must be one of ${Object.keys(SECTIONS).join(', ')}.`)

await installPeers()
const tools = {
  presigner: await buildPresigner(DEFAULT_WORKER),
  everything: await buildPresigner(EVERYTHING),
  generator: startLoadGenerator(),
  rounds: Number(values.rounds),
}
const sections: Section[] = []
for (const [id, measure] of Object.entries(SECTIONS)) {
  if (only !== undefined && only !== id) continue
  console.log(`\n${id} …`)
  const start = performance.now()
  const section = await measure(tools)
  const seconds = Math.round((performance.now() - start) / 1000)
  console.log(`${sectionTable(section)}\n\n${targetTable(section.targets)}\n${seconds} s`)
  sections.push(section)
}
tools.generator.close()
if (only === undefined)
  await writeReport({
    date: new Date().toISOString(),
    rounds: tools.rounds,
    machine: describeMachine(),
    sections,
  })

/** Installs the libraries to compare with, which users of the Worker don't need. */
async function installPeers(): Promise<void> {
  const directory = new URL('.', import.meta.url)
  if (existsSync(new URL('node_modules', directory))) return
  console.log('Installing the peers …')
  await run('npm', ['ci'], { cwd: directory })
}
