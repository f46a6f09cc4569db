import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type BucketOptions, checkBucket, type Part } from '../../../cli/doctor/bucket.ts'
import type { Consent } from '../../../cli/doctor/cors.ts'
import type { Finding, Status } from '../../../cli/doctor/report.ts'
import { type Requests, requestsUntil } from '../../../cli/doctor/requests.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { READER, WRITER } from './wrong-server.ts'

const PROGRAM = join(import.meta.dirname, '../../../cli/doctor.ts')
const CONFIG = join(import.meta.dirname, '../../../wrangler.toml')

export const READER_SECRET = 'reader/secret+0123456789'
export const WRITER_SECRET = 'writer/secret+0123456789'
export const SIGNING_SECRET = '0f1e2d3c4b5a69788796a5b4c3d2e1f0'
export const ORIGIN = 'https://app.example.com'

export type Variables = Readonly<Record<string, string | undefined>>

/** Returns the variables of a Worker whose bucket "files" is at `endpoint`. */
export const variables = (endpoint: string, bucket: object = {}): Variables => ({
  BUCKETS: JSON.stringify({
    files: {
      endpoint,
      region: 'us-east-1',
      bucket: 'files',
      credentials: 'S3',
      uploadCredentials: 'S3_WRITE',
      conditionalPut: true,
      conditionalReplace: true,
      conditionalComplete: true,
      ...bucket,
    },
  }),
  CORS_ORIGINS: JSON.stringify([ORIGIN]),
  S3_ACCESS_KEY_ID: READER,
  S3_SECRET_ACCESS_KEY: READER_SECRET,
  S3_WRITE_ACCESS_KEY_ID: WRITER,
  S3_WRITE_SECRET_ACCESS_KEY: WRITER_SECRET,
  SIGNING_SECRETS: `k1:${SIGNING_SECRET}`,
  API_KEYS: JSON.stringify([
    { id: 'ci', sha256: 'a'.repeat(64), scopes: ['files:read'], prefix: 'team-a/' },
  ]),
})

/** Tells which requests the server never answers. */
export type Hangs = (method: string, path: string) => boolean

/** How long doctor waits for what never comes, which only real time can show. */
export const NEVER_SECONDS = 0.3

/**
 * Sends doctor's requests. Only those that hang have a short deadline, since a busy machine may
 * answer the others late.
 */
export function patientRequests(hangs: Hangs = () => false): Requests {
  const never = new AbortController().signal
  const [patient, impatient] = [requestsUntil(never, 240), requestsUntil(never, NEVER_SECONDS)]
  return {
    send(url, options) {
      const isDeaf = hangs(options?.method ?? 'GET', new URL(url).pathname)
      return (isDeaf ? impatient : patient).send(url, options)
    },
  }
}

export interface BucketRun {
  readonly part?: Part
  readonly hangs?: Hangs
  readonly consent?: Consent
  readonly onFinding?: (finding: Finding) => void
  readonly dropBoxOrigins?: readonly string[]
  /** Whether UPKEEP is set. */
  readonly upkeep?: boolean
  /** The access key of `upkeepCredentials`. */
  readonly walker?: BucketOptions['upkeep']['walker']
}

/** Runs doctor for the bucket of `settings`, in this process. */
export async function findingsOf(settings: Variables, run: BucketRun = {}): Promise<Finding[]> {
  const { part = 'all', hangs, consent, onFinding } = run
  const { dropBoxOrigins = [], upkeep = false, walker = null } = run
  const loaded = loadEnvironment({ ...settings, FILE_INDEX: {}, RATE_LIMITER: {} })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues))
  const { buckets, corsOrigins } = loaded.settings
  const findings: Finding[] = []
  await checkBucket({
    part,
    bucket: buckets[0],
    names: { reads: 'S3', uploads: 'S3_WRITE' },
    upkeep: { isOn: upkeep, walker },
    admin: undefined,
    origins: corsOrigins,
    dropBoxOrigins,
    requests: patientRequests(hangs),
    cleaningRequests: patientRequests(hangs),
    consent,
    tell: (...found) => {
      findings.push(...found)
      for (const finding of found) onFinding?.(finding)
    },
  })
  return findings
}

/** Returns the status of each check, by its name without the group. */
export const statuses = (findings: readonly Finding[]): Record<string, Status> =>
  Object.fromEntries(findings.map(({ check, status }) => [check.replace(/^\w+\./, ''), status]))

export interface Program {
  readonly pid: number
  readonly ended: Promise<{
    readonly code: number | null
    readonly stdout: string
    readonly stderr: string
  }>
}

/** Starts `npx edge-presigner doctor` with an env file of `settings`, in its own folder. */
export async function startDoctor(settings: Variables, ...args: string[]): Promise<Program> {
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  const lines = Object.entries(settings).map(([name, value]) => `${name}='${value}'\n`)
  await writeFile(join(directory, '.dev.vars'), lines.join(''))
  const config = args.includes('--config') ? [] : ['--config', CONFIG]
  const child = spawn(process.execPath, [PROGRAM, '--', ...config, ...args], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = Promise.all([text(child.stdout), text(child.stderr)])
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const end = async () => {
    const [stdout, stderr] = await output
    const code = await exit
    await rm(directory, { recursive: true })
    return { code, stdout, stderr }
  }
  return { pid: child.pid ?? 0, ended: end() }
}

/** Runs doctor until it ends. */
export const runDoctor = async (settings: Variables, ...args: string[]) =>
  (await startDoctor(settings, ...args)).ended
