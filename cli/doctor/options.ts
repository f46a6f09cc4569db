import { parseOptions, UsageError } from '../command.ts'
import { configName } from '../config-name.ts'

/** The usage of `npx edge-presigner doctor`. */
export const USAGE = `npx edge-presigner doctor [--env-file FILE] [--config FILE] [--env NAME] [--bucket ID] [--url URL]
                          [--fix-cors [--yes]] [--admin NAME] [--timeout SECONDS] [--json] [--report]

--env-file FILE   the file with the secrets (.dev.vars)
--config FILE     the configuration (wrangler.toml, or as wrangler finds it)
--env NAME        an environment of that file, [env.NAME]
--bucket ID       checks only this bucket
--url URL         also checks the Worker at this URL
--fix-cors        shows CORS rules for CORS_ORIGINS, asks, and writes them to the bucket
--yes             does not ask
--admin NAME      NAME_ACCESS_KEY_ID and NAME_SECRET_ACCESS_KEY read and write the CORS rules
--timeout SECONDS for each request (10)
--json            prints a report for programs
--report          prints a result to publish, without names and hosts; as JSON with --json
The exit code is 1 if a check fails. Warnings don't change it.`

const MAX_TIMEOUT_SECONDS = 120

/** The options of `npx edge-presigner doctor`. */
export interface Options {
  readonly help: boolean
  readonly envFile: string | undefined
  readonly config: string
  readonly environment: string | undefined
  readonly bucket: string | undefined
  readonly url: string | undefined
  readonly fixCors: boolean
  readonly yes: boolean
  readonly admin: string | undefined
  readonly timeoutSeconds: number
  readonly json: boolean
  readonly report: boolean
}

/**
 * Reads the command line. A first "--" is from package.json: without it, Node itself would read
 * `--env-file`, although it comes after the script. Throws UsageError for an unknown option.
 */
export function readOptions(args: readonly string[]): Options {
  const values = parsedArguments(args[0] === '--' ? args.slice(1) : args)
  const { url, timeout } = values
  if (values.yes && !values['fix-cors']) throw new UsageError('--yes needs --fix-cors.')
  for (const name of ['json', 'report'] as const)
    if (values[name] && values['fix-cors'] && !values.yes)
      throw new UsageError(`With --${name}, --fix-cors needs --yes.`)
  const timeoutSeconds = secondsIn(timeout, MAX_TIMEOUT_SECONDS)
  return {
    help: values.help,
    envFile: values['env-file'],
    config: values.config,
    environment: values.env ?? (process.env.CLOUDFLARE_ENV || undefined),
    bucket: values.bucket,
    url: url === undefined ? undefined : workerUrl(url),
    fixCors: values['fix-cors'],
    yes: values.yes,
    admin: values.admin,
    timeoutSeconds,
    json: values.json,
    report: values.report,
  }
}

/** Reads `--timeout`. Throws UsageError if it is invalid. */
export function secondsIn(timeout: string, max: number): number {
  const seconds = Number(timeout)
  if (seconds > 0 && seconds <= max) return seconds
  throw new UsageError(`--timeout must be more than 0 and at most ${max} seconds.`)
}

function parsedArguments(args: readonly string[]) {
  const { values, positionals } = parseOptions(
    {
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', default: false },
        'env-file': { type: 'string' },
        config: { type: 'string', default: configName() ?? 'wrangler.toml' },
        env: { type: 'string' },
        bucket: { type: 'string' },
        url: { type: 'string' },
        'fix-cors': { type: 'boolean', default: false },
        yes: { type: 'boolean', default: false },
        admin: { type: 'string' },
        timeout: { type: 'string', default: '10' },
        json: { type: 'boolean', default: false },
        report: { type: 'boolean', default: false },
      },
    },
    USAGE,
  )
  // npm keeps options that come before `--` for itself, and passes on only their values.
  if (positionals.length > 0)
    throw new UsageError(
      `Unexpected argument ${positionals[0]}. With npm run, write -- before the options: npm run doctor -- --url URL.\n\n${USAGE}`,
    )
  return values
}

/** Reads the URL of a Worker, without a trailing slash. Throws UsageError if it is invalid. */
export function workerUrl(value: string): string {
  const { origin, pathname } = presignerUrl(value)
  if (pathname === '/') return origin
  throw new UsageError('--url must be an origin, without a path, a query or a user name.')
}

/** Returns the URL of a presigner, which may be below a path of an app. Throws UsageError. */
export function presignerUrl(value: string): URL {
  const url = URL.parse(value)
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new UsageError('--url must be a URL, such as https://edge-presigner.example.workers.dev')
  if (url.username === '' && url.search === '' && url.hash === '') return url
  throw new UsageError('--url must have no query and no user name.')
}
