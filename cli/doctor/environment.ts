import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseEnv } from 'node:util'
import * as z from 'zod/mini'
import type { Bucket, Credentials } from '../../src/bucket/bucket.ts'
import { classOf } from '../../src/errors/describe.ts'
import { apiKeysRule } from '../../src/plugins/api-keys/options.ts'
import { fetchKeySet, JwksUnavailableError } from '../../src/plugins/jwt/jwks.ts'
import { jwtRule } from '../../src/plugins/jwt/options.ts'
import { withKey } from '../../src/plugins/jwt/public-key.ts'
import { check } from '../../src/settings/rules.ts'
import type { Settings } from '../../src/settings/settings.ts'
import { loadEnvironment } from '../../src/worker/environment.ts'
import { accessKeys, readVariable } from '../../src/worker/variables.ts'
import { UsageError } from '../command.ts'
import { CONFIG_NAMES, NO_CONFIG } from '../config-name.ts'
import { unknownNames, unknownText, withoutDeployAdvice } from '../env-file.ts'
import { KEYS_FILE } from '../keys.ts'
import { LOCAL_KEY_ID } from '../worker-env.ts'
import { loadWrangler } from '../wrangler.ts'
import { type ChangedSetting, changedSettingsIn, type OldSetting } from './changed-settings.ts'
import { type Finding, fail, pass, type Result, skip, warn } from './report.ts'

export interface Sources {
  /** Path of wrangler.toml. */
  readonly config: string
  /** An environment in it, `[env.NAME]`. */
  readonly environment?: string | undefined
  /** Path of the file with the secrets; undefined means `.dev.vars`, if it exists. */
  readonly envFile?: string | undefined
  /** The secrets, if they differ from those in the file. */
  readonly secrets?: Variables | undefined
}

/** Variables and secrets by their names. */
export type Variables = Readonly<Record<string, string | undefined>>

/** The Worker's settings, and their sources. */
export interface WorkerEnvironment {
  readonly loaded: ReturnType<typeof loadEnvironment>
  /** Variables, secrets and bindings, as in the Worker's `env`. */
  readonly env: Readonly<Record<string, unknown>>
  /** The names that only the file with the secrets sets, which a deploy doesn't include. */
  readonly localNames: ReadonlySet<string>
  readonly envFile: string | null
  readonly config: string
  /** The rate limit, such as `1200 requests in 60 seconds`; null if the file doesn't set it. */
  readonly rateLimit: string | null
  /** Whether the file declares the Durable Object class of drop boxes. */
  readonly dropBoxes: boolean
}

/** The class in `[exports.DropBoxes]`, or in `[[migrations]]`. */
const DROP_BOXES = 'DropBoxes'

/** The file with the secrets. */
export const DEFAULT_ENV_FILE = '.dev.vars'

const wranglerConfig = z.object({
  definedEnvironments: z._default(z.array(z.string()), []),
  vars: z.record(z.string(), z.unknown()),
  kv_namespaces: z.array(z.object({ binding: z.string() })),
  d1_databases: z._default(z.array(z.object({ binding: z.string() })), []),
  queues: z.object({
    producers: z._default(z.array(z.object({ binding: z.string() })), []),
    consumers: z._default(z.array(z.object({ dead_letter_queue: z.optional(z.string()) })), []),
  }),
  ratelimits: z.array(
    z.object({ name: z.string(), simple: z.object({ limit: z.number(), period: z.number() }) }),
  ),
  exports: z._default(z.record(z.string(), z.unknown()), {}),
  migrations: z._default(
    z.array(z.object({ new_sqlite_classes: z._default(z.array(z.string()), []) })),
    [],
  ),
})

/**
 * Reads the settings as the Worker does: `[vars]`, overridden by the file with the secrets, and the
 * bindings. Throws UsageError for a file that can't be read.
 */
export async function readEnvironment(sources: Sources): Promise<WorkerEnvironment> {
  const { config } = sources
  const { vars, kv_namespaces, d1_databases, queues, ratelimits, exports, migrations } =
    await readConfig(sources)
  const envFile = sources.envFile ?? (existsSync(DEFAULT_ENV_FILE) ? DEFAULT_ENV_FILE : null)
  const secrets = sources.secrets ?? (envFile === null ? {} : await readVariables(envFile))
  const bound = [
    ...[...kv_namespaces, ...d1_databases].map(({ binding }) => binding),
    ...ratelimits.map(({ name }) => name),
    ...queues.producers.map(({ binding }) => binding),
  ]
  const env: Record<string, unknown> = { ...vars, ...secrets }
  const keysFile = join(dirname(config), KEYS_FILE)
  if (!env.API_KEYS && existsSync(keysFile)) env.API_KEYS = await readText(keysFile)
  for (const name of bound) env[name] = {}
  const limit = ratelimits.find(({ name }) => name === 'RATE_LIMITER')?.simple
  const loaded = loadEnvironment(env)
  const jwt = loaded.ok ? jwtIn(env, loaded.settings) : null
  return {
    loaded: jwt ? await withKey(loaded, jwt, 'JWT') : loaded,
    env,
    localNames: new Set(Object.keys(secrets)),
    envFile,
    config,
    rateLimit: limit === undefined ? null : `${limit.limit} requests in ${limit.period} seconds`,
    dropBoxes:
      DROP_BOXES in exports ||
      migrations.some((step) => step.new_sqlite_classes.includes(DROP_BOXES)),
  }
}

/** Returns the issuer in JWT, or null without one. */
const jwtIn = (env: object, settings: Settings) => readVariable(env, 'JWT', jwtRule(settings)).value

/** Reads what the settings need of wrangler.toml. Throws UsageError if that is not possible. */
export async function readConfig({ config, environment }: Omit<Sources, 'envFile'>) {
  if (!existsSync(config))
    throw new UsageError(
      CONFIG_NAMES.includes(config) ? NO_CONFIG : `${config}: there is no such file.`,
    )
  const { unstable_readConfig } = await loadWrangler()
  const read = (options: { readonly env?: string }) => {
    try {
      return wranglerConfig.parse(unstable_readConfig({ config, ...options }))
    } catch (error) {
      // The rest of wrangler's message is an excerpt of the file.
      const [reason = ''] = error instanceof Error ? error.message.trim().split('\n') : []
      throw new UsageError(`${config} can't be read: ${reason}`)
    }
  }
  const all = read({})
  if (environment === undefined) return all
  // As for wrangler, "" is the top level.
  if (environment === '') return read({ env: '' })
  if (all.definedEnvironments.includes(environment)) return read({ env: environment })
  throw new UsageError(`${config} has no [env.${environment}].`)
}

/** Reads a file with secrets. Throws UsageError if that is not possible. */
export const readVariables = async (file: string): Promise<Variables> =>
  parseEnv(await readText(file))

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : classOf(error)
    throw new UsageError(`${path} can't be read: ${code}.`)
  }
}

const bucketTable = z.object({
  endpoint: z.string(),
  credentials: z.string(),
  uploadCredentials: z.optional(z.string()),
  upkeepCredentials: z.optional(z.string()),
})

/** A bucket's endpoint as the settings have it, and the names of its access keys, such as `S3`. */
export function writtenFor(
  { env }: Pick<WorkerEnvironment, 'env'>,
  alias: string,
): {
  readonly endpoint: string
  readonly reads: string
  readonly uploads: string
  /** Undefined if upkeep uses the other two. */
  readonly walks: string | undefined
} {
  const table = bucketTable.parse(bucketTables(env)[alias])
  const { endpoint, credentials, uploadCredentials, upkeepCredentials } = table
  const uploads = uploadCredentials ?? credentials
  return { endpoint, reads: credentials, uploads, walks: upkeepCredentials }
}

/** Returns the names of the access keys that the valid tables of buckets use, such as `S3`. */
export const pairsOf = (env: WorkerEnvironment['env']): string[] => [
  ...new Set(
    Object.values(bucketTables(env)).flatMap((table) => {
      const { credentials, uploadCredentials, upkeepCredentials } =
        z.safeParse(bucketTable, table).data ?? {}
      const names = [credentials, uploadCredentials, upkeepCredentials]
      return names.filter((name) => name !== undefined)
    }),
  ),
]

/** Returns the tables of the buckets, which may be invalid. */
function bucketTables({ BUCKETS }: WorkerEnvironment['env']): Readonly<Record<string, unknown>> {
  try {
    const tables: unknown = typeof BUCKETS === 'string' ? JSON.parse(BUCKETS) : BUCKETS
    return z.record(z.string(), z.unknown()).safeParse(tables).data ?? {}
  } catch {
    return {} // `settings.valid` reports it
  }
}

/** Settings whose mistakes don't affect the buckets. */
const NOT_OF_BUCKETS = [
  ...['API_KEYS', 'IMAGE_WIDTHS', 'JWT', 'LINK_ORIGIN', 'NOTIFICATION_SECRET'],
  ...['NOTIFICATION_SECRETS', 'OPEN_ACCESS', 'UPKEEP', 'WEBHOOKS'],
]

/**
 * Returns the buckets whose own settings and access keys are valid, and the valid origins, whatever
 * else is missing or invalid.
 */
export function checkable({ env, loaded }: Pick<WorkerEnvironment, 'env' | 'loaded'>): {
  readonly buckets: readonly Bucket[]
  readonly corsOrigins: readonly string[]
} {
  if (loaded.ok) return loaded.settings
  const others = {
    SIGNING_SECRETS: `k1:${'0'.repeat(32)}`, // signs nothing here
    ...Object.fromEntries(NOT_OF_BUCKETS.map((name) => [name, ''])),
    FILE_INDEX: {},
    RATE_LIMITER: {},
  }
  const withoutOrigins = { CORS_ORIGINS: '[]', CORS_COOKIE_ORIGINS: '[]' }
  const buckets: Bucket[] = []
  let corsOrigins: readonly string[] = []
  for (const [alias, table] of Object.entries(bucketTables(env))) {
    const own = { ...env, ...others, BUCKETS: { [alias]: table } }
    const alone = loadEnvironment({ ...own, ...withoutOrigins })
    if (!alone.ok) continue
    buckets.push(...alone.settings.buckets)
    const withOrigins = loadEnvironment(own)
    if (withOrigins.ok) corsOrigins = withOrigins.settings.corsOrigins
  }
  return { buckets, corsOrigins }
}

/**
 * Returns the origin of the pages of drop boxes, if the Worker has drop boxes: LINK_ORIGIN, or the
 * Worker's own.
 */
export function dropBoxOrigins(
  { loaded, dropBoxes }: Pick<WorkerEnvironment, 'loaded' | 'dropBoxes'>,
  url: string | undefined,
): readonly string[] {
  const own = (loaded.ok ? loaded.settings.linkBase : null) ?? url
  return dropBoxes && own !== undefined ? [own] : []
}

/** Tells whether the Worker walks through its buckets. */
export const hasUpkeep = ({ env }: Pick<WorkerEnvironment, 'env'>): boolean => Boolean(env.UPKEEP)

/** Returns the access keys of `name`. Throws UsageError if one is missing. */
export function namedCredentials({ env }: WorkerEnvironment, name: string): Credentials {
  const found = check(accessKeys(name), env)
  if (found.ok) return found.value
  throw new UsageError(found.issues.map(({ path, message }) => `${path} ${message}`).join('\n'))
}

/** The checks of the settings, in their order. */
export const CHECKS = [
  'changed',
  'unknown',
  'valid',
  'signing-secrets',
  'access',
  'open-access',
  'jwks',
  'rate-limit',
  'cors-origins',
] as const

/** Checks the settings without a bucket. Each invalid, unknown or changed setting has a finding. */
export const checkSettings = async (
  worker: WorkerEnvironment,
  changes?: readonly ChangedSetting[],
): Promise<Finding[]> => [...checkNames(worker, changes), ...(await checkValues(worker))]

function checkNames(
  { env, envFile, config, localNames }: WorkerEnvironment,
  changes?: readonly ChangedSetting[],
): Finding[] {
  const old = changedSettingsIn(env, changes)
  const local = Object.entries(env).filter(
    ([name]) => localNames.has(name) && !old.some(({ path }) => path === name),
  )
  return [
    ...old.map((setting) => ({
      check: 'settings.changed',
      subject: setting.path,
      ...changed(setting, (localNames.has(nameIn(setting.path)) && envFile) || config),
    })),
    ...unknownNames(Object.fromEntries(local)).map((unknown) => ({
      check: 'settings.unknown',
      subject: unknown.name,
      ...warn(
        unknownText(envFile ?? '', unknown),
        'Correct the name, or remove the line. docs/configuration.md lists every setting.',
      ),
    })),
  ]
}

function changed({ path, version, newPath, advice }: OldSetting, file: string): Result {
  return newPath === null
    ? fail(`${path} was removed in version ${version}.`, advice ?? `Remove it from ${file}.`)
    : fail(
        `${path} was renamed to ${newPath} in version ${version}.`,
        advice ?? `Rename it in ${file}.`,
      )
}

/** Returns the name of the setting that a path is in. */
const nameIn = (path: string): string => path.replace(/\..*/, '')

async function checkValues(worker: WorkerEnvironment): Promise<Finding[]> {
  const { loaded } = worker
  if (!loaded.ok)
    return loaded.issues.map(({ path, message }) => ({
      check: 'settings.valid',
      subject: path,
      ...fail(
        `${path} ${withoutDeployAdvice(message)}`.trim(),
        whereToSet(worker, path, /^is missing/.test(message)),
      ),
    }))
  const { settings } = loaded
  const at = (check: (typeof CHECKS)[number], subject: string, result: Result): Finding => ({
    check: `settings.${check}`,
    subject,
    ...result,
  })
  return [
    at('valid', '', pass('Every setting is valid.')),
    at('signing-secrets', 'SIGNING_SECRETS', checkSecrets(settings)),
    at('access', 'API_KEYS', checkAccess(worker, settings)),
    at('open-access', 'OPEN_ACCESS', checkOpenAccess(worker, settings)),
    at('jwks', 'JWT', await checkKeySet(worker, settings)),
    at('rate-limit', 'RATE_LIMITER', pass(`Bound: ${worker.rateLimit ?? 'a limit'}.`)),
    at('cors-origins', 'CORS_ORIGINS', checkOrigins(settings)),
  ]
}

/** Where to set a setting. Nobody can read secrets back from Cloudflare, so doctor needs a file. */
function whereToSet(
  { envFile, config }: WorkerEnvironment,
  path: string,
  isMissing: boolean,
): string {
  const name = nameIn(path)
  if (name === 'FILE_INDEX' || name === 'RATE_LIMITER') return `Add the binding to ${config}.`
  if (/^(?:BUCKETS?|IMAGE_WIDTHS|JWT|CORS_ORIGINS|LINK_ORIGIN|OPEN_ACCESS|UPKEEP)$/.test(name))
    return `Change it in ${config}${envFile === null ? '' : `, or in ${envFile} if it is there`}.`
  return envFile === null
    ? 'Doctor reads secrets from a file. Write them to .dev.vars, or name another file with --env-file.'
    : `${isMissing ? 'Add it to' : 'Change it in'} ${envFile}, from which doctor reads it.`
}

/** A secret with fewer different characters is not random: 32 random hexadecimal digits have 13. */
const MIN_DISTINCT_CHARACTERS = 9

function checkSecrets({ signingSecrets }: Settings): Result {
  const weak = signingSecrets.filter(({ secret }) => new Set(secret).size < MIN_DISTINCT_CHARACTERS)
  if (weak.length > 0)
    return warn(
      `${weak.map(({ kid }) => kid).join(', ')}: long enough, but it repeats few characters.`,
      'Use the output of `openssl rand -hex 32`.',
    )
  const many = signingSecrets.length === 1 ? 'One secret' : `${signingSecrets.length} secrets`
  return pass(`${many} of at least 32 characters; ${signingSecrets[0].kid} signs.`)
}

function checkAccess({ env }: WorkerEnvironment, settings: Settings): Result {
  const apiKeys = readVariable(env, 'API_KEYS', apiKeysRule(settings)).value ?? []
  const jwt = jwtIn(env, settings)
  if (apiKeys.length === 0 && jwt === null)
    return warn(
      'There is no API key and no JWT issuer, so the Worker refuses all requests.',
      'Run `npx edge-presigner deploy`, which creates an API key, or add a [vars.JWT] table.',
    )
  const choosing = apiKeys.filter(
    ({ id, scopes }) => scopes.includes('keys:choose') && id !== LOCAL_KEY_ID,
  )
  if (choosing.length > 0 && env.FILES_DB === undefined)
    return warn(
      `These API keys may choose keys: ${choosing.map(({ id }) => id).join(', ')}. Workers KV can lose a record if two of them change one key within a minute.`,
      'Keep the index in D1 (docs/files.md#search-sort-and-count-files), or let each key have one writer.',
    )
  const unbounded = apiKeys.filter(({ prefix }) => prefix === '').map(({ id }) => id)
  const keys = `${apiKeys.length} API ${apiKeys.length === 1 ? 'key' : 'keys'}${jwt === null ? '' : ', and JWTs of one issuer'}.`
  return pass(unbounded.length === 0 ? keys : `${keys} No prefix: ${unbounded.join(', ')}.`)
}

function checkOpenAccess({ localNames, config }: WorkerEnvironment, settings: Settings): Result {
  if (!settings.openOnLocalhost) return pass('OPEN_ACCESS is not set.')
  return localNames.has('OPEN_ACCESS')
    ? warn(
        'OPEN_ACCESS is set: under `wrangler dev`, the Worker accepts every request to the host localhost.',
        'Remove it, and use an API key or `npx edge-presigner dev`.',
      )
    : fail(
        `${config} sets OPEN_ACCESS, so every deploy includes it.`,
        'Remove it: `npx edge-presigner dev` does not need it.',
      )
}

async function checkKeySet({ env }: WorkerEnvironment, settings: Settings): Promise<Result> {
  const jwt = jwtIn(env, settings)
  if (jwt === null) return skip('No JWT issuer is set.')
  if (jwt.jwksUrl === undefined) return pass('publicJwk is a valid key.')
  try {
    const keys = await fetchKeySet(jwt.jwksUrl, jwt.algorithms)
    const algorithms = jwt.algorithms.join(', ')
    return keys.length > 0
      ? pass(
          `The key set has ${keys.length} ${keys.length === 1 ? 'key' : 'keys'} for ${algorithms}.`,
        )
      : fail(
          `The key set has no key for ${algorithms}.`,
          'Set `algorithms` to what the issuer signs with.',
        )
  } catch (error) {
    const reason = error instanceof JwksUnavailableError ? error.message : classOf(error)
    return fail(
      `The key set can't be read: ${reason}.`,
      'Check `jwksUrl`: the issuer names it as `jwks_uri` in /.well-known/openid-configuration.',
    )
  }
}

function checkOrigins({ corsOrigins }: Settings): Result {
  if (corsOrigins.length === 0)
    return skip('No origins are set, so pages on other origins cannot call the Worker.')
  return pass(corsOrigins.join(', '))
}
