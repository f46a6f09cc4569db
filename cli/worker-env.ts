import { createHash, randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parseEnv } from 'node:util'
import { KEY_SCOPES } from '../src/access/scopes.ts'
import type { ApiKey } from '../src/plugins/api-keys/options.ts'
import type { S3Server } from './s3-server.ts'

/** The format of `randomSecret`. */
const SECRET = /^[\w-]{43}$/

/** Variables of the Worker, as in a file for `wrangler dev --env-file`. */
export type Variables = Readonly<Record<string, string | undefined>>

export interface WorkerEnv {
  /** The embedded S3 server, or undefined if `given` names the bucket. */
  readonly s3: S3Server | undefined
  /** The variables of the developer's file, which wrangler reads before this one. */
  readonly given: Variables
  /** A key with all scopes. */
  readonly apiKey: string
  /** The origin that the proxy sends to the Worker for all known pages. */
  readonly origin: string
}

/**
 * Writes the Worker's variables for `wrangler dev --env-file`, readable only by this user. The
 * signing secret is kept between runs, so that tokens and cursors stay valid after a restart. Lists
 * in `given` keep their entries.
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
    OPEN_ACCESS: '', // overrides wrangler.toml
    API_KEYS: jsonText([...listIn(given, 'API_KEYS'), localKey(apiKey)]),
    CORS_ORIGINS: jsonText([...new Set([...listIn(given, 'CORS_ORIGINS'), origin])]),
  }
  const lines = Object.entries(variables).map(([name, value]) => `${name}='${value}'\n`)
  const text = ['# Written by "edge-presigner dev" at each start.\n', ...lines].join('')
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text, { mode: 0o600 })
  await chmod(file, 0o600) // the mode above applies only to a new file
}

/** Reads a file of variables. If it is missing, throws an Error that names the docs. */
export async function readVariables(file: string): Promise<Variables> {
  try {
    return parseEnv(await readFile(file, 'utf8'))
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
    throw new Error(
      `${file} is missing. https://github.com/edge-presigner/edge-presigner/blob/main/docs/try.md#a-real-bucket shows its content.`,
    )
  }
}

/** Returns the names in a file that set a bucket or its access keys. */
export const bucketNames = (given: Variables): string[] =>
  Object.entries(given).flatMap(([name, value]) =>
    value && (name === 'BUCKETS' || /^S3_/.test(name)) ? [name] : [],
  )

/**
 * Returns how to use a file that `dev` has found and doesn't read. Returns undefined if it would change
 * nothing: a new project has only a signing secret, and `dev` has its own.
 */
export function hintFor(file: string, given: Variables): string | undefined {
  if (bucketNames(given).length > 0)
    return `Using a bucket on this machine. For the one of ${file}, add --env-file ${file}.`
  const others = Object.keys(given).filter((name) => given[name] && name !== 'SIGNING_SECRETS')
  return others.length === 0
    ? undefined
    : `Not used: ${others.join(', ')} of ${file}. To use the file, add --vars ${file}.`
}

/** Returns `value` if it is from `randomSecret`. */
export const readSecret = (value: string | undefined): string | undefined =>
  value !== undefined && SECRET.test(value) ? value : undefined

/** Returns a random secret of 256 bits. */
export const randomSecret = (): string => randomBytes(32).toString('base64url')

const bucketVariables = (s3: S3Server): Readonly<Record<string, string>> => ({
  BUCKETS: jsonText({
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

/** The id of the API key of `dev`. Only its developer has it. */
export const LOCAL_KEY_ID = 'localhost'

/** Returns the local API key with this secret. */
export const localKeyFrom = (secret: string): string => `ep_${LOCAL_KEY_ID}_${secret}`

/** Returns the entry of the local API key, which has all scopes. */
export const localKey = (apiKey: string): ApiKey => ({
  id: LOCAL_KEY_ID,
  sha256: createHash('sha256').update(apiKey).digest('hex'),
  scopes: [...KEY_SCOPES],
  prefix: '',
})

/** Returns the entries of a JSON list. The Worker's own rules check the entries. */
function listIn(variables: Variables, name: string): readonly unknown[] {
  const text = variables[name]
  if (!text) return []
  try {
    const list: unknown = JSON.parse(text)
    if (Array.isArray(list)) return list
  } catch {
    // The message below is enough. The parser's message could contain secrets.
  }
  throw new Error(`${name} in your file must be a JSON list.`)
}

/**
 * Returns `value` as JSON for a quoted variable. In its strings, `'` would end the variable, and `$`
 * would start a reference to another one.
 */
const jsonText = (value: unknown): string =>
  JSON.stringify(value).replaceAll("'", '\\u0027').replaceAll('$', '\\u0024')

/** Returns the secret of the embedded S3 server from the file of an earlier run, or a new one. */
export const keptS3Secret = (file: string): Promise<string> =>
  keptSecret(file, /^S3_SECRET_ACCESS_KEY='(.+)'$/m)

/** Returns the secret that `line` matches in the file of an earlier run, or a new one. */
export async function keptSecret(file: string, line: RegExp): Promise<string> {
  try {
    return readSecret(line.exec(await readFile(file, 'utf8'))?.[1]) ?? randomSecret()
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return randomSecret()
    throw error
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
