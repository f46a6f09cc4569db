import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import * as z from 'zod/mini'
import type { Issue } from '../src/errors/api-error.ts'
import { parsingError } from './command.ts'
import { fixFor } from './doctor/worker.ts'
import { loadS3, OBJECTS_FOLDER, STATE_FOLDER } from './embedded-bucket.ts'
import { issueInFiles, unknownNames, unknownText } from './env-file.ts'
import { startFront } from './front.ts'
import { LOCAL_CONFIG, writeLocalConfig } from './local-config.ts'
import type { Callers } from './loopback.ts'
import { startOnlyBucket } from './only-bucket.ts'
import { type DevOptions, readOptions, USAGE } from './options.ts'
import { freePort, requireFreePort } from './ports.ts'
import type { S3Server, S3ServerOptions } from './s3-server.ts'
import { waitUntil } from './wait-until.ts'
import { startWorker } from './worker.ts'
import { findConfig, writeConfigForWebhooks } from './worker-config.ts'
import {
  bucketNames,
  hintFor,
  keptS3Secret,
  localKeyFrom,
  randomSecret,
  readVariables,
  type Variables,
  writeWorkerEnv,
} from './worker-env.ts'
import { wranglerProgram } from './wrangler.ts'

const START_SECONDS = 240
/** How often to check that the shell that started this process still runs. */
const PARENT_SECONDS = 1

/** Runs `npx edge-presigner dev` with these arguments. Resolves with the exit code. */
export async function dev(args: readonly string[]): Promise<number> {
  let options: DevOptions
  try {
    options = readOptions(args)
  } catch (error) {
    console.error(`${parsingError(error)}\n${USAGE}`)
    return 1
  }
  if (options.help) {
    console.log(USAGE)
    return 0
  }
  try {
    return await run(options, stopSignal())
  } catch (error) {
    console.error(messageOf(error))
    return 1
  }
}

/**
 * Runs an S3 server and the Worker until `stopped`, or until the Worker ends. Resolves with the
 * exit code.
 */
async function run(options: DevOptions, stopped: Promise<0>): Promise<number> {
  const closers: (() => Promise<void>)[] = []
  try {
    return await start(options, stopped, (started) => closers.unshift(() => started.close()))
  } finally {
    for (const close of closers)
      await close().catch((error: unknown) => console.error(messageOf(error)))
  }
}

/** Writes the configuration for plain `wrangler dev`. Resolves with the exit code. */
async function writeForWrangler(config: string, port: number): Promise<number> {
  const apiKey = await writeLocalConfig(config, port)
  console.log(`Written: ${LOCAL_CONFIG}. Start the Worker, with wrangler's own R2 as its bucket:

  npx wrangler dev -c ${LOCAL_CONFIG}

Then open http://localhost:${port}. The API key, which the page asks for:

  ${apiKey}
`)
  return 0
}

/** Runs the embedded bucket for an app that has the API itself. Resolves with the exit code. */
async function runBucket(
  { s3Port: port, data, origins, bucket = '' }: DevOptions,
  stopped: Promise<0>,
  keep: Keep,
): Promise<number> {
  const s3 = await startOnlyBucket({ file: bucket, port, data, origins })
  keep(s3)
  console.log(`${storageText(s3, data)} ${bucket} has its settings.
Pages: ${pagesText(origins)}.

Ready: ${s3.endpoint} (Ctrl-C to stop)
`)
  return await stopped
}

type Keep = (started: { close(): Promise<void> }) => void

async function start(options: DevOptions, stopped: Promise<0>, keep: Keep): Promise<number> {
  const { port, host, envFile, vars } = options
  if (options.bucket !== undefined) return await runBucket(options, stopped, keep)
  const file = envFile ?? vars
  const config = findConfig(options.all)
  wranglerProgram() // throws if wrangler is missing
  if (options.wrangler) return writeForWrangler(config, port)
  const startS3 = envFile === undefined ? await loadS3(options.ceph) : undefined
  await requireFreePort(port, '--port')
  const given = file === undefined ? {} : await readVariables(resolve(file))
  if (vars !== undefined) refuseBucketIn(vars, given)
  else if (file === undefined && existsSync('.dev.vars')) {
    const hint = hintFor('.dev.vars', await readVariables('.dev.vars'))
    if (hint !== undefined) console.log(hint)
  }
  for (const unknown of unknownNames(given))
    console.warn(`Warning: ${unknownText(file ?? '', unknown)}`)

  console.log(`Starting ${envFile === undefined ? 'the S3 server and ' : ''}the Worker.`)
  const bucketPort = envFile === undefined ? options.s3Port : undefined
  const callers: Callers = { origins: options.origins, loopbackOrigins: true, host, bucketPort }
  const publicHost = `${host ?? 'localhost'}:${port}`
  const origin = `http://${publicHost}`
  const data = resolve(options.data)
  const stateDirectory = join(data, stateFolder(options))
  const runFile = `${stateDirectory}.env`
  const s3 = startS3 && (await startS3(await s3Options(options, origin, runFile)))
  if (s3 !== undefined) keep(s3)

  const apiKey = localKeyFrom(randomSecret())
  await writeWorkerEnv(runFile, { s3, given, apiKey, origin })
  const configFile = given.WEBHOOKS ? `${stateDirectory}.wrangler.json` : config
  if (configFile !== config) await writeConfigForWebhooks(config, configFile)
  const workerPort = await freePort()
  const front = await startFront({
    ...{ port, workerPort, origin, callers, apiKey },
    keyForNetwork: envFile === undefined,
    log: (line) => console.log(line),
  })
  keep(front)
  const worker = await startWorker(
    {
      port: workerPort,
      publicHost,
      envFiles: file === undefined ? [runFile] : [resolve(file), runFile],
      configFile,
      stateDirectory,
    },
    (line) => console.log(line),
  )
  keep(worker)

  const ended = Promise.race([stopped, worker.exited])
  const toText = (issue: Issue) => issueInFiles(issue, file ?? runFile, given)
  let warnings: readonly string[] = []
  const warn = (given: readonly string[]) => {
    warnings = given
  }
  const healthy = waitUntil(
    'The Worker is healthy',
    () => isHealthy(workerPort, toText, warn),
    START_SECONDS,
  )
  try {
    const code = await Promise.race([ended, healthy])
    if (code === 0) return 0
    if (code !== undefined) throw new Error('wrangler dev exited.')
  } catch (error) {
    if (!(error instanceof InvalidSettings)) worker.output.failed()
    throw error
  }
  worker.output.started()
  for (const text of warnings) console.warn(`Warning: ${text}. ${fixFor(text) ?? ''}`.trim())
  console.log(welcome(options, s3, await hasPage(workerPort)))
  return await ended
}

async function s3Options(
  { ceph, s3Port, data, host, origins }: DevOptions,
  origin: string,
  runFile: string,
): Promise<S3ServerOptions> {
  await requireFreePort(s3Port, '--s3-port')
  return {
    port: s3Port,
    directory: join(resolve(data), ceph ? 'ceph' : OBJECTS_FOLDER),
    corsOrigins: [origin, ...origins],
    loopbackOrigins: true,
    host,
    secretAccessKey: await keptS3Secret(runFile),
  }
}

/** Throws an Error if `given` sets what belongs to the embedded S3 server. */
function refuseBucketIn(vars: string, given: Variables): void {
  const [name] = bucketNames(given)
  if (name !== undefined)
    throw new Error(
      `--vars: ${vars} sets ${name}, but this command sets it for the embedded bucket. To use your own bucket, write --env-file.`,
    )
}

/**
 * Returns the folder of the Worker's state. Each bucket has its own, so that the index has no
 * records from another bucket.
 */
function stateFolder({ ceph, envFile }: DevOptions): string {
  if (envFile === undefined) return ceph ? 'ceph-worker' : STATE_FOLDER
  const digest = createHash('sha256').update(resolve(envFile)).digest('hex')
  return `worker-${digest.slice(0, 12)}`
}

const healthSchema = z.object({
  issues: z._default(z.array(z.object({ path: z.string(), message: z.string() })), []),
  warnings: z._default(z.array(z.string()), []),
})

/** The Worker runs, and reports its settings. Nothing in the output of wrangler explains more. */
class InvalidSettings extends Error {}

/**
 * Tells whether the Worker on `port` responds, and passes on its warnings. Throws InvalidSettings if it
 * reports issues.
 */
async function isHealthy(
  port: number,
  toText: (issue: Issue) => string,
  warn: (warnings: readonly string[]) => void,
): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/healthz`, {
    signal: AbortSignal.timeout(5000),
  }).catch(() => undefined)
  if (response?.status !== 200 && response?.status !== 503) return false
  const { data } = healthSchema.safeParse(await response.json().catch(() => undefined))
  if (response.status === 200) {
    warn(data?.warnings ?? [])
    return true
  }
  if (data === undefined) return false
  const issues = data.issues.map((issue) => `  ${toText(issue)}`)
  throw new InvalidSettings(['The settings are not valid.', ...issues].join('\n'))
}

/** Tells whether the Worker on `port` serves the page. */
async function hasPage(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined)
  await response?.body?.cancel()
  return response?.ok === true
}

const storageText = ({ name, endpoint }: S3Server, data: string): string =>
  `Bucket: ${name} at ${endpoint}. Its files are in ${data}.`

const pagesText = (origins: readonly string[]): string =>
  ['localhost on any port', ...origins].join(', ')

/** Returns the summary of what runs, with the URL last. */
function welcome(
  { port, host, envFile, data, origins }: DevOptions,
  s3: S3Server | undefined,
  page: boolean,
): string {
  const storage =
    s3 === undefined
      ? `Bucket: the one in ${envFile}. The file index is local, in ${data}.`
      : storageText(s3, data)
  const network =
    host === undefined
      ? []
      : s3 === undefined
        ? [`Network: http://${host}:${port}, for requests with their own credential.`]
        : [`Network: http://${host}:${port}. Everyone who can reach it can use the bucket.`]
  return [
    storage,
    `Pages: ${pagesText(origins)}.`,
    ...(page ? [] : ['This project has no page at /: there is no [assets] in its configuration.']),
    ...network,
    '',
    `Ready: http://localhost:${port} (Ctrl-C to stop)\n`,
  ].join('\n')
}

/**
 * Resolves at the first signal that asks this process to end. Also resolves when the parent shell
 * ends, since npm forwards SIGTERM only to that shell. Later signals have no effect.
 */
const stopSignal = (): Promise<0> =>
  new Promise((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve(0))
    const parent = process.ppid
    setInterval(() => {
      if (process.ppid !== parent) resolve(0)
    }, PARENT_SECONDS * 1000).unref()
  })

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)
