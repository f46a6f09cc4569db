import type * as z from 'zod/mini'
import { importPublicKey } from '../../access/public-key.ts'
import type { SigningSecret } from '../../access/settings.ts'
import type { Bucket, Credentials } from '../../bucket/bucket.ts'
import { MAX_LINK_SECONDS, MAX_SIGNATURE_SECONDS, MAX_UPLOAD_SECONDS } from '../../bucket/limits.ts'
import type { Issue } from '../../errors/api-error.ts'
import type { Settings } from '../../settings/settings.ts'
import { type BucketTable, credentialsSchema } from './bucket-schema.ts'
import { environmentSchema } from './schema.ts'

export type LoadedConfig =
  | { readonly ok: true; readonly config: Settings }
  | { readonly ok: false; readonly issues: readonly Issue[] }

/** Hosts of Cloudflare R2 and Backblaze B2, which know no POST policies. */
const WITHOUT_POST_UPLOADS = /\.(?:r2\.cloudflarestorage|backblazeb2)\.com(?::\d+)?$/i

/** Hosts of Cloudflare R2, which stores keys in Unicode NFC. */
const NORMALIZES_KEYS = /\.r2\.cloudflarestorage\.com\.?(?::\d+)?$/i
/** Hosts of AWS S3, which honours If-None-Match in CompleteMultipartUpload. */
const WITH_CONDITIONAL_COMPLETE = /\.amazonaws\.com(?:\.cn)?(?::\d+)?$/i

const loaded = new WeakMap<object, LoadedConfig>()

/** The configuration in `env`, parsed once an isolate. Issues name paths, never values. */
export function loadConfig(env: object): LoadedConfig {
  const known = loaded.get(env)
  if (known !== undefined) return known
  const result = parse(env)
  loaded.set(env, result)
  return result
}

/**
 * The configuration in `env` as `loadConfig` gives it, with `publicJwk` imported: only that shows
 * whether it is a key.
 */
export async function checkConfig(env: object): Promise<LoadedConfig> {
  const result = loadConfig(env)
  const { publicJwk, algorithms = [] } = (result.ok && result.config.jwt) || {}
  if (publicJwk === undefined) return result
  for (const name of algorithms) if (await importPublicKey(publicJwk, name)) return result
  const message = 'must be a valid public key; RSA keys need at least 2048 bits'
  return { ok: false, issues: [{ path: 'JWT.publicJwk', message }] }
}

function parse(env: object): LoadedConfig {
  // An empty variable is one that an environment file lists without a value.
  const variables = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const parsed = environmentSchema.safeParse(variables)
  if (!parsed.success) return { ok: false, issues: toIssues(parsed.error.issues) }

  const { BUCKETS, SIGNING_SECRETS, API_KEYS, JWT, CORS_ORIGINS, LINK_ORIGIN, OPEN_ACCESS } =
    parsed.data
  const names = Object.values(BUCKETS).flatMap(({ credentials, uploadCredentials }) => [
    credentials,
    uploadCredentials ?? credentials,
  ])
  const issues: Issue[] = []
  const pairs = new Map<string, Credentials>()
  for (const name of new Set(names)) {
    const read = readCredentials(variables, name)
    if (read.ok) pairs.set(name, read.credentials)
    else issues.push(...read.issues)
  }
  const buckets = Object.entries(BUCKETS).flatMap(([alias, table]) => {
    const credentials = pairs.get(table.credentials)
    const uploadCredentials = pairs.get(table.uploadCredentials ?? table.credentials)
    if (credentials === undefined || uploadCredentials === undefined) return []
    return [toBucket(alias, table, credentials, uploadCredentials)]
  })
  const [bucket, ...otherBuckets] = buckets
  const [secret, ...otherSecrets] = SIGNING_SECRETS.split(',').map(toSigningSecret)
  if (bucket === undefined || secret === undefined || issues.length > 0)
    return { ok: false, issues }

  return {
    ok: true,
    config: deepFreeze({
      buckets: [bucket, ...otherBuckets],
      signingSecrets: [secret, ...otherSecrets],
      apiKeys: API_KEYS,
      jwt: JWT ?? null,
      corsOrigins: CORS_ORIGINS,
      linkOrigin: LINK_ORIGIN ?? null,
      openOnLocalhost: OPEN_ACCESS === 'localhost',
    }),
  }
}

function readCredentials(
  variables: Readonly<Record<string, unknown>>,
  name: string,
):
  | { readonly ok: true; readonly credentials: Credentials }
  | { readonly ok: false; readonly issues: readonly Issue[] } {
  const parsed = credentialsSchema.safeParse({
    ACCESS_KEY_ID: variables[`${name}_ACCESS_KEY_ID`],
    SECRET_ACCESS_KEY: variables[`${name}_SECRET_ACCESS_KEY`],
    SESSION_TOKEN: variables[`${name}_SESSION_TOKEN`],
    CREDENTIAL_EXPIRATION: variables[`${name}_CREDENTIAL_EXPIRATION`],
  })
  if (!parsed.success) return { ok: false, issues: toIssues(parsed.error.issues, `${name}_`) }
  const { ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, CREDENTIAL_EXPIRATION } = parsed.data
  return {
    ok: true,
    credentials: {
      accessKeyId: ACCESS_KEY_ID,
      secretAccessKey: SECRET_ACCESS_KEY,
      sessionToken: SESSION_TOKEN ?? null,
      expiresAt: CREDENTIAL_EXPIRATION === undefined ? Infinity : Date.parse(CREDENTIAL_EXPIRATION),
    },
  }
}

function toBucket(
  alias: string,
  table: BucketTable,
  credentials: Credentials,
  uploadCredentials: Credentials,
): Bucket {
  const { protocol, host, pathname } = new URL(table.endpoint)
  const endpointPath = pathname.endsWith('/') ? pathname : `${pathname}/`
  const inHost = table.addressing === 'virtual'
  return {
    alias,
    origin: inHost ? `${protocol}//${table.bucket}.${host}` : `${protocol}//${host}`,
    basePath: inHost ? endpointPath : `${endpointPath}${table.bucket}/`,
    name: table.bucket,
    region: table.region,
    credentials,
    uploadCredentials,
    maxBytes: table.maxBytes ?? null,
    postUploads: table.postUploads ?? !WITHOUT_POST_UPLOADS.test(host),
    normalizesKeys: table.normalizesKeys ?? NORMALIZES_KEYS.test(host),
    conditionalComplete: table.conditionalComplete ?? WITH_CONDITIONAL_COMPLETE.test(host),
    allowedTypes: table.allowedTypes?.map((type) => type.toLowerCase()) ?? null,
    maxExpiresIn: {
      upload: table.maxExpiresIn?.upload ?? MAX_UPLOAD_SECONDS,
      view: table.maxExpiresIn?.view ?? MAX_SIGNATURE_SECONDS,
      stream: table.maxExpiresIn?.stream ?? MAX_SIGNATURE_SECONDS,
      email: table.maxExpiresIn?.email ?? MAX_SIGNATURE_SECONDS,
      link: table.maxExpiresIn?.link ?? MAX_LINK_SECONDS,
    },
    edgeTtlSeconds: table.edgeTtl,
    crossOriginResourcePolicy: table.crossOriginResourcePolicy,
  }
}

function toSigningSecret(entry: string): SigningSecret {
  const text = entry.trim()
  const colon = text.indexOf(':')
  return { kid: text.slice(0, colon), secret: text.slice(colon + 1), name: '' }
}

const toIssues = (issues: readonly z.core.$ZodIssue[], prefix = ''): Issue[] =>
  issues.map(({ path, message }) => ({ path: prefix + path.map(String).join('.'), message }))

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(deepFreeze)
    Object.freeze(value)
  }
  return value
}
