/**
 * `npm run doctor`: checks a configuration against the real buckets, and a deployed Worker from
 * outside. docs/doctor.md describes each check.
 */
import { createInterface } from 'node:readline/promises'
import packageJson from '../package.json' with { type: 'json' }
import { checkBucket } from './doctor/bucket.ts'
import type { Consent } from './doctor/cors.ts'
import {
  checkable,
  checkSettings,
  namedCredentials,
  readEnvironment,
  writtenFor,
} from './doctor/environment.ts'
import { type Options, readOptions, USAGE, UsageError } from './doctor/options.ts'
import { type Finding, reportOf, skip, summary, Table } from './doctor/report.ts'
import { requestsUntil, Stopped } from './doctor/requests.ts'
import { sharedMarkdown, sharedReportOf } from './doctor/shared-report.ts'
import { checkWorker, servesPage } from './doctor/worker.ts'

const STOPPED_CODE = 130
const MIN_COLUMNS = 80
const MAX_COLUMNS = 120

async function doctor(options: Options, stop: AbortSignal): Promise<number> {
  const { bucket: only, url, json, timeoutSeconds } = options
  const isQuiet = json || options.report
  const worker = await readEnvironment(options)
  const requests = requestsUntil(stop, timeoutSeconds)
  const cleaningRequests = requestsUntil(new AbortController().signal, timeoutSeconds)
  const admin = options.admin === undefined ? undefined : namedCredentials(worker, options.admin)

  const findings: Finding[] = []
  const columns = Math.min(
    Math.max(process.stdout.columns ?? MAX_COLUMNS, MIN_COLUMNS),
    MAX_COLUMNS,
  )
  const table = new Table(columns, process.stdout.hasColors?.() ?? false)
  const tellUnder =
    (heading: string) =>
    (...found: Finding[]): void => {
      findings.push(...found)
      if (!isQuiet && found.length > 0) console.log(table.rows(heading, found))
    }

  const source = worker.envFile === null ? '' : ` and ${worker.envFile}`
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
  } else {
    const pages = url !== undefined && (await servesPage(url, requests)) ? [url] : []
    for (const bucket of buckets) {
      const { endpoint, ...names } = writtenFor(worker, bucket.alias)
      await checkBucket({
        bucket,
        names,
        admin,
        origins: [...new Set([...valid.corsOrigins, ...pages])],
        requests,
        cleaningRequests,
        consent: options.fixCors ? consentBy(options.yes, isQuiet, stop) : undefined,
        tell: tellUnder(`Bucket ${bucket.alias} (${bucket.name} at ${endpoint})`),
      })
    }
  }
  if (url !== undefined)
    await checkWorker({
      url,
      settings,
      version: packageJson.version,
      requests,
      tell: tellUnder(`Worker ${url}`),
    })

  const report = reportOf(findings)
  if (options.report) {
    const { version } = packageJson
    const shared = sharedReportOf({ findings, buckets, version, now: new Date() })
    console.log(json ? JSON.stringify(shared, null, 2) : sharedMarkdown(shared))
    if (!report.ok) console.error('A check failed. Run doctor without --report to see why.')
  } else console.log(json ? JSON.stringify(report, null, 2) : summary(report))
  return report.ok ? 0 : 1
}

/** Shows what would be written, and asks on the terminal unless `yes`. */
const consentBy =
  (yes: boolean, isQuiet: boolean, stop: AbortSignal): Consent =>
  async (text) => {
    const write = isQuiet ? console.error : console.log
    write(`\n${text}\n`)
    if (yes) return true
    if (!process.stdin.isTTY) return false
    // Not as a terminal: Ctrl-C stays a signal.
    const terminal = createInterface({
      input: process.stdin,
      output: process.stdout,
      terminal: false,
    })
    try {
      return /^y(?:es)?$/i.test(await terminal.question('Write it? [y/N] ', { signal: stop }))
    } catch {
      throw new Stopped()
    } finally {
      terminal.close()
    }
  }

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2))
  if (options.help) {
    console.log(USAGE)
    return 0
  }
  const stop = new AbortController()
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(STOPPED_CODE)
    console.error(
      '\nStopping, and deleting everything that doctor created. Press Ctrl-C again to keep it.',
    )
    stop.abort()
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal)
  return doctor(options, stop.signal)
}

try {
  process.exitCode = await main()
} catch (error) {
  if (error instanceof Stopped) process.exitCode = STOPPED_CODE
  else if (error instanceof UsageError) {
    console.error(error.message)
    process.exitCode = 1
  } else throw error
}
