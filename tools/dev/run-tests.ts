import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import * as z from 'zod/mini'

const VITEST = join(import.meta.dirname, '../../node_modules/vitest/vitest.mjs')

/** Tests that run in one workerd, which needs one core: half of them in each of two. */
const COMPUTING = ['worker']
const SHARDS = ['1/2', '2/2']
/** Tests in Node, most of which wait for servers and browsers. */
const WAITING = ['signer', 'node']

/** What is read of Vitest's JSON report. */
const reportSchema = z.object({
  success: z.boolean(),
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string(),
      assertionResults: z.array(
        z.object({
          fullName: z.string(),
          status: z.string(),
          failureMessages: z.nullable(z.array(z.string())),
        }),
      ),
    }),
  ),
})

type Report = z.infer<typeof reportSchema>

interface Counts {
  passed: number
  failed: number
  skipped: number
  /** A line for each test and each file that did not pass. */
  problems: string[]
}

/**
 * `npm test` runs what is fast, and `npm run test:all` (`--slow`) all tests but the full ones, in three runs
 * of Vitest at once. Shows one of them as it goes and the others at the end, then what did not pass, and
 * `N passed, N failed, N skipped`.
 */
const { values } = parseArgs({ options: { slow: { type: 'boolean' } } })
const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-tests-'))
try {
  const waiting = values.slow ? [...WAITING, 'slow'] : WAITING
  const computing = SHARDS.map(async (shard, i) => {
    const file = await open(join(directory, `log-${i}`), 'w')
    const counts = await runTests(COMPUTING, file.fd, shard)
    await file.close()
    return counts
  })
  const counts = await Promise.all([...computing, runTests(waiting, 'inherit')])
  for (const i of SHARDS.keys())
    await pipeline(createReadStream(join(directory, `log-${i}`)), process.stdout, { end: false })
  for (const problem of counts.flatMap(({ problems }) => problems)) console.log(problem)
  const sum = (of: 'passed' | 'failed' | 'skipped') =>
    counts.reduce((total, count) => total + count[of], 0)
  console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`)
  if (sum('failed') > 0) process.exitCode = 1
} finally {
  await rm(directory, { recursive: true, force: true })
}

/** Runs the tests of some projects, or a part of them. They print to `output`. */
async function runTests(
  projects: readonly string[],
  output: number | 'inherit',
  shard?: string,
): Promise<Counts> {
  const report = join(directory, `${projects.join('-')}${shard?.replace('/', '-of-') ?? ''}.json`)
  const vitest = spawn(
    process.execPath,
    [
      VITEST,
      'run',
      ...projects.map((project) => `--project=${project}`),
      ...(shard === undefined ? [] : [`--shard=${shard}`]),
      '--reporter=default',
      '--reporter=./test/setup/left-out-reporter.ts',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ],
    { stdio: ['ignore', output, output] },
  )
  const [code] = await once(vitest, 'exit')
  return readCounts(report, code === 0)
}

/** Without a report, with a file that didn't load or with no test at all, a run has failed. */
async function readCounts(path: string, ended: boolean): Promise<Counts> {
  const text = await readFile(path, 'utf8').catch(() => null)
  if (text === null) return { passed: 0, failed: 1, skipped: 0, problems: [`No report at ${path}`] }
  const report = reportSchema.parse(JSON.parse(text))
  const succeeded = ended && report.success && report.numPassedTests > 0
  return {
    passed: report.numPassedTests,
    failed: succeeded ? report.numFailedTests : Math.max(report.numFailedTests, 1),
    skipped: report.numPendingTests,
    problems: problemsOf(report),
  }
}

/** A file can fail without a failed test: when it doesn't load, or when a hook of it throws. */
function problemsOf({ testResults }: Report): string[] {
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(process.cwd(), name)
    const tests = assertionResults.filter((test) => test.status !== 'passed')
    return [
      ...(status === 'passed' ? [] : [`${status}: ${file} ${firstLine(message)}`]),
      ...tests.map(
        (test) =>
          `${test.status}: ${file} > ${test.fullName} ${firstLine(test.failureMessages?.[0])}`,
      ),
    ].map((line) => line.trimEnd())
  })
}

function firstLine(text = ''): string {
  return text.split('\n', 1).join()
}
