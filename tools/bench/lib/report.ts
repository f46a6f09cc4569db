import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { drawChart } from './chart.ts'
import type { Machine } from './machine.ts'
import type { Section } from './section.ts'
import { formatMedian, markdownTable, sectionTable, targetTable } from './table.ts'

const DOCS = new URL('../../../docs/maintainers/', import.meta.url)
const PAGE = new URL('performance.md', DOCS)
const CHARTS = new URL('performance/', DOCS)
const RESULTS = new URL('../results.json', import.meta.url)

/** All results of one run. */
export interface Results {
  /** ISO 8601 in UTC. */
  readonly date: string
  readonly rounds: number
  readonly machine: Machine
  readonly sections: readonly Section[]
}

/**
 * Writes tools/bench/results.json, the tables of docs/maintainers/performance.md between their markers, and the
 * charts.
 */
export async function writeReport(results: Results): Promise<void> {
  await writeFile(RESULTS, `${JSON.stringify(results, roundNumbers, 2)}\n`)
  await mkdir(CHARTS, { recursive: true })
  for (const { id, chart } of results.sections)
    await writeFile(new URL(`${id}.svg`, CHARTS), drawChart(chart))
  const blocks = {
    machine: machineTable(results),
    targets: targetTable(results.sections.flatMap(({ targets }) => targets)),
    ...Object.fromEntries(
      results.sections.map((section) => [section.id, sectionTable(section, formatMedian)]),
    ),
  }
  let page = await readFile(PAGE, 'utf8')
  for (const [id, block] of Object.entries(blocks)) page = replaceBlock(page, id, block)
  await writeFile(PAGE, page)
}

/** Returns `page` with the text between the markers of `id` replaced. */
function replaceBlock(page: string, id: string, block: string): string {
  const [start, end] = [`<!-- bench: ${id} -->`, `<!-- /bench: ${id} -->`]
  const [from, to] = [page.indexOf(start), page.indexOf(end)]
  if (from === -1 || to < from)
    throw new Error(`docs/maintainers/performance.md has no markers for ${id}.`)
  return `${page.slice(0, from + start.length)}\n\n${block}\n\n${page.slice(to)}`
}

function machineTable({ date, rounds, machine }: Results): string {
  const { cores, cpu, memoryGibibytes, system, node, workerd, peers } = machine
  return markdownTable(
    ['Machine', ''],
    [
      ['CPU', `${cores} × ${cpu}`],
      ['Memory', `${memoryGibibytes} GiB`],
      ['System', system],
      ['Node', node],
      ['workerd', workerd],
      ...Object.entries(peers).map(([name, version]) => [`\`${name}\``, version]),
      ['Date', date],
      ['Rounds', String(rounds)],
    ],
  )
}

const roundNumbers = (_: string, value: unknown): unknown =>
  typeof value === 'number' ? Number(value.toPrecision(4)) : value
