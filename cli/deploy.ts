/**
 * `npx edge-presigner deploy`: doctor, `wrangler secret bulk`, `wrangler deploy` and /healthz, one after
 * another. docs/deploy.md describes it.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseEnv } from 'node:util'
import * as z from 'zod/mini'
import type { Scope } from '../src/access/scopes.ts'
import type { ApiKey } from '../src/plugins/api-keys/options.ts'
import { parseOptions, UsageError } from './command.ts'
import { configName } from './config-name.ts'
import {
  DEFAULT_ENV_FILE,
  pairsOf,
  readConfig,
  readVariables,
  type Variables,
} from './doctor/environment.ts'
import { secondsIn, workerUrl } from './doctor/options.ts'
import { fail, type Result } from './doctor/report.ts'
import { NoAnswer, type Requests, requestsUntil, Stopped } from './doctor/requests.ts'
import { checkHealth } from './doctor/worker.ts'
import { ask, ownTable, runChecks } from './doctor.ts'
import { NO_SETTING, whyNotSent } from './env-file.ts'
import {
  changeOfSecrets,
  checkSize,
  commandFor,
  deployedSecrets,
  digestOf,
  KEYS_FILE,
  newKey,
  parseKeys,
  readKeys,
  setSecrets,
  writeKeys,
} from './keys.ts'
import { LOCAL_R2_PATH } from './local-config.ts'
import { replaceText, requireIgnored, requireText, textIfThere } from './replace-text.ts'
import { shellWord } from './shell-word.ts'
import { runWrangler, wranglerProgram } from './wrangler.ts'

/** The usage of `npx edge-presigner deploy`. */
export const USAGE = `npx edge-presigner deploy [--yes] [--dry-run] [--skip-doctor] [--env NAME] [--config FILE]
                          [--env-file FILE] [--keys-file FILE] [--admin NAME] [--prefix PREFIX/]
                          [--no-key] [--replace-all] [--out FILE] [--url URL] [--timeout SECONDS]

Checks the settings and the bucket, sends the secrets, deploys the Worker and checks it. Asks before
each step.

--yes             does not ask
--dry-run         needs no account, and writes nothing, also not to the bucket: checks what it can, builds
                  the Worker, and shows what else would happen
--skip-doctor     does not check the bucket and its CORS rules
--env NAME        an environment of the configuration, [env.NAME]
--config FILE     the configuration (wrangler.toml, or as wrangler finds it)
--env-file FILE   the file with the secrets (.dev.vars)
--keys-file FILE  the list of API keys (api-keys.json)
--admin NAME      NAME_ACCESS_KEY_ID and NAME_SECRET_ACCESS_KEY read and write the CORS rules
--prefix PREFIX/  the folder that the new API key of your app may access (users/); "" is every folder
--no-key          creates no API key
--replace-all     replaces a list of API keys that was set in another way
--out FILE        the file for your app's server (.env.presigner, with --env .env.presigner.NAME)
--url URL         where the Worker answers, if it has several hosts
--timeout SECONDS to wait for /healthz (60)`

const defaultConfig = (): string => configName() ?? 'wrangler.toml'
const APP_KEY_ID = 'app'
/** What an app's server does with its key: it creates tokens, and can give them these scopes. */
const APP_SCOPES: readonly Scope[] = [
  'tokens:create',
  'files:upload',
  'files:read',
  'files:list',
  'files:delete',
  'links:create',
]
/** The first line of a file that deploy may replace. */
const FIRST_LINE = `# Written by "npx edge-presigner deploy" for your app's server. Never commit this file.`
const AGAIN = 'run `npx edge-presigner deploy` again'
const MAX_TIMEOUT_SECONDS = 600
/** The longest time that a queue can keep its messages: 14 days. The free plan has 24 hours. */
const RETENTION_SECONDS = 1_209_600
const PAUSE_MILLISECONDS = 1000
const REQUEST_SECONDS = 10

type Options = ReturnType<typeof readOptions>

/** Runs `npx edge-presigner deploy` with these arguments. Resolves with the exit code. */
export async function deploy(args: readonly string[]): Promise<number> {
  try {
    const options = readOptions(args)
    if (options.help) console.log(USAGE)
    else await deployAll(options)
    return 0
  } catch (error) {
    if (error instanceof Stopped) return 130
    if (!(error instanceof UsageError)) throw error
    console.error(`\n${error.message}`)
    return 1
  }
}

function readOptions(args: readonly string[]) {
  const { values } = parseOptions(
    {
      // The script in package.json ends with `--`. Without it, Node would read `--env-file` itself.
      args: args[0] === '--' ? args.slice(1) : [...args],
      options: {
        help: { type: 'boolean', default: false },
        yes: { type: 'boolean', default: false },
        'dry-run': { type: 'boolean', default: false },
        'skip-doctor': { type: 'boolean', default: false },
        env: { type: 'string' },
        config: { type: 'string', default: defaultConfig() },
        'env-file': { type: 'string' },
        'keys-file': { type: 'string' },
        admin: { type: 'string' },
        prefix: { type: 'string', default: 'users/' },
        'no-key': { type: 'boolean', default: false },
        'replace-all': { type: 'boolean', default: false },
        out: { type: 'string' },
        url: { type: 'string' },
        timeout: { type: 'string', default: '60' },
      },
    },
    USAGE,
  )
  const env = values.env ?? (process.env.CLOUDFLARE_ENV || undefined) // as for wrangler
  return {
    ...values,
    env,
    url: values.url === undefined ? undefined : workerUrl(values.url),
    out: values.out ?? ['.env.presigner', ...(env ? [env] : [])].join('.'),
    timeoutSeconds: secondsIn(values.timeout, MAX_TIMEOUT_SECONDS),
    /** The options with which wrangler finds the Worker. */
    where: [...['--config', values.config], ...(env === undefined ? [] : ['--env', env])],
  }
}

async function deployAll(options: Options): Promise<void> {
  const { where, yes, 'dry-run': isDry, 'skip-doctor': skipsDoctor } = options
  if (!yes && !isDry && !(process.stdin.isTTY && process.stdout.isTTY))
    throw new UsageError(
      'deploy asks before each step, and this is no terminal. Add --yes, or --dry-run.',
    )
  const plan = await readPlan(options)
  const existing = isDry ? [] : await deployedSecrets(where)

  step(1, 'Check the settings and the bucket')
  if (skipsDoctor) console.log('Skipped.')
  else {
    const skip = 'To leave out this step, add --skip-doctor.'
    await agree(options, 'Run doctor, which writes and deletes a few small objects?', skip)
    await runDoctor(options, plan.checked)
  }

  step(2, 'Send the secrets')
  const change = changeFor(plan, existing, options)
  console.log(describe(plan, change, options).join('\n'))
  if (Object.keys(change).length > 0) {
    await agree(options, 'Send them?', 'Nothing was sent or deployed.')
    if (!isDry) {
      await requireUnchanged(plan, existing, where)
      await keepNewSecrets(plan, change)
      await setSecrets(change, where)
      console.log('Sent.')
    }
  }

  step(3, isDry ? 'Build the Worker, without deploying it' : 'Deploy the Worker')
  await agree(
    options,
    'Run `wrangler deploy`?',
    'The Worker has its secrets, but was not deployed.',
  )
  const targets = await wranglerDeploy(options)
  for (const queue of plan.deadLetterQueues) await keepDeadLetters(queue, options)

  step(4, 'Ask the Worker for /healthz')
  if (isDry)
    return console.log(
      `Left out in a dry run. If the Worker is healthy, PRESIGNER_URL and PRESIGNER_KEY are written to ${options.out}.`,
    )
  const url = options.url ?? originAmong(targets, plan.linkHost)
  if (url === undefined)
    throw new UsageError(
      `The Worker is deployed, but wrangler names no host of it. Add --url URL, and ${AGAIN}.`,
    )
  await waitForHealth(url, options.timeoutSeconds)
  await writeForApp(plan, url)

  step(5, 'Check the Worker and the CORS rules of its page')
  const isChecked = !skipsDoctor && (await checkDeployed(options, plan.checked, url))
  if (skipsDoctor) console.log('Skipped.')
  sayNext(plan, change, isChecked ? undefined : checkCommand(options, url))
}

/** Checks what only a deployed Worker shows, and offers rules for its own host. Tells whether all is well. */
async function checkDeployed(options: Options, secrets: Variables, url: string): Promise<boolean> {
  const { ok } = await runChecks({ ...checksFor(options), url }, secrets, 'deployed')
  return ok
}

/** Returns the command that checks the deployed Worker, with the options that find the same files. */
function checkCommand(options: Options, url: string): string {
  const { config, env, 'env-file': envFile } = options
  const words = [
    ...['npx', 'edge-presigner', 'doctor', '--fix-cors', '--url', url],
    ...(config === defaultConfig() ? [] : ['--config', config]),
    ...(env ? ['--env', env] : []),
    ...(envFile === undefined ? [] : ['--env-file', envFile]),
  ]
  return words.map(shellWord).join(' ')
}

const step = (number: number, title: string): void => console.log(`\n${number}. ${title}\n`)

/** Asks a question, unless the user has agreed to everything. Throws UsageError after a no. */
async function agree(
  { yes, 'dry-run': isDry }: Options,
  question: string,
  afterNo: string,
): Promise<void> {
  if (yes || isDry || (await ask(question))) return
  throw new UsageError(`Stopped. ${afterNo} To continue, ${AGAIN}.`)
}

/** What a deployment needs from the files of the project. */
interface Plan {
  readonly envFile: string
  /** The files and their texts, undefined for a missing file. */
  readonly texts: ReadonlyMap<string, string | undefined>
  /** The secrets in that file that the deployed Worker gets. */
  readonly secrets: Variables
  /** The names in it that the Worker doesn't get, and why. */
  readonly notSent: readonly string[]
  /** What doctor reads instead of that file. */
  readonly checked: Variables
  /** A value for SIGNING_SECRETS, if the file has none. */
  readonly newSigningSecrets: string | undefined
  readonly keysFile: string
  /** The list of API keys, with a new one; undefined without a list. */
  readonly keys: readonly ApiKey[] | undefined
  readonly appFile: string
  readonly appKey: AppKey
  readonly linkHost: string | undefined
  /** The names of the queues that get what the Worker's own queues give up. */
  readonly deadLetterQueues: readonly string[]
}

interface AppKey {
  /** The key for the app's server, if deploy knows it. */
  readonly key?: string
  /** The new entry of the list. */
  readonly entry?: ApiKey
  /** Why deploy doesn't know a key. */
  readonly why?: string
}

/** Reads the project, and refuses what would fail later. Changes nothing. */
async function readPlan(options: Options): Promise<Plan> {
  const { config, env: environment, admin, out: appFile } = options
  const { vars, queues } = await readConfig({ config, environment })
  if (JSON.stringify(vars.BUCKETS ?? '').includes(LOCAL_R2_PATH))
    throw new UsageError(
      `${config} is only for \`wrangler dev\`: its bucket is the one of wrangler on this machine. Deploy ${defaultConfig()}.`,
    )
  const envFile = options['env-file'] ?? DEFAULT_ENV_FILE
  const isGiven = options['env-file'] !== undefined || existsSync(envFile)
  const keysFile = options['keys-file'] ?? join(dirname(config), KEYS_FILE)
  const texts = new Map<string, string | undefined>()
  for (const file of [envFile, keysFile, appFile]) texts.set(file, await textIfThere(file))
  const given = Object.entries(isGiven ? await readVariables(envFile) : {}).filter(
    ([, value]) => value,
  )
  const pairs = pairsOf(vars)
  const whyNot = new Map(given.map(([name]) => [name, whyNotSent(name, pairs)]))
  const secrets: Variables = Object.fromEntries(given.filter(([name]) => !whyNot.get(name)))
  // Doctor also reads the access key for CORS rules, and reports names that are no setting.
  const onlyChecked = given.filter(
    ([name]) =>
      whyNot.get(name) === NO_SETTING || (admin !== undefined && name.startsWith(`${admin}_`)),
  )
  const newSigningSecrets = secrets.SIGNING_SECRETS
    ? undefined
    : `k1:${randomBytes(32).toString('hex')}`

  const list = await readKeys(keysFile)
  const appKey = keyForApp(list, keysFile, readAppKey(appFile, texts.get(appFile)), options)
  const { entry } = appKey
  const keys =
    entry !== undefined ? parseKeys([...list, entry]) : existsSync(keysFile) ? list : undefined
  if (keys !== undefined) checkSize(keys, keysFile)
  if (appKey.key !== undefined) await requireIgnored(appFile)
  const linkOrigin = z.safeParse(z.string(), vars.LINK_ORIGIN).data ?? ''
  return {
    envFile,
    texts,
    secrets,
    notSent: [...whyNot].flatMap(([name, why]) => (why === null ? [] : [`${name} (${why})`])),
    checked: {
      ...Object.fromEntries(onlyChecked),
      ...(newSigningSecrets && { SIGNING_SECRETS: newSigningSecrets }),
      ...secrets,
      ...(keys && { API_KEYS: JSON.stringify(keys) }),
    },
    newSigningSecrets,
    keysFile,
    keys,
    appFile,
    appKey,
    linkHost: URL.parse(linkOrigin)?.host,
    deadLetterQueues: [
      ...new Set(queues.consumers.flatMap(({ dead_letter_queue: name }) => name ?? [])),
    ],
  }
}

/** Returns the key for the app's server: the one in its file, a new one, or why there is none. */
function keyForApp(
  list: readonly ApiKey[],
  file: string,
  kept: string | undefined,
  { prefix, 'no-key': noKey }: Options,
): AppKey {
  const isListed = (digest: string) => list.some(({ sha256 }) => [sha256].flat().includes(digest))
  if (kept !== undefined && isListed(digestOf(kept))) return { key: kept }
  const other = list.find(({ scopes }) => scopes.includes('tokens:create'))
  if (other !== undefined)
    return {
      why: `Its key is the one of "${other.id}", which was shown once. If you have lost it, run \`${commandFor(`rotate ${other.id}`, { file })}\`.`,
    }
  if (noKey) return { why: `For a key, run \`${commandFor('create', { file })}\`.` }
  if (isInCi())
    return {
      why: 'In CI, deploy creates no API key, since nobody would get it. Run it once on your machine, and commit the list of keys.',
    }
  let id = APP_KEY_ID
  for (let n = 2; list.some((key) => key.id === id); n += 1) id = `${APP_KEY_ID}-${n}`
  const key = newKey(id)
  const entry = { id, sha256: digestOf(key), scopes: [...APP_SCOPES], prefix }
  return { key, entry }
}

/** CI deletes the files of a run, and may show its output to many people. */
const isInCi = (): boolean => !['', '0', 'false'].includes(process.env.CI ?? '')

/** Returns the key in a file of an earlier run. Throws UsageError for a file from elsewhere. */
function readAppKey(file: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  if (text.split(/\r?\n/)[0] !== FIRST_LINE)
    throw new UsageError(
      `${file} exists, and deploy did not write it. Name another file with --out FILE.`,
    )
  return parseEnv(text).PRESIGNER_KEY
}

/** Returns the options of doctor for the same project. */
function checksFor(options: Options) {
  const { config, env: environment, admin, yes, 'dry-run': isDry } = options
  return {
    ...{ config, environment, admin, yes, envFile: options['env-file'] },
    fixCors: !isDry,
    ...{ bucket: undefined, url: undefined, json: false, report: false },
    timeoutSeconds: REQUEST_SECONDS,
  }
}

/** Runs doctor. Throws UsageError if a check fails. */
async function runDoctor(options: Options, secrets: Variables): Promise<void> {
  const { 'dry-run': isDry } = options
  const report = await runChecks(checksFor(options), secrets, isDry ? 'dry' : 'all')
  if (isDry)
    console.log(
      'A dry run writes nothing to the bucket: `npx edge-presigner doctor` checks the rest.',
    )
  const failed = report.findings.filter(({ status }) => status === 'fail')
  if (failed.length === 0) return
  if (isDry && failed.every(({ check }) => check === 'bucket.cors'))
    return console.log('Without --dry-run, deploy offers to write the CORS rules.')
  throw new UsageError(`Nothing was sent or deployed. Fix each "fail" above, and ${AGAIN}.`)
}

type Change = Readonly<Record<string, string | null>>

/** Returns the secrets to send to a Worker that has the secrets `existing`. */
function changeFor(plan: Plan, existing: readonly string[], options: Options): Change {
  const { secrets, newSigningSecrets, keys, keysFile: file } = plan
  const { env, config, where, 'replace-all': replaceAll } = options
  const isDefault = config === defaultConfig()
  const shown = isDefault ? where.slice(2) : where
  const command = ['npx edge-presigner deploy', ...shown.map(shellWord)].join(' ')
  const accepted = { remove: '', restore: '', 'replace-all': replaceAll, command }
  // What an existing secret has signed would be invalid with another one.
  const SIGNING_SECRETS = existing.includes('SIGNING_SECRETS')
    ? undefined
    : (secrets.SIGNING_SECRETS ?? newSigningSecrets)
  const change = Object.entries({ ...secrets, SIGNING_SECRETS }).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  )
  const isEmpty = keys?.length === 0 && !existing.some((name) => name.startsWith('API_KEYS_'))
  const ofKeys =
    keys === undefined || isEmpty
      ? {}
      : changeOfSecrets(keys, existing, {
          ...accepted,
          ...{ file, env, config: isDefault ? undefined : config },
        })
  return { ...Object.fromEntries(change), ...ofKeys }
}

/** Describes the second step, without a secret. */
function describe(plan: Plan, change: Change, options: Options): string[] {
  const { 'dry-run': isDry, env, 'env-file': ownFile } = options
  const { keys = [], keysFile, appKey, appFile, envFile, notSent } = plan
  const names = Object.keys(change).filter((name) => !name.startsWith('API_KEYS_'))
  const ids = keys.map(({ id }) => id).join(', ')
  const { SIGNING_SECRETS } = change
  return [
    names.length === 0
      ? 'There is nothing to send.'
      : `To the Worker: ${names.map((name) => (name === 'API_KEYS' ? `API_KEYS (${ids})` : name)).join(', ')}.`,
    SIGNING_SECRETS === undefined
      ? 'SIGNING_SECRETS stays as it is: the Worker has it.'
      : `${isNewSigning(plan, change) ? `New: SIGNING_SECRETS, also written to ${envFile}.` : ''}${isDry ? ' SIGNING_SECRETS is sent only if the Worker has none.' : ''}`.trim(),
    SIGNING_SECRETS !== undefined && env && ownFile === undefined
      ? `Warning: ${envFile} is not only for ${env}. Workers with the same SIGNING_SECRETS accept each other's links and tokens. Name another file with --env-file.`
      : '',
    appKey.entry === undefined
      ? ''
      : `New: the API key "${appKey.entry.id}" of your app's server, for ${appKey.entry.prefix || 'every folder'}. ${keysFile} gets its digest, ${appFile} the key.`,
    notSent.length === 0 ? '' : `Not sent: ${notSent.join(', ')}.`,
  ].filter((line) => line !== '')
}

const isNewSigning = ({ newSigningSecrets }: Plan, { SIGNING_SECRETS }: Change): boolean =>
  SIGNING_SECRETS !== undefined && SIGNING_SECRETS === newSigningSecrets

/**
 * Throws UsageError if a file or the Worker's secrets have changed since they were read, while doctor ran
 * or a question waited. What someone else has just set would be lost.
 */
async function requireUnchanged(
  { texts }: Plan,
  existing: readonly string[],
  where: readonly string[],
): Promise<void> {
  const now = await deployedSecrets(where)
  if (now.toSorted().join() !== existing.toSorted().join())
    throw new UsageError(
      `The Worker's secrets have changed in the meantime. Nothing was sent or deployed. To continue, ${AGAIN}.`,
    )
  for (const [file, text] of texts) await requireText(file, text)
}

/**
 * Writes the new secrets to the files of the user, before the Worker gets them. After a failure, the
 * next run uses the same ones.
 */
async function keepNewSecrets(plan: Plan, change: Change): Promise<void> {
  const { envFile, keysFile, keys, appFile, appKey, texts } = plan
  if (isNewSigning(plan, change)) await requireIgnored(envFile)
  // First, since it can be there only once: of two runs at the same time, one stops here.
  if (appKey.entry !== undefined) await writeAppFile(appFile, texts.get(appFile), '', appKey.key)
  if (isNewSigning(plan, change)) {
    const text = texts.get(envFile) ?? ''
    const others = text.replace(/^SIGNING_SECRETS=.*(?:\n|$)/m, '').replace(/(?<!\n)$/, '\n')
    const line = `SIGNING_SECRETS=${change.SIGNING_SECRETS}\n`
    const next = others.trim() === '' ? line : others + line
    await replaceText(envFile, texts.get(envFile), next, 0o600)
  }
  if (appKey.entry !== undefined) await writeKeys(keysFile, keys)
}

/** Writes the variables of the app's server into a file that only this user can read. */
async function writeAppFile(
  file: string,
  before: string | undefined,
  url: string,
  key: string | undefined,
): Promise<void> {
  const others = (before ?? '').replace(/^(?:# Written by |PRESIGNER_(?:URL|KEY)=).*(?:\n|$)/gm, '')
  const lines = [FIRST_LINE, `PRESIGNER_URL=${url}`, `PRESIGNER_KEY=${key}`, others]
  await replaceText(file, before, lines.join('\n'), 0o600)
}

/** Lets a dead-letter queue keep its messages as long as it can: they wait there for a person. */
async function keepDeadLetters(queue: string, options: Options): Promise<void> {
  if (options['dry-run']) return console.log(`Then ${queue} would keep its messages for 14 days.`)
  const args = ['queues', 'update', queue, `--message-retention-period-secs=${RETENTION_SECONDS}`]
  const { ok } = await runWrangler([...args, ...options.where])
  console.log(
    ok
      ? `${queue} keeps its messages for 14 days.`
      : `${queue} keeps its messages for 24 hours on the free plan. On the paid plan, run: npx wrangler ${args.join(' ')}`,
  )
}

const outputLine = z.object({ type: z.literal('deploy'), targets: z.array(z.string()) })

/** Runs `wrangler deploy` on this terminal. Returns what it says about the Worker's hosts. */
async function wranglerDeploy({ where, yes, 'dry-run': isDry }: Options): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  const output = join(directory, 'output.json')
  try {
    const code = await new Promise((resolve) => {
      const args = [wranglerProgram(), 'deploy', ...(isDry ? ['--dry-run'] : []), ...where]
      const child = spawn(process.execPath, args, {
        // Without a terminal as its input, wrangler asks nothing.
        stdio: [yes || isDry ? 'ignore' : 'inherit', 'inherit', 'inherit'],
        env: { ...process.env, WRANGLER_OUTPUT_FILE_PATH: output },
        windowsHide: true,
      })
      child.once('error', resolve)
      child.once('exit', resolve)
    })
    if (code !== 0)
      throw new UsageError(
        `wrangler deploy failed. Fix what it reports above, and ${AGAIN}.${isDry ? '' : ' The Worker has its secrets already.'}`,
      )
    const lines = isDry ? [] : (await readFile(output, 'utf8')).trim().split('\n')
    return lines.flatMap((line) => outputLine.safeParse(JSON.parse(line)).data?.targets ?? [])
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** How wrangler writes a custom domain, a route to a whole host, and a workers.dev host. */
const TARGETS = [/^([^\s/*]+) \(custom domain/, /^([^\s/*]+)\/\*(?: \(|$)/, /^(https?:\/\/[^\s/]+)/]

/** Returns the origin of the API among the targets of a deployment. The host of links has no API. */
export function originAmong(
  targets: readonly string[],
  linkHost: string | undefined,
): string | undefined {
  const origins = TARGETS.flatMap((pattern) =>
    targets.flatMap((target) => {
      const host = pattern.exec(target)?.[1]
      if (host === undefined) return []
      return URL.parse(/^https?:/.test(host) ? host : `https://${host}`) ?? []
    }),
  )
  return origins.find(({ host }) => host !== linkHost)?.origin
}

/** Waits until the Worker is healthy. A new host needs some time. */
async function waitForHealth(url: string, seconds: number): Promise<void> {
  const requests = requestsUntil(new AbortController().signal, REQUEST_SECONDS)
  const deadline = Date.now() + seconds * 1000
  for (let tries = 1; ; tries += 1) {
    const results = await healthOf(url, requests)
    const failed = results.find(({ status }) => status === 'fail')
    if (failed === undefined || Date.now() > deadline) {
      const findings = results.map((one) => ({ check: 'url.health', subject: url, ...one }))
      console.log(ownTable().rows(`Worker ${url}`, findings))
      if (failed === undefined) return
      throw new UsageError(
        `The Worker is deployed, but not healthy. Fix each "fail" above, and ${AGAIN}.`,
      )
    }
    if (tries === 1) console.log(`Waiting for ${url}, up to ${seconds} seconds: ${failed.message}`)
    await delay(PAUSE_MILLISECONDS)
  }
}

async function healthOf(url: string, requests: Requests): Promise<Result[]> {
  try {
    return checkHealth(await requests.send(`${url}/healthz`), url)
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error
    return [fail(`/healthz does not answer: ${error.message}`, 'Check the host and its DNS.')]
  }
}

/** Writes the file of the app's server. */
async function writeForApp({ appFile, appKey }: Plan, url: string): Promise<void> {
  if (appKey.key === undefined) return console.log(`\nPRESIGNER_URL is ${url}. ${appKey.why}`)
  await writeAppFile(appFile, await textIfThere(appFile), url, appKey.key)
  console.log(
    `\nWrote PRESIGNER_URL and PRESIGNER_KEY to ${appFile}. Set both for your app's server.`,
  )
  // A log is not for secrets, and some CI systems have a terminal.
  if (process.stdout.isTTY && !isInCi())
    console.log(`\n  PRESIGNER_URL=${url}\n  PRESIGNER_KEY=${appKey.key}`)
}

/** Says what is left to do. `check` is the command that checks the Worker, unless it is well. */
function sayNext(plan: Plan, change: Change, check: string | undefined): void {
  const { appKey, keysFile, envFile } = plan
  const next = [
    ...(appKey.entry === undefined ? [] : [`Commit ${keysFile}: it contains only digests.`]),
    ...(isNewSigning(plan, change)
      ? [`Keep SIGNING_SECRETS of ${envFile} in a password manager.`]
      : []),
    ...(check === undefined ? [] : [`Check the Worker, and the CORS rules of its page: ${check}`]),
  ]
  if (next.length > 0) console.log(`\nNext:\n${next.map((line) => `- ${line}`).join('\n')}`)
}

if (import.meta.main) process.exitCode = await deploy(process.argv.slice(2))
