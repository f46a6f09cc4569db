/**
 * `npx edge-presigner doctor`: checks a configuration against the real buckets, and a deployed Worker
 * from outside. docs/doctor.md names each check.
 */
import { createInterface } from 'node:readline/promises'
import packageJson from 'edge-presigner/package.json' with { type: 'json' }
import type { Bucket, Credentials } from '../src/bucket/bucket.ts'
import { UsageError } from './command.ts'
import { checkBucket, type Part } from './doctor/bucket.ts'
import type { Consent } from './doctor/cors.ts'
import {
  checkable,
  checkSettings,
  dropBoxOrigins,
  hasUpkeep,
  namedCredentials,
  readEnvironment,
  type Variables,
  type WorkerEnvironment,
  writtenFor,
} from './doctor/environment.ts'
import { noBucketYet, openLocalBucket, unsetPairs } from './doctor/local-bucket.ts'
import { type Options, readOptions, USAGE } from './doctor/options.ts'
import { type Finding, type Report, reportOf, skip, summary, Table } from './doctor/report.ts'
import { requestsUntil, Stopped } from './doctor/requests.ts'
import { sharedMarkdown, sharedReportOf } from './doctor/shared-report.ts'
import { checkWorker, servesPage } from './doctor/worker.ts'

const STOPPED_CODE = 130
const MIN_COLUMNS = 80
const MAX_COLUMNS = 120

/** Runs `npx edge-presigner doctor` with these arguments. Resolves with the exit code. */
export async function doctor(args: readonly string[]): Promise<number> {
  try {
    const options = readOptions(args)
    if (options.help) {
      console.log(USAGE)
      return 0
    }
    return (await runChecks(options)).ok ? 0 : 1
  } catch (error) {
    if (error instanceof Stopped) return STOPPED_CODE
    if (!(error instanceof UsageError)) throw error
    console.error(error.message)
    return 1
  }
}

/**
 * Checks and prints what the options ask for. `secrets` replaces what the file with the secrets
 * contains. `deployed` leaves out what a deployment has checked before. Throws UsageError for a
 * mistake in the options or files, and Stopped after Ctrl-C.
 */
export async function runChecks(
  options: OwnOptions,
  secrets?: Variables,
  part: Part = 'all',
): Promise<Report> {
  const stop = new AbortController()
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(STOPPED_CODE)
    console.error(
      '\nStopping, and deleting everything that doctor created. Press Ctrl-C again to keep it.',
    )
    stop.abort()
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of signals) process.on(name, onSignal)
  try {
    return await checkAll(options, secrets, part, stop.signal)
  } finally {
    for (const name of signals) process.off(name, onSignal)
  }
}

type OwnOptions = Omit<Options, 'help'>

/** Returns what prints findings below a heading. */
type TellUnder = (heading: string) => (...found: Finding[]) => void

async function checkAll(
  options: OwnOptions,
  secrets: Variables | undefined,
  part: Part,
  stop: AbortSignal,
): Promise<Report> {
  const { json } = options
  const findings: Finding[] = []
  const table = ownTable()
  const isQuiet = json || options.report
  const tellUnder: TellUnder =
    (heading) =>
    (...found) => {
      findings.push(...found)
      if (!isQuiet && found.length > 0) console.log(table.rows(heading, found))
    }
  const own = await readEnvironment({ ...options, secrets })
  const admin = options.admin === undefined ? undefined : namedCredentials(own, options.admin)
  const unset = secrets === undefined && !namesItsOwn(options) ? unsetPairs(own) : []
  if (unset.length > 0) tellUnder('Your bucket')(noBucketYet(unset))
  const local = unset.length > 0 ? await openLocalBucket() : undefined
  let buckets: readonly Bucket[]
  try {
    const worker = local === undefined ? own : await readEnvironment({ ...options, ...local })
    const run = {
      worker,
      admin,
      options,
      part: local === undefined ? part : 'local',
      stop,
    } as const
    buckets = await checkFiles({ ...run, tellUnder })
  } finally {
    await local?.close()
  }

  const report = reportOf(findings)
  if (options.report) {
    const { version } = packageJson
    const shared = sharedReportOf({ findings, buckets, version, now: new Date() })
    console.log(json ? JSON.stringify(shared, null, 2) : sharedMarkdown(shared))
    if (!report.ok)
      console.error('A check failed. Run `npx edge-presigner doctor` without --report to see why.')
  } else console.log(json ? JSON.stringify(report, null, 2) : summary(report))
  return report
}

/** Tells whether the options need a bucket of the user's own. */
const namesItsOwn = (options: OwnOptions): boolean =>
  options.fixCors ||
  options.report ||
  [options.envFile, options.environment, options.bucket, options.url, options.admin].some(
    (name) => name !== undefined,
  )

interface Run {
  readonly worker: WorkerEnvironment
  readonly admin: Credentials | undefined
  readonly options: OwnOptions
  readonly part: Part
  readonly stop: AbortSignal
  readonly tellUnder: TellUnder
}

/** Checks the settings, the buckets and the deployed Worker. Returns the buckets. */
async function checkFiles(run: Run): Promise<readonly Bucket[]> {
  const { worker, options, part, stop, tellUnder } = run
  const { bucket: only, url, timeoutSeconds } = options
  const requests = requestsUntil(stop, timeoutSeconds)
  const source = worker.envFile === null ? '' : ` and ${worker.envFile}`
  if (part !== 'deployed')
    tellUnder(`Settings (${worker.config}${source})`)(...(await checkSettings(worker)))

  const settings = worker.loaded.ok ? worker.loaded.settings : null
  const valid = checkable(worker)
  const buckets = valid.buckets.filter(({ alias }) => only === undefined || alias === only)
  if (buckets.length === 0) {
    if (settings !== null)
      throw new UsageError(
        `--bucket: there are only ${settings.buckets.map(({ alias }) => alias).join(', ')}.`,
      )
    const why = skip("A bucket's own settings and access keys must be valid first.")
    tellUnder('Buckets')({ check: 'bucket.all', subject: '', ...why })
  }
  const pages =
    buckets.length > 0 && url !== undefined && (await servesPage(url, requests)) ? [url] : []
  for (const bucket of buckets) await checkOne(run, bucket, [...valid.corsOrigins, ...pages])
  const { version } = packageJson
  if (url !== undefined)
    await checkWorker({ url, settings, version, requests, tell: tellUnder(`Worker ${url}`) })
  return buckets
}

async function checkOne(run: Run, bucket: Bucket, origins: readonly string[]): Promise<void> {
  const { worker, admin, options, part, stop, tellUnder } = run
  const { timeoutSeconds, yes } = options
  const { endpoint, walks, ...names } = writtenFor(worker, bucket.alias)
  const isQuiet = options.json || options.report
  await checkBucket({
    bucket,
    part,
    names,
    upkeep: {
      isOn: hasUpkeep(worker),
      walker:
        walks === undefined ? null : { credentials: namedCredentials(worker, walks), name: walks },
    },
    admin,
    origins: [...new Set(origins)],
    dropBoxOrigins: dropBoxOrigins(worker, options.url),
    requests: requestsUntil(stop, timeoutSeconds),
    cleaningRequests: requestsUntil(new AbortController().signal, timeoutSeconds),
    consent: options.fixCors ? consentBy(yes, isQuiet, stop) : undefined,
    tell: tellUnder(`Bucket ${bucket.alias} (${bucket.name} at ${endpoint})`),
  })
}

/** Returns a table as wide as the terminal, with its colors. */
export const ownTable = (): Table =>
  new Table(
    Math.min(Math.max(process.stdout.columns ?? MAX_COLUMNS, MIN_COLUMNS), MAX_COLUMNS),
    process.stdout.hasColors?.() ?? false,
  )

/** Shows what would be written, and asks on the terminal unless `yes`. */
const consentBy =
  (yes: boolean, isQuiet: boolean, stop: AbortSignal): Consent =>
  async (text) => {
    const write = isQuiet ? console.error : console.log
    write(`\n${text}\n`)
    if (yes) return true
    if (!process.stdin.isTTY) return false
    return ask('Write it?', stop)
  }

/** Asks a question on the terminal. Throws Stopped if the answer is Ctrl-C or the end of the input. */
export async function ask(question: string, stop?: AbortSignal): Promise<boolean> {
  // Not as a terminal: Ctrl-C stays a signal.
  const terminal = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: false,
  })
  const ended = new AbortController()
  terminal.once('close', () => ended.abort())
  const signal = stop === undefined ? ended.signal : AbortSignal.any([stop, ended.signal])
  try {
    return /^y(?:es)?$/i.test(await terminal.question(`${question} [y/N] `, { signal }))
  } catch {
    throw new Stopped()
  } finally {
    terminal.close()
  }
}

if (import.meta.main) process.exitCode = await doctor(process.argv.slice(2))
