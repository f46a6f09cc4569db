import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { DATA_FOLDER, loadS3, OBJECTS_FOLDER, STATE_FOLDER } from '../embedded-bucket.ts'
import {
  DEFAULT_ENV_FILE,
  pairsOf,
  readVariables,
  type Variables,
  type WorkerEnvironment,
} from './environment.ts'
import { type Finding, skip } from './report.ts'

/** The variables of the Worker that `edge-presigner dev` starts, with those of its bucket. */
const DEV_FILE = join(DATA_FOLDER, `${STATE_FOLDER}.env`)

const devVariables = z.object({ S3_SECRET_ACCESS_KEY: z.string(), BUCKETS: z.string() })
const devBuckets = z.object({ files: z.object({ endpoint: z.string() }) })

/** Returns the names of the access keys that `BUCKETS` has, if no access key is set at all. */
export function unsetPairs({ env }: Pick<WorkerEnvironment, 'env'>): readonly string[] {
  const pairs = pairsOf(env)
  const isSet = (name: string) => env[`${name}_ACCESS_KEY_ID`] || env[`${name}_SECRET_ACCESS_KEY`]
  return pairs.some(isSet) ? [] : pairs
}

/** Says that there is no bucket yet, and what to do next. */
export function noBucketYet(pairs: readonly string[]): Finding {
  const next = existsSync(DEV_FILE)
    ? 'Below is the bucket of `npx edge-presigner dev`.'
    : 'To try everything without one, run `npx edge-presigner dev`.'
  return {
    check: 'bucket.own',
    subject: '',
    ...skip(
      `No bucket of your own yet, needed only to deploy. ${next}`,
      `Before you deploy, write its access key into ${DEFAULT_ENV_FILE}: ${pairs.map((name) => `${name}_ACCESS_KEY_ID and ${name}_SECRET_ACCESS_KEY`).join(', ')}.`,
    ),
  }
}

/** The bucket of `edge-presigner dev`, while doctor checks it. */
export interface LocalBucket {
  /** The file with the variables of its Worker. */
  readonly envFile: string
  /** Those variables, and those of the project that `dev` leaves out. */
  readonly secrets: Variables
  close(): Promise<void>
}

/**
 * Returns the bucket of `edge-presigner dev`, and starts it while `dev` doesn't run. Returns undefined if
 * `dev` has never run in this folder.
 */
export async function openLocalBucket(): Promise<LocalBucket | undefined> {
  if (!existsSync(DEV_FILE)) return undefined
  const own = existsSync(DEFAULT_ENV_FILE) ? await readVariables(DEFAULT_ENV_FILE) : {}
  const given = Object.entries(own).filter(([, value]) => value)
  const secrets = { ...Object.fromEntries(given), ...(await readVariables(DEV_FILE)) }
  const { BUCKETS, S3_SECRET_ACCESS_KEY: secretAccessKey } = devVariables.parse(secrets)
  const { endpoint } = devBuckets.parse(JSON.parse(BUCKETS)).files
  const isRunning = await fetch(endpoint).then(
    async ({ body }) => {
      await body?.cancel()
      return true
    },
    () => false,
  )
  if (isRunning) return { envFile: DEV_FILE, secrets, close: async () => {} }
  const start = await loadS3(false)
  const { port, hostname } = new URL(endpoint)
  const { close } = await start({
    ...{ port: Number(port), host: hostname, secretAccessKey },
    directory: join(DATA_FOLDER, OBJECTS_FOLDER),
    corsOrigins: ['http://localhost'],
    loopbackOrigins: true,
  })
  return { envFile: DEV_FILE, secrets, close }
}
