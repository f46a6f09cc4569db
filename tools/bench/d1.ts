/**
 * `node tools/bench/d1.ts` fills a local D1 database with a million files, and prints what its index needs
 * for each kind of request. `--rows N` changes the number. docs/maintainers/performance.md has the table.
 */
import { parseArgs } from 'node:util'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import type { ListInput } from '../../src/records/file-index.ts'
import type { FileQuery, StatsQuery } from '../../src/records/file-query.ts'
import { bundle, compatibilityDate } from './lib/build.ts'
import { markdownTable } from './lib/table.ts'

const ROWS_AT_ONCE = 2000
const ROUNDS = 50

const { values } = parseArgs({ options: { rows: { type: 'string', default: '1000000' } } })
const rows = Number(values.rows)

const { script } = await bundle('tools/bench/peers/d1.ts')
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    telemetry: { enabled: false },
    cf: false,
    modules: true,
    script,
    compatibilityDate: await compatibilityDate(),
    d1Databases: { DB: 'files' },
  }),
)

async function ask<T>(body: object): Promise<T> {
  const response = await miniflare.dispatchFetch('http://bench/', {
    method: 'POST',
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(await response.text())
  return (await response.json()) as T
}

const start = performance.now()
const seconds = () => `${Math.round((performance.now() - start) / 1000)} s`
for (let from = 0; from < rows; from += ROWS_AT_ONCE) {
  await ask({ fill: [from, Math.min(rows, from + ROWS_AT_ONCE)] })
  if (from % 100_000 === 0) console.log(`${from} rows, ${seconds()}`)
}
console.log(`${rows} rows after ${seconds()}`)
await ask({ createIndexes: true })
console.log(`indexed after ${seconds()}`)

const find = (query: Partial<FileQuery>) => ({
  find: { bucket: 'files', prefix: '', limit: 100, ...query },
})
const list = (input: Partial<ListInput>) => ({
  list: { bucket: 'files', prefix: '', limit: 100, ...input },
})
const stats = (query: Partial<StatsQuery>) => ({ stats: { bucket: 'files', prefix: '', ...query } })
const tenant = 'tenant-7/'
let next = rows

const CASES: Readonly<Record<string, () => object>> = {
  'list, in the order of the keys': () => list({}),
  'list, a tenant of ten': () => list({ prefix: 'small/' }),
  'newest first, whole bucket': () => find({ sort: '-createdAt' }),
  'largest first, a tenant of ten': () => find({ sort: '-size', prefix: 'small/' }),
  'largest first, one of a hundred tenants': () => find({ sort: '-size', prefix: tenant }),
  'an owner of a thousand, by name': () => find({ sort: 'name', owner: 'key:7' }),
  'search, one word': () => find({ q: 'b0word' }),
  'search, two beginnings': () => find({ q: 'b0w inv' }),
  'search, a tenant of ten': () => find({ q: 'inv', prefix: 'small/' }),
  'search, a word of every third name': () => find({ q: 'invoice' }),
  'the same, newest first': () => find({ q: 'invoice', sort: '-createdAt' }),
  'search, a word of no name': () => find({ q: 'nothing' }),
  'a type that no file has (the page is empty)': () => find({ type: 'video/*' }),
  'folders of the bucket': () => find({ delimiter: '/' }),
  'totals of the bucket': () => stats({}),
  'totals by type': () => stats({ groupBy: 'type' }),
  'totals by owner': () => stats({ groupBy: 'owner' }),
  'totals of a prefix without slash (10,000 files and more)': () => stats({ prefix: 'tenant-7' }),
  'record a file': () => ({ put: next++ }),
}

const table: string[][] = []
for (const [name, question] of Object.entries(CASES)) {
  await ask(question())
  const times: number[] = []
  for (let i = 0; i < ROUNDS; i++) {
    const before = performance.now()
    await ask(question())
    times.push(performance.now() - before)
  }
  times.sort((a, b) => a - b)
  const at = (share: number) => (times[Math.ceil(times.length * share) - 1] ?? 0).toFixed(1)
  table.push([name, at(0.5), at(0.99)])
}
console.log(`\n${markdownTable(['Request', 'p50, ms', 'p99, ms'], table)}`)
console.log(`\nRows written for a file: ${await ask<number>({ written: next })}. ${seconds()}`)
await miniflare.dispose()
