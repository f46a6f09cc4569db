import { createHash, randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parseEnv } from 'node:util'
import { SCOPES } from '../src/access/scopes.ts'
import type { ApiKey } from '../src/access/settings.ts'
import type { S3Server } from './s3-server.ts'

/** What `randomSecret` makes. */
const SECRET = /^[\w-]{43}$/

/** Variables of the Worker, as a file of `wrangler dev --env-file` has them. */
export type Variables = Readonly<Record<string, string | undefined>>

export interface WorkerEnv {
  /** The embedded S3 server; undefined where `given` names the bucket. */
  readonly s3: S3Server | undefined
  /** The variables of a file that comes before this one. */
  readonly given: Variables
  /** May do everything. */
  readonly apiKey: string
  /** The origin that the proxy in front of the Worker puts in place of those of known pages. */
  readonly origin: string
}

/**
 * Writes the Worker's variables for `wrangler dev --env-file`, readable by this user alone. The
 * signing secret is made once and kept, so that tokens and cursors outlive a restart. Lists in
 * `given` keep their entries.
 */
export async function writeWorkerEnv(
  file: string,
  { s3, given, apiKey, origin }: WorkerEnv,
): Promise<void> {
  const secrets = given.SIGNING_SECRETS
    ? {}
    : { SIGNING_SECRETS: `dev:${await keptSecret(file, /^SIGNING_SECRETS='dev:(.+)'$/m)}` }
  const variables = {
    ...(s3 === undefined ? {} : bucketVariables(s3)),
    ...secrets,
    OPEN_ACCESS: '', // whatever wrangler.toml says
    API_KEYS: JSON.stringify([...listIn(given, 'API_KEYS'), localKey(apiKey)]),
    CORS_ORIGINS: JSON.stringify([...new Set([...listIn(given, 'CORS_ORIGINS'), origin])]),
  }
  const lines = Object.entries(variables).map(([name, value]) => `${name}=${quoted(value)}\n`)
  const text = ['# Written by "npm run dev" at each start.\n', ...lines].join('')
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text, { mode: 0o600 })
  await chmod(file, 0o600) // the mode above counts for a new file only
}

/** Reads a file of variables. Throws an Error that says how to make it where it isn't there. */
export async function readVariables(file: string): Promise<Variables> {
  try {
    return parseEnv(await readFile(file, 'utf8'))
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
    throw new Error(`--env-file: there is no ${file}. docs/development.md shows what it holds.`)
  }
}

/** 256 bits, for one run or as a secret. */
export const randomSecret = (): string => randomBytes(32).toString('base64url')

const bucketVariables = (s3: S3Server): Readonly<Record<string, string>> => ({
  BUCKETS: JSON.stringify({
    files: {
      endpoint: s3.endpoint,
      region: s3.region,
      bucket: s3.bucket,
      addressing: 'path',
      credentials: 'S3',
      uploadCredentials: 'S3_WRITE',
    },
  }),
  S3_ACCESS_KEY_ID: s3.accessKeyId,
  S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
  S3_WRITE_ACCESS_KEY_ID: s3.writer.accessKeyId,
  S3_WRITE_SECRET_ACCESS_KEY: s3.writer.secretAccessKey,
})

const localKey = (apiKey: string): ApiKey => ({
  id: 'localhost',
  sha256: createHash('sha256').update(apiKey).digest('hex'),
  scopes: [...SCOPES],
  prefix: '',
})

/** The entries of a list in JSON; what they hold is up to the Worker's own rules. */
function listIn(variables: Variables, name: string): readonly unknown[] {
  const text = variables[name]
  if (!text) return []
  try {
    const list: unknown = JSON.parse(text)
    if (Array.isArray(list)) return list
  } catch {
    // The message below says it all, without the text.
  }
  throw new Error(`${name} in the file of --env-file must be a list in JSON.`)
}

/** `value` as a file of variables takes it, where `$` must not begin the name of another one. */
const quoted = (value: string): string => `'${value.replaceAll('$', '\\$')}'`

/** The secret of the embedded S3 server, as the file of an earlier run has it. */
export const keptS3Secret = (file: string): Promise<string> =>
  keptSecret(file, /^S3_SECRET_ACCESS_KEY='(.+)'$/m)

/** The secret that `line` finds in the file of an earlier run, or a new one. */
async function keptSecret(file: string, line: RegExp): Promise<string> {
  try {
    const secret = line.exec(await readFile(file, 'utf8'))?.[1]
    return secret !== undefined && SECRET.test(secret) ? secret : randomSecret()
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return randomSecret()
    throw error
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
